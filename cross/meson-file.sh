# shellcheck shell=bash
# Writes meson.ini, through which meson finds a sysroot; sourced by sysroot.
#
# For musl it is a cross file, even on the same processor: the program runs here, but nothing of
# the machine's C library may leak in, and a cross file closes every door but the sysroot. For
# gnu it is a native file that puts the sysroot first and leaves the machine's own libraries
# reachable, because tests link things (cmocka) that no sysroot needs.

# static-pie costs an aarch64 binary 66 KB, 4 % of it, where the linker cannot pack relative
# relocations (binutils before 2.42 there), and next to nothing where it can: only there it is
# taken. 16 KiB pages instead of the 64 KiB that the linker reckons with save up to 48 KB of
# padding; a Pi 5 has 16 KiB pages, a Pi 4 has 4 KiB. What is said here about size counts again when
# LTO makes the code: -Oz instead of -Os took 14 % off the binary. Constants lie beside the code in
# one segment, on x86_64 as on aarch64 by default, which saves the padding of two pages.
link_flags() {
	local flags="-Oz -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack,-z,noseparate-code"
	if packs_relocations; then
		flags="-static-pie $flags -Wl,-z,pack-relative-relocs"
	else
		flags="-static -no-pie -fno-pie $flags"
	fi
	[ "$arch" = aarch64 ] && flags="$flags -Wl,-z,max-page-size=16384"
	echo "$flags"
}

# A linker that knows the option for another processor ignores it with a warning.
packs_relocations() {
	! "$gcc" -shared -nostdlib -x c /dev/null -o /dev/null -Wl,-z,pack-relative-relocs 2>&1 |
		grep -q ignored
}

quoted_list() { # WORD...
	local word list=''
	for word; do
		list="$list${list:+, }'$word'"
	done
	echo "[$list]"
}

# LTO needs the plugin-aware archiver. A wrapper is named only where the processor is foreign.
write_cross_file() { # SYSROOT
	local wrapper='' foreign=false
	if [ "$build_arch" != "$arch" ]; then
		wrapper="exe_wrapper = 'qemu-$arch'"
		foreign=true
	fi
	cat <<-END
	[binaries]
	c = ['$gcc', '-specs=$1/lib/musl-gcc.specs']
	ar = '$AR'
	nm = '$NM'
	ranlib = '$RANLIB'
	strip = '$STRIP'
	objcopy = '${tool_prefix}objcopy'
	pkgconfig = 'pkg-config'
	$wrapper

	[properties]
	pkg_config_libdir = '$1/lib/pkgconfig'
	needs_exe_wrapper = $foreign

	[built-in options]
	default_library = 'static'
	c_args = $(quoted_list $(size_cflags) $(shared_cflags))
	c_link_args = $(quoted_list $(link_flags))

	[host_machine]
	system = 'linux'
	cpu_family = '$arch'
	cpu = '$([ "$arch" = aarch64 ] && echo cortex-a72 || echo "$arch")'
	endian = 'little'
	END
}

write_native_file() { # SYSROOT
	cat <<-END
	[binaries]
	c = '$gcc'
	ar = '$AR'
	strip = '$STRIP'
	pkgconfig = 'pkg-config'

	[built-in options]
	pkg_config_path = '$1/lib/pkgconfig'
	c_args = $(quoted_list $(shared_cflags))
	END
}

write_meson_file() { # SYSROOT
	if [ "$libc" = musl ]; then
		write_cross_file "$1"
	else
		write_native_file "$1"
	fi >"$1/meson.ini"
}
