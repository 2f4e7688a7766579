# shellcheck shell=bash
# Inbound HTTP. TLS, authentication, form decoding, cookies and protocol upgrades are out: the
# faces serve plain HTTP behind a key, and what is not compiled in cannot be reached. Its threads
# stay although one epoll loop drives it from outside: without them 1.0.1 does not link (a function
# that MHD_get_timeout64 wants is compiled for threads only).
package=libmicrohttpd
series=1.0
needs="musl linux-headers"
targets="*"

messages() {
	[ "$libc" = musl ] && echo --disable-messages || echo --enable-messages
}

build() {
	mkdir build
	cd build
	"$source/configure" --host="$host" --prefix="$PREFIX" --disable-shared --enable-static \
		--disable-dependency-tracking --disable-https --disable-postprocessor \
		--disable-bauth --disable-dauth --disable-httpupgrade --disable-cookie \
		--disable-doc --disable-examples --disable-tools --disable-curl \
		--disable-thread-names --enable-epoll --disable-poll \
		--with-threads=posix "$(messages)" \
		mhd_cv_eventfd_usable=yes
	make -j"$JOBS" -C src/microhttpd libmicrohttpd.la
	make -C src/microhttpd install-libLTLIBRARIES DESTDIR="$DESTDIR"
	make -C src/include install DESTDIR="$DESTDIR"
	make install-pkgconfigDATA DESTDIR="$DESTDIR"
}
