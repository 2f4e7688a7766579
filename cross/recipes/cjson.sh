# shellcheck shell=bash
# JSON values. One file, so no build system of its own is needed. The nesting limit bounds the
# parser's recursion: what comes from outside must not choose how deep our stack goes.
package=cjson
series=1.7
needs="musl linux-headers"
targets="*"

build() {
	# shellcheck disable=SC2086
	$CC $CFLAGS -DCJSON_NESTING_LIMIT=128 -DCJSON_HIDE_SYMBOLS -c "$source/cJSON.c"
	mkdir -p "$DESTDIR$PREFIX"/{lib/pkgconfig,include/cjson}
	"$AR" rcs "$DESTDIR$PREFIX/lib/libcjson.a" cJSON.o
	cp "$source/cJSON.h" "$DESTDIR$PREFIX/include/cjson/"
	cat >"$DESTDIR$PREFIX/lib/pkgconfig/libcjson.pc" <<-END
	prefix=$PREFIX
	libdir=\${prefix}/lib
	includedir=\${prefix}/include

	Name: libcjson
	Description: JSON parser
	Version: $upstream
	Libs: -L\${libdir} -lcjson -lm
	Cflags: -I\${includedir} -I\${includedir}/cjson
	END
}
