# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # names cross between the files that are sourced together
#
# What is built, packed, and what its image is called.
#
# The sources reach the cluster inside ConfigMaps, which want no git host and no shared disk. One
# holds 1 MiB with everything in it, so the archive is cut into parts. The build's pod joins them,
# and compares the result with a digest. There are always PARTS of them, the last ones empty, so
# that none of an earlier build is left. The archive has what the build reads and nothing else, by a
# list: a folder that somebody adds to the tree must not quietly end a build that worked.
#
# The image's tag is the commit. When the tree differs from it in anything that is packed, the tag
# says so and carries a checksum of what was packed: the same tag never means two contents, which is
# why a node may keep an image it has.

# What scripts/build, cross/sysroot and the Dockerfiles read.
readonly PACKED="LICENSE LICENSES NOTICE cross kaniko meson.build meson_options.txt \
scripts/build scripts/ca_roots.py scripts/deps scripts/embed.py scripts/jobs \
scripts/zones.py src"
readonly PARTS=4      # the Jobs in kaniko/ mount as many
readonly PART_KIB=900 # of a part at most
readonly LIMIT=$((PARTS * PART_KIB * 1024)) # bytes of a packed context
readonly PACKAGE=$OUTPUT/context.tar.gz

# The files, one a line. What editors, Macs and compilers leave beside sources stays here, and so
# does whatever looks like a secret.
packed_files() {
    local entry
    for entry in $PACKED; do
        [ -e "$entry" ] || die "$entry is missing from this tree" 'Is this a whole checkout?'
    done
    # shellcheck disable=SC2086  # a list
    find $PACKED \( -type f -o -type l \) ! -name '.DS_Store' ! -name '._*' ! -name '*~' \
        ! -name '*.sw[op]' ! -name '*.py[co]' ! -name '*.[oa]' ! -name '*.env' ! -name '*.pem' \
        ! -name '*.key' ! -name 'docker-config.json' | LC_ALL=C sort
}

# 8 digits that stand for the content of what is packed.
packed_checksum() {
    local sum
    sum=$(packed_files | tr '\n' '\0' | xargs -0 cksum | cksum | cut -d ' ' -f 1) || return 1
    printf '%08x' "$sum"
}

# The tag of the tree as it is: the commit, with a mark when the tree is not that commit.
tree_tag() {
    local commit changes sum
    if ! commit=$(git rev-parse --short HEAD 2>/dev/null); then
        sum=$(packed_checksum) || return 1
        printf 'tree-%s' "$sum" # an archive of the sources without their history
        return
    fi
    # shellcheck disable=SC2086  # a list
    changes=$(git status --porcelain -- $PACKED 2>/dev/null) || changes=unknown
    if [ -z "$changes" ]; then
        printf '%s' "$commit"
    else
        sum=$(packed_checksum) || return 1
        printf '%s-dirty-%s' "$commit" "$sum"
    fi
}

# With CONTEXT the sources are somebody else's: the commit that it names, or else the time.
context_tag() {
    local commit=${CONTEXT##*#}
    case $commit in
    *[!0-9a-f]* | '' | ?????? | ????? | ???? | ??? | ?? | ?) date -u +git-%Y%m%d%H%M%S ;;
    *) printf '%s' "$commit" | cut -c 1-12 ;;
    esac
}

choose_tag() {
    if [ -z "$TAG" ]; then
        if [ -n "$CONTEXT" ]; then TAG=$(context_tag); else TAG=$(tree_tag) || exit 1; fi
    fi
    case $TAG in
    [.-]* | *[!A-Za-z0-9_.-]*) die "TAG=$TAG cannot be an image's tag" \
        'Letters, digits, dots, dashes and underscores; not a dot or dash at the beginning.' ;;
    esac
}

# Packs the context and says how large it is.
pack() {
    local size files
    mkdir -p "$OUTPUT"
    packed_files >"$work/files"
    files=$(grep -c . "$work/files")
    # By their names, since not every tar reads a list. A Mac's would add a file for every file's
    # attributes.
    # shellcheck disable=SC2046
    (set -f; IFS=$'\n'; COPYFILE_DISABLE=1 tar $(anybody) -cf "$work/context.tar" \
        $(cat "$work/files"))
    gzip -9 -n -c "$work/context.tar" >"$PACKAGE.new"
    rm -f "$work/context.tar"
    size=$(wc -c <"$PACKAGE.new")
    if [ "$size" -gt "$LIMIT" ]; then
        largest >"$work/words"
        rm -f "$PACKAGE.new"
        quote_lines <"$work/words" >&2
        die "the packed sources are $(kib "$size") KiB, more than $(kib "$LIMIT") KiB" \
            "They travel in $PARTS ConfigMaps of 1 MiB. The largest are listed above." \
            'Remove files that are not sources, or let the cluster fetch them from git:' \
            'make ai-hermes-build CONTEXT=git://HOST/PATH#refs/heads/BRANCH'
    fi
    mv "$PACKAGE.new" "$PACKAGE"
    note "the sources: $files files, packed $(kib "$size") of at most $(kib "$LIMIT") KiB"
}

# The package as part-1 to part-PARTS in a folder. dd complains where the file has ended.
cut_package() { # FOLDER
    local number=1
    while [ "$number" -le "$PARTS" ]; do
        dd if="$PACKAGE" of="$1/part-$number" bs="${PART_KIB}k" skip=$((number - 1)) count=1 \
            2>"$work/err" || die "the packed sources could not be cut: $(complaint)"
        number=$((number + 1))
    done
}

# A Mac has only shasum.
package_digest() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$PACKAGE"
    else
        shasum -a 256 "$PACKAGE"
    fi | cut -d ' ' -f 1
}

# Options with which the archive does not say whose the files are, one a line: the key of kaniko's
# cache has owners in it, and two people's builds shall share one. Some tar knows none.
anybody() {
    local kind
    kind=$(tar --version 2>/dev/null | head -n 1) || kind=''
    case $kind in
    *GNU*) printf '%s\n' --owner=0 --group=0 --mode=u=rwX,go=rX ;;
    bsdtar*) printf '%s\n' --uid=0 --gid=0 ;;
    esac
}

kib() { printf '%d' $((($1 + 1023) / 1024)); }

# sed reads to the end, where head would break sort's pipe.
largest() {
    tr '\n' '\0' <"$work/files" | xargs -0 wc -c | grep -v ' total$' | sort -rn | sed '11,$d'
}

# An archive with nothing in it, for the mount when the sources come from git.
pack_nothing() {
    mkdir -p "$OUTPUT"
    # The two blocks of zeros that end every tar archive.
    dd if=/dev/zero bs=512 count=2 2>/dev/null | gzip -9 -n -c >"$PACKAGE"
}
