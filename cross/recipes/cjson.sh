# shellcheck shell=bash
# JSON documents as trees. cJSON.c is all of it; cJSON_Utils (pointers, patches) is not built.
package=cjson
series=1.7
needs="musl linux-headers"
targets="*"

build() {
	# Without ENABLE_LOCALES the decimal point is a point, whatever the locale. Of scanf's 8 KB it uses
	# a test whether 15 digits of a fraction are enough; fractions of ours are raw values
	# (codec/document.h), and 17 digits always are.
	cat >cJSON.c <<-END
	#include <stdio.h>
	#define sscanf(text, format, to) (*(to) = 0)
	#include "$source/cJSON.c"
	END
	# shellcheck disable=SC2086
	$CC $CFLAGS -c cJSON.c
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
