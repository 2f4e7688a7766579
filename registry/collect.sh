#!/bin/sh
#
# Deletes old images and frees their space. collect.yaml runs it every night in the registry's own
# image, on the registry's volume; it needs only a busybox shell.
#
# It keeps the KEEP_TAGS most recently pushed tags of every repository, and `latest`. In a build
# cache (a repository called .../cache), it keeps what was pushed within KEEP_CACHE_DAYS. It deletes
# older images even if one of them still runs: its node has the image, but another node cannot fetch
# it.
#
# Three things could go wrong, and are prevented:
#
# - The registry's garbage collector must not run during a push: blobs arrive first and the manifest
#   that refers to them last, so it would treat a half-pushed image as garbage. It has no lock. This
#   script therefore does nothing while an upload is open, or while layers have arrived whose image
#   has not. If a push still slips in, an image that lost a layer is deleted at the end: a missing
#   image is built again, whereas a broken one in the build cache would fail every build for two
#   weeks.
# - `garbage-collect --delete-untagged` also deletes the parts of an image for several
#   architectures, because only the whole has a tag. This script therefore deletes untagged
#   manifests itself, and runs the collector without that option.
# - The registry must not remember deleted blobs: config.yml gives it no cache of blobs.

set -eu

storage=${STORAGE:-/var/lib/registry}
config=${CONFIG:-/etc/docker/registry/config.yml}
keep_tags=${KEEP_TAGS:-10}
keep_cache_days=${KEEP_CACHE_DAYS:-15}
quiet_minutes=${QUIET_MINUTES:-60}  # 0 looks for no push
blobs=$storage/docker/registry/v2/blobs/sha256

say() { printf 'collect: %s\n' "$*"; }
die() { say "$*"; exit 1; }

# Names of repositories and tags hold neither blanks nor globs: the registry refuses such.
repositories() { find . -type d -name _layers -prune | sed 's,^\./,,; s,/_layers$,,' | sort; }
tags() { (cd "$1/_manifests/tags" 2>/dev/null && ls -t -- */current/link 2>/dev/null) |
    sed 's,/current/link$,,'; }

# A digest here is its 64 hexadecimal digits.
blob() { printf '%s/%.2s/%s/data' "$blobs" "$1" "$1"; }
parts() { grep -soE '"digest" *: *"sha256:[0-9a-f]{64}"' "$(blob "$1")" |
    grep -oE '[0-9a-f]{64}'; }
is_manifest() { [ -d "$1/_manifests/revisions/sha256/$2" ]; }  # REPOSITORY DIGEST
tagged() { sed 's,^sha256:,,' "$1/_manifests/tags/$2/current/link"; }  # REPOSITORY TAG

# An image's manifest and blobs, and those of its architectures.
contents() {  # REPOSITORY DIGEST
    printf '%s\n' "$2"
    for part in $(parts "$2"); do
        if is_manifest "$1" "$part"; then (contents "$1" "$part"); else printf '%s\n' "$part"; fi
    done
}

reachable() {  # REPOSITORY
    for tag in $(tags "$1"); do
        contents "$1" "$(tagged "$1" "$tag")"
    done
}

# Is the image there with all its parts, and theirs?
whole() {  # REPOSITORY DIGEST
    is_manifest "$1" "$2" && [ -s "$(blob "$2")" ] || return 1
    for part in $(parts "$2"); do
        [ -e "$(blob "$part")" ] || return 1
        ! is_manifest "$1" "$part" || (whole "$1" "$part") || return 1
    done
}

ever_tagged() {  # REPOSITORY
    for folder in "$1"/_manifests/tags/*/index/sha256/*; do
        contents "$1" "${folder##*/}"
    done
}

# Files that say that something is being pushed: an upload that is open, or a layer or manifest that
# came lately and belongs to nothing that has or had a tag.
pushed_now() {
    find . -path '*/_uploads/*' -type f -mmin "-$quiet_minutes"
    for repository in $(repositories); do
        recent=$(find "$repository/_layers" "$repository/_manifests/revisions" -name link \
            -mmin "-$quiet_minutes" 2>/dev/null || true)
        [ -n "$recent" ] || continue
        known=" $(ever_tagged "$repository" | tr '\n' ' ')"
        for link in $recent; do
            digest=${link%/link}
            case $known in
            *" ${digest##*/} "*) ;;
            *) printf '%s\n' "$link" ;;
            esac
        done
    done
}

old_tags() {
    case $1 in
    */cache) (cd "$1/_manifests/tags" &&
        find . -path './*/current/link' -mtime "+$((keep_cache_days - 1))") |
        sed 's,^\./,,; s,/current/link$,,' ;;
    *) tags "$1" | grep -vx latest | tail -n "+$((keep_tags + 1))" ;;
    esac
}

drop_tag() {  # REPOSITORY TAG WHY
    rm -rf "$1/_manifests/tags/$2"
    say "forgot $1:$2, $3"
}

drop_old_tags() {
    for repository in $(repositories); do
        for tag in $(old_tags "$repository"); do
            drop_tag "$repository" "$tag" old
        done
    done
}

drop_broken_tags() {
    for repository in $(repositories); do
        for tag in $(tags "$repository"); do
            whole "$repository" "$(tagged "$repository" "$tag")" ||
                drop_tag "$repository" "$tag" 'because a part of it is missing: push it again'
        done
    done
}

drop_untagged() {
    for repository in $(repositories); do
        known=" $(reachable "$repository" | tr '\n' ' ')"
        for folder in "$repository"/_manifests/revisions/sha256/*; do
            digest=${folder##*/}
            case $known in
            *" $digest "*) ;;
            *) rm -rf "$folder" "$repository"/_manifests/tags/*/index/sha256/"$digest" ;;
            esac
        done
    done
}

used() { du -sk "$storage" | cut -f1; }

[ -r "$config" ] || die "cannot read $config"
cd "$storage/docker/registry/v2/repositories" 2>/dev/null || {
    say 'nothing was ever pushed'
    exit
}

busy=$(pushed_now | head -n 1)
[ -z "$busy" ] || die "did nothing: a push began within the last $quiet_minutes minutes" \
    "and is not complete (${busy#./}); trying again later"

before=$(used)
drop_old_tags
drop_broken_tags
drop_untagged
garbage=$(registry garbage-collect "$config" 2>&1) || {
    printf '%s\n' "$garbage" | tail -n 5
    die 'the garbage collector failed, see above'
}
drop_broken_tags
say "$((before / 1024)) MiB before, $(($(used) / 1024)) MiB now"
