# shellcheck shell=bash
# YAML events. The Debian source carries no generated configure script, and ten files do not
# need one; the three version macros are all that it would have found out.
package=libyaml
series=0.2.5
needs="musl linux-headers"
targets="*"

version_defines() {
	local major minor patch
	IFS=. read -r major minor patch <<<"$upstream"
	echo "-DYAML_VERSION_MAJOR=$major -DYAML_VERSION_MINOR=$minor -DYAML_VERSION_PATCH=$patch"
}

build() {
	# The version string macro carries quotes, which a header keeps intact.
	echo "#define YAML_VERSION_STRING \"$upstream\"" >config.h
	# shellcheck disable=SC2046,SC2086
	$CC $CFLAGS $(version_defines) -DHAVE_CONFIG_H -I. -I"$source/include" \
		-c "$source"/src/{api,reader,scanner,parser,loader,writer,emitter,dumper}.c
	mkdir -p "$DESTDIR$PREFIX"/{lib/pkgconfig,include}
	"$AR" rcs "$DESTDIR$PREFIX/lib/libyaml.a" ./*.o
	cp "$source/include/yaml.h" "$DESTDIR$PREFIX/include/"
	cat >"$DESTDIR$PREFIX/lib/pkgconfig/yaml-0.1.pc" <<-END
	prefix=$PREFIX
	libdir=\${prefix}/lib
	includedir=\${prefix}/include

	Name: yaml
	Description: YAML parser and emitter
	Version: $upstream
	Libs: -L\${libdir} -lyaml
	Cflags: -I\${includedir}
	END
}
