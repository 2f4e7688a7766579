# shellcheck shell=bash
# The kernel's own headers (Landlock, seccomp, openat2): musl has none, and a Debian 12 desk has
# older ones than the kernels that the program meets. Taken from trixie for every target alike.
package=linux-libc-dev
kind=binary
series=6.12
needs=
targets="*"

build() {
	local multiarch="$source/usr/lib/linux/uapi"
	mkdir -p "$DESTDIR$PREFIX/include"
	cp -r "$source"/usr/include/{linux,asm-generic} "$DESTDIR$PREFIX/include/"
	case "$arch" in
	aarch64) cp -rL "$multiarch/arm64/asm" "$DESTDIR$PREFIX/include/" ;;
	x86_64) cp -rL "$multiarch/x86/asm" "$DESTDIR$PREFIX/include/" ;;
	esac
}
