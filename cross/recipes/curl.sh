# shellcheck shell=bash
# Connections: names, happy eyeballs, proxies, TLS by mbedTLS, and WebSocket. Our own HTTP/1.1 runs
# on top of it (src/net/dialer.h), so that of its protocols only HTTP is in, of its authentication
# only Basic, and nothing that reads files of its own accord.
package=curl
series=8.14
needs="musl linux-headers mbedtls"
targets="*"

# Each read of a TLS connection looks its connection up in a table of the multi handle, slot by
# slot: few slots, since few destinations are asked at a time.
slots=5

options="--disable-shared --enable-static --enable-http --enable-websockets --enable-proxy
	--enable-ipv6 --enable-threaded-resolver --enable-unix-sockets --enable-socketpair
	--enable-basic-auth --enable-http-auth --enable-symbol-hiding
	--disable-ares --disable-httpsrr --disable-ech --disable-ssls-export --disable-ftp
	--disable-file --disable-ipfs --disable-ldap --disable-ldaps --disable-rtsp --disable-dict
	--disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb --disable-smtp
	--disable-gopher --disable-mqtt --disable-manual --disable-docs --disable-libcurl-option
	--disable-openssl-auto-load-config --disable-ca-search --disable-verbose --disable-sspi
	--disable-bearer-auth --disable-digest-auth --disable-kerberos-auth --disable-negotiate-auth
	--disable-aws --disable-ntlm --disable-tls-srp --disable-cookies --disable-doh --disable-mime
	--disable-bindlocal --disable-form-api --disable-dateparse --disable-netrc
	--disable-progress-meter --disable-sha512-256 --disable-dnsshuffle
	--disable-get-easy-options --disable-alt-svc --disable-headers-api --disable-hsts
	--without-zlib --without-brotli --without-zstd --without-libpsl --without-libidn2
	--without-nghttp2 --without-nghttp3 --without-ngtcp2 --without-librtmp --without-libssh2
	--without-libgsasl --without-ca-bundle --without-ca-path --without-zsh-functions-dir
	--without-fish-functions-dir --with-mbedtls"

# What is shipped speaks no WebSocket yet, and asks nothing through libcurl: a transfer ends when it
# is connected. Without these entries in the table of its protocol, the code behind them (requests,
# headers of answers, redirects) leaves the program; without libc musl, the tests keep all of it.
leave_out_requests() {
	local entry
	options="${options/--enable-websockets/--disable-websockets}"
	for entry in Curl_http Curl_http_write_resp Curl_http_write_resp_hd Curl_http_follow; do
		grep -q "^  $entry, " "$source/lib/http.c" || return 1
		sed -i "s|^  $entry, |  ZERO_NULL, |" "$source/lib/http.c"
	done
}

build() {
	[ "$libc" != musl ] || leave_out_requests
	# shellcheck disable=SC2086
	"$source/configure" --host="$arch-linux-$libc" --build="$build_arch-linux-gnu" \
		--prefix="$PREFIX" $options \
		CFLAGS="$CFLAGS" CPPFLAGS="-I$PREFIX/include -DCURL_CONNECTION_HASH_SIZE=$slots" \
		LDFLAGS="$LDFLAGS -L$PREFIX/lib" AR="$AR" NM="$NM" RANLIB="$RANLIB"
	# Its configure puts a level of optimisation of its own behind ours.
	sed -i "s|^CFLAGS = .*|CFLAGS = $CFLAGS|" lib/Makefile
	make -C lib -j"$JOBS"
	make -C lib install DESTDIR="$DESTDIR"
	make -C include install DESTDIR="$DESTDIR"
	make install-pkgconfigDATA DESTDIR="$DESTDIR"
}
