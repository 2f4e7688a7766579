# shellcheck shell=bash
# Compilers and flags of one target; sourced by sysroot and probe, and part of each library's hash.
#
# Two families. The musl targets are what ships: every byte counts, so they are compiled for size,
# with LTO across all libraries, and without unwind tables (nothing here throws or unwinds). The
# gnu targets are what sanitizers and debuggers look at: the same features, kept readable. They
# carry no sanitizer of their own, so that one sysroot serves ASan, UBSan and plain builds.
#
# aarch64 is a Raspberry Pi CM4. Its BCM2711 has no AES, SHA or PMULL instructions, and a Cortex-A72
# in -mcpu does not imply them; LSE atomics would only be reached through run-time dispatch that
# costs size and never helps here, hence -mno-outline-atomics.

known_targets="aarch64-linux-musl x86_64-linux-musl x86_64-linux-gnu aarch64-linux-gnu"

toolchain_select() { # TARGET
	target="$1"
	arch="${target%%-*}"
	libc="${target##*-}"
	host="$arch-linux-gnu"
	local build_triplet
	build_triplet="$(gcc -dumpmachine 2>/dev/null || true)"
	build_arch="${build_triplet%%-*}"
	tool_prefix=
	[ "$build_arch" = "$arch" ] || tool_prefix="$host-"
	gcc="${tool_prefix}gcc"
	AR="${tool_prefix}gcc-ar"
	NM="${tool_prefix}gcc-nm"
	RANLIB="${tool_prefix}gcc-ranlib"
	STRIP="${tool_prefix}strip"
}

machine_flags() {
	case "$arch" in
	aarch64) echo "-mcpu=cortex-a72 -mno-outline-atomics" ;;
	*) echo "" ;;
	esac
}

# What every object of the target wants, the product's own included.
shared_cflags() {
	case "$libc" in
	musl)
		echo "$(machine_flags) -ffunction-sections -fdata-sections" \
			"-fno-unwind-tables -fno-asynchronous-unwind-tables -fomit-frame-pointer"
		;;
	gnu) echo "-fno-omit-frame-pointer" ;;
	esac
}

# Steps of the optimiser that duplicate code or keep values alive, measured to cost bytes: without
# them both programs are 1 % smaller. What is compiled for speed goes without size_cflags.
size_cflags() {
	echo "-Oz -fno-tree-ch -fno-tree-pre -fno-tree-dominator-opts -fno-move-loop-invariants" \
		"-fno-caller-saves -fno-guess-branch-probability -fno-thread-jumps -fno-shrink-wrap"
}

# The stack protector costs 25 KB over all that parses bytes from a network.
library_cflags() {
	case "$libc" in
	musl) echo "$(size_cflags) -flto -DNDEBUG -fstack-protector-strong $(shared_cflags)" ;;
	gnu) echo "-g -O1 $(shared_cflags)" ;;
	esac
}

compiler_version() {
	"$gcc" --version | head -n 1
}

# musl's own wrapper specs know neither static-pie nor a relocated sysroot. These are for static
# programs only, because the sysroot has no shared library. libgcc comes from the cross compiler.
write_musl_specs() { # SYSROOT
	local fix_a53=
	# A Pi 3 and a Zero 2 run the same binary; Debian's compiler would pass this by default.
	[ "$arch" = aarch64 ] && fix_a53="--fix-cortex-a53-843419"
	cat >"$1/lib/musl-gcc.specs" <<-END
	%rename cpp_options hermes_cpp_options

	*cpp_options:
	-nostdinc -isystem $1/include -isystem include%s %(hermes_cpp_options)

	*cc1:
	%(cc1_cpu) -nostdinc -isystem $1/include -isystem include%s

	*link_libgcc:
	-L$1/lib -L .%s

	*libgcc:
	libgcc.a%s libgcc_eh.a%s

	*startfile:
	%{static-pie:$1/lib/rcrt1.o;:$1/lib/crt1.o} $1/lib/crti.o crtbeginS.o%s

	*endfile:
	crtendS.o%s $1/lib/crtn.o

	*link:
	-nostdlib $fix_a53 %{static-pie:-static -pie --no-dynamic-linker -z text;:-static}

	*esp_link:


	*esp_options:


	*esp_cpp_options:


	END
}
