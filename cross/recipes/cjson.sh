# shellcheck shell=bash
# JSON documents as trees. cJSON.c is all of it; cJSON_Utils (pointers, patches) is not built.
package=cjson
series=1.7
needs="musl linux-headers"
targets="*"

build() {
	# Without ENABLE_LOCALES the decimal point is a point, whatever the locale.
	# shellcheck disable=SC2086
	$CC $CFLAGS -c "$source/cJSON.c"
	mkdir -p "$DESTDIR$PREFIX"/{lib/pkgconfig,include/cjson}
	"$AR" rcs "$DESTDIR$PREFIX/lib/libcjson.a" cJSON.o
	cp "$source/cJSON.h" "$DESTDIR$PREFIX/include/cjson/"
	cat >"$DESTDIR$PREFIX/lib/pkgconfig/libcjson.pc" <<-END
	prefix=$PREFIX
	libdir=\${prefix}/lib
	includedir=\${prefix}/include

	Name: cJSON
	Description: JSON documents as trees
	Version: $upstream
	Libs: -L\${libdir} -lcjson
	Cflags: -I\${includedir}
	END
}
