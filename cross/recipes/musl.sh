# shellcheck shell=bash
# The C library, static only. Not compiled with LTO: the compiler calls memcpy and friends on its
# own account after link-time optimisation has decided what is unused. One function per object
# file already gives the linker all it needs.
package=musl
series=1.2.5
needs=linux-headers
targets="*-musl"
bare=1

# Nothing prints a long double, and on aarch64 one has 128 bits and is calculated in software,
# which is 14 KB. So printf calculates with double, which gives the same digits of a double, and
# refuses %Lf.
print_doubles() {
	local file="$source/src/stdio/vfprintf.c"
	sed -i -e "/S('[aA]') = LDBL,\$/d" -e 's/frexpl(/frexp(/' -e "s/long double/double/g" \
		-e 's/LDBL_/DBL_/g' "$file"
	! grep -q 'S(.*= LDBL' "$file"
}

build() {
	print_doubles
	"$source/configure" --target="$arch-linux-musl" --prefix="$PREFIX" \
		--syslibdir="$PREFIX/lib" --disable-shared --disable-gcc-wrapper --disable-debug \
		--enable-optimize=string,malloc CC="$gcc" AR="$AR" RANLIB="$RANLIB" \
		CFLAGS="-Oz $(machine_flags) -fPIE -ffunction-sections -fdata-sections"
	make -j"$JOBS"
	make install DESTDIR="$DESTDIR"
}
