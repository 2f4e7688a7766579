# shellcheck shell=bash
# Outbound HTTP and HTTPS; every other protocol and convenience is compiled out (WebSocket is one
# word away, "websockets", for the day somebody speaks it). The resolver is a thread per lookup, so
# that a dead name server stalls nothing (its caller sets CURLOPT_QUICK_EXIT). No CA path is built
# in: the program hands over its own roots.
package=curl
series=8.14
needs="mbedtls musl linux-headers"
targets="*"

protocols_off="ftp file ipfs ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher mqtt"
features_off="digest-auth kerberos-auth negotiate-auth aws ntlm tls-srp cookies doh mime form-api
	dateparse netrc progress-meter sha512-256 dnsshuffle get-easy-options alt-svc hsts
	libcurl-option manual docs bindlocal httpsrr ech ssls-export ares rt"
packages_off="zlib brotli zstd libpsl libidn2 nghttp2 nghttp3 ngtcp2 quiche libgsasl libssh2
	librtmp ca-bundle ca-path ca-fallback zsh-functions-dir fish-functions-dir"

# Strings of CURLOPT_VERBOSE help who debugs the gnu build; in the shipped one nobody reads them.
verbose() {
	[ "$libc" = musl ] && echo --disable-verbose || echo --enable-verbose
}

build() {
	local options=() name
	for name in $protocols_off $features_off; do
		options+=("--disable-$name")
	done
	for name in $packages_off; do
		options+=("--without-$name")
	done
	mkdir build
	cd build
	"$source/configure" --host="$host" --prefix="$PREFIX" --disable-shared --enable-static \
		--disable-dependency-tracking --disable-symbol-hiding --enable-unity \
		--enable-http --enable-proxy --disable-websockets --enable-threaded-resolver \
		--enable-ipv6 --enable-unix-sockets --enable-basic-auth --enable-bearer-auth \
		--enable-http-auth --enable-socketpair --disable-headers-api "$(verbose)" \
		--with-mbedtls="$PREFIX" "${options[@]}" \
		LDFLAGS="$LDFLAGS"
	make -j"$JOBS" -C lib libcurl.la
	make -C lib install-libLTLIBRARIES DESTDIR="$DESTDIR"
	make -C include install DESTDIR="$DESTDIR"
	make install-pkgconfigDATA DESTDIR="$DESTDIR"
}
