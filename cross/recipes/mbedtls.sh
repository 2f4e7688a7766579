# shellcheck shell=bash
# TLS, as a client. What is in and out is decided in config/mbedtls_config.h, which replaces the
# library's own header, so that the library and everything that includes it agree on the layout
# of its structures.
package=mbedtls
series=3.6
# The next release has 3.6.7, which can talk to TLS 1.2 servers that sign with RSA-PSS, as OpenSSL 3
# does, and closes what trixie's 3.6.6 leaves open (SECURITY.md).
release=forky
at_least=3.6.7
needs="musl linux-headers"
configs="mbedtls_config.h mbedtls_entropy.c"
targets="*"

# Bulk ciphers and the bignum kernel decide how fast a Pi shakes hands and reads a stream; they
# are a few kilobytes, so here speed is worth more than size.
hot="aes gcm chacha20 poly1305 sha256 sha512 bignum_core"

write_pc() { # NAME REQUIRES
	mkdir -p "$DESTDIR$PREFIX/lib/pkgconfig"
	cat >"$DESTDIR$PREFIX/lib/pkgconfig/$1.pc" <<-END
	prefix=$PREFIX
	libdir=\${prefix}/lib
	includedir=\${prefix}/include

	Name: $1
	Description: Mbed TLS, $1
	Version: $upstream
	Requires: $2
	Libs: -L\${libdir} -l$1
	Cflags: -I\${includedir}
	END
}

make_here() {
	make -j"$JOBS" CC="$CC" AR="$AR" RL="$RANLIB" ARFLAGS=rc WARNING_CFLAGS= GEN_FILES= "$@"
}

build() {
	local objects=()
	cp "$config/mbedtls_config.h" "$source/include/mbedtls/mbedtls_config.h"
	cat "$config/mbedtls_entropy.c" >>"$source/library/entropy.c"
	cd "$source/library"
	if [ "$libc" = musl ]; then
		read -ra objects <<<"$hot"
		make_here CFLAGS="${CFLAGS/"$(size_cflags)"/-O2}" "${objects[@]/%/.o}"
		# Object identifiers have names and descriptions for printing certificates, which nothing
		# does. For all of the library the macro would take the reasons of a refusal away too.
		make_here CFLAGS="$CFLAGS -DMBEDTLS_X509_REMOVE_INFO" oid.o
	fi
	make_here CFLAGS="$CFLAGS" static
	mkdir -p "$DESTDIR$PREFIX"/{lib,include}
	cp libmbedcrypto.a libmbedx509.a libmbedtls.a "$DESTDIR$PREFIX/lib/"
	cp -r ../include/{mbedtls,psa} "$DESTDIR$PREFIX/include/"
	write_pc mbedcrypto ""
	write_pc mbedx509 mbedcrypto
	write_pc mbedtls mbedx509
}
