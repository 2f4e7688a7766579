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

# Macros of the scanner that expand in 160 places: as functions they take 12 KB less. Each function
# is compiled from the macro, which then becomes a call.
write_scanner_functions() {
	local test
	for test in IS_BREAK IS_BLANKZ IS_ALPHA; do
		cat <<-END
		static int ${test}_is_here(const yaml_char_t *at)
		{
			struct { const yaml_char_t *pointer; } text = {at};
			return $test(text);
		}
		#undef ${test}_AT
		#define ${test}_AT(text, offset) ${test}_is_here((text).pointer + (offset))
		END
	done
	for test in SKIP SKIP_LINE; do
		cat <<-END
		static void ${test}_parser(yaml_parser_t *parser) { $test(parser); }
		#undef $test
		#define $test(parser) ${test}_parser(parser)
		END
	done
	for test in READ READ_LINE; do
		cat <<-END
		static int ${test}_string(yaml_parser_t *parser, yaml_string_t *string)
		{
			return $test(parser, *string);
		}
		#undef $test
		#define $test(parser, string) ${test}_string(parser, &(string))
		END
	done
}

build() {
	write_scanner_functions >scanner_functions.h
	# They stand behind the macros, before the first declaration.
	sed -i '0,/^YAML_DECLARE(int)/s//#include "scanner_functions.h"\n&/' "$source/src/scanner.c"
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
