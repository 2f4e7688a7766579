# shellcheck shell=bash
# Where the libraries' sources come from; sourced by sysroot.
#
# The sources are a directory with a SHA256SUMS, whether apt has filled it (the cache) or a person
# brought it along (--offline): the build reads the same thing in both cases. What apt once fetched
# stays in use, without network, until --update asks for newer versions; that is how Debian's
# security fixes arrive. Each recipe pins the upstream series it was written for, so a new
# upstream release is a decision and not an accident.

# The .dsc or .deb that stands for a package, as SHA256SUMS names it.
leading_file() { # PACKAGE KIND
	local suffix='\.dsc'
	[ "$2" = binary ] && suffix='_[a-z0-9]+\.deb'
	[ -f "$sources/SHA256SUMS" ] || return 0
	awk '{ print $2 }' "$sources/SHA256SUMS" | grep -E "^$1_[^_]+$suffix\$" || true
}

version_of() { # LEADING-FILE
	local version="${1#*_}"
	version="${version%.dsc}"
	version="${version%_*.deb}"
	printf '%s' "${version//%3a/:}"
}

upstream_of() { # VERSION
	local version="${1#*:}"
	version="${version%-*}"
	printf '%s' "${version%%[+~]*}"
}

in_series() { # UPSTREAM SERIES
	[ "$1" = "$2" ] || [[ "$1" == "$2".* ]]
}

check_series() { # NAME PACKAGE VERSION SERIES
	local upstream
	upstream="$(upstream_of "$3")"
	in_series "$upstream" "$4" && return
	die "Debian has $2 $3, but recipes/$1.sh was written for $4. Read what changed upstream," \
		"adapt the recipe, set its 'series', and run the same command again."
}

from_release() { HERMES_DEBIAN_RELEASE="$release" "$cross/debian-fetch" "$@"; }

download() { # PACKAGE KIND
	case "$2" in
	binary) from_release binary "$(dpkg --print-architecture)" "$sources" "$1" ;;
	source) from_release source "$sources" "$1" ;;
	esac
}

fetch_package() { # NAME
	local list="$sources/.files/$1"
	load_recipe "$1"
	printf 'sysroot: fetching %s\n' "$package" >&2
	mkdir -p "$sources/.files"
	download "$package" "$kind" >"$list.new" ||
		die "$package could not be fetched; see above. Sources that were there before" \
			"are kept. Without a network: cross/sysroot --offline DIR $target"
	mv "$list.new" "$list"
}

# Only what the last fetch named is in SHA256SUMS; files of older versions are dropped.
write_sums() {
	(
		cd "$sources"
		sed 's,.*/,,' .files/* | sort -u | xargs sha256sum >SHA256SUMS.new
		find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' ! -name '.*' -printf '%f\n' |
			{ grep -vxF -f <(awk '{ print $2 }' SHA256SUMS.new) || true; } | xargs -r rm -f
		mv SHA256SUMS.new SHA256SUMS
	)
}

new_enough() { # VERSION AT-LEAST
	dpkg --compare-versions "$1" ge "${2:-0}"
}

# One that is older than the recipe wants is none: it was fetched for an earlier recipe.
have_source() { # NAME
	local file
	file="$(leading_file "$(recipe_field "$1" package)" "$(recipe_field "$1" kind)")"
	[ -n "$file" ] && new_enough "$(version_of "$file")" "$(recipe_field "$1" at_least)"
}

# A mirror that stands still gives verified lists for ever, and saved sources may be old: neither
# may bring back what a newer version has closed.
check_at_least() { # NAME PACKAGE VERSION AT-LEAST
	new_enough "$3" "$4" && return
	die "$2 $3 is too old: recipes/$1.sh needs $4 or newer. Ask a mirror that has it" \
		"(HERMES_DEBIAN_MIRROR=URI), or save the sources again: cross/sysroot --save-sources DIR"
}

# Asked once for all packages: a Pi takes seconds to answer.
know_repositories() {
	[ -n "${HERMES_DEBIAN_REPOSITORIES:-}" ] || HERMES_DEBIAN_REPOSITORIES="$(
		"$cross/debian-fetch" repositories)"
	export HERMES_DEBIAN_REPOSITORIES
}

# An update reads each kind of package list of each release anew, once.
fetch_sources() { # 'missing' or 'all'
	local name lists refresh fetched=' '
	mkdir -p "$sources"
	exec 8>"$sources/.lock"
	flock 8
	for name in $(recipe_names); do
		if [ "$1" = missing ] && have_source "$name"; then
			continue
		fi
		know_repositories
		lists="$(recipe_field "$name" kind)-$(recipe_field "$name" release)"
		refresh=
		[ "$1" = missing ] || [[ "$fetched" == *" $lists "* ]] || refresh=1
		HERMES_DEBIAN_REFRESH="$refresh" fetch_package "$name"
		fetched="$fetched$lists "
	done
	[ "$fetched" = ' ' ] || write_sums
	exec 8>&-
}

ensure_sources() {
	local name package_name file version
	if [ -z "$offline" ]; then
		fetch_sources "$([ "$update" = 1 ] && echo all || echo missing)"
		warn_if_stale
	elif [ ! -f "$sources/SHA256SUMS" ]; then
		die "$sources has no SHA256SUMS. Make such a directory where there is a network:" \
			"cross/sysroot --save-sources DIR"
	fi
	for name in $(recipe_names); do
		package_name="$(recipe_field "$name" package)"
		file="$(leading_file "$package_name" "$(recipe_field "$name" kind)")"
		[ -n "$file" ] || die "$sources/SHA256SUMS names no $package_name. Save the" \
			"sources again: cross/sysroot --save-sources DIR"
		[ "$(wc -l <<<"$file")" = 1 ] || die "$sources/SHA256SUMS names several versions" \
			"of $package_name:" $file
		version="$(version_of "$file")"
		check_series "$name" "$package_name" "$version" "$(recipe_field "$name" series)"
		check_at_least "$name" "$package_name" "$version" "$(recipe_field "$name" at_least)"
	done
}

warn_if_stale() {
	[ -z "$(find "$sources/SHA256SUMS" -mtime "-$stale_days")" ] &&
		say "the sources were fetched more than $stale_days days ago;" \
			"'cross/sysroot --update $target' asks Debian for security fixes."
	return 0
}

package_sums() { # LEADING-FILE
	if [[ "$1" == *.deb ]]; then
		grep -F "  $1" "$sources/SHA256SUMS"
		return
	fi
	# A .dsc lists its parts; it is itself listed, and so are they.
	grep -F -f <({ echo "$1"; sed -n '/^Files:/,/^[A-Z]/s/^ [0-9a-f]* [0-9]* //p' \
		"$sources/$1"; } | sed 's/^/  /') "$sources/SHA256SUMS"
}

verify_sources() { # LEADING-FILE
	(cd "$sources" && package_sums "$1" | sha256sum --check --quiet --strict) && return
	die "$1 or a part of it in $sources does not match SHA256SUMS. Delete it and fetch" \
		"again (cross/sysroot --update $target), or save the offline directory again."
}

save_sources() { # DIR
	mkdir -p "$1"
	(cd "$sources" && awk '{ print $2 }' SHA256SUMS | xargs cp -t "$(cd "$OLDPWD" && cd "$1" && pwd)")
	cp "$sources/SHA256SUMS" "$1/"
	(cd "$1" && sha256sum --check --quiet --strict SHA256SUMS)
	say "$(wc -l <"$1/SHA256SUMS") files in $1; use them with cross/sysroot --offline $1 TARGET"
}
