# shellcheck shell=bash
# shellcheck disable=SC2154  # names cross between the files that are sourced together
#
# The content that was built under each tag.
#
# A tag can be pushed again by whoever may push, and what a node has under it may be older. So what
# runs is named by its digest. The builder leaves it in the status of its pod, and from there it
# goes into a ConfigMap beside the builds, NAME-images: for each tag the image that was built, as
# IMAGE@DIGEST. To change that takes an administrator of the cluster, not a push. An entry has some
# 100 bytes, so there is room for ten thousand builds.

# Where the registry keeps an image's manifests, below its volume.
readonly STORED=/var/lib/registry/docker/registry/v2/repositories

remember_image() { # NAME TAG IMAGE@DIGEST
    local there
    there=$(kube get configmap "$1-images" -n "$REGISTRY_NAMESPACE" --ignore-not-found -o name \
        2>"$work/err") || return 1
    if [ -z "$there" ]; then
        kube create configmap "$1-images" -n "$REGISTRY_NAMESPACE" "--from-literal=$2=$3"
    else
        kube patch configmap "$1-images" -n "$REGISTRY_NAMESPACE" --type merge \
            -p "$(printf '{"data":{"%s":"%s"}}' "$2" "$3")"
    fi >/dev/null 2>"$work/err"
}

# Prints IMAGE@DIGEST of what was built here under a tag; nothing when no build recorded it. Fails
# when the cluster does not say.
remembered_image() { # NAME REPOSITORY TAG
    local image
    image=$(kube get configmap "$1-images" -n "$REGISTRY_NAMESPACE" --ignore-not-found \
        -o go-template="{{with .data}}{{with index . \"$3\"}}{{.}}{{end}}{{end}}" \
        2>"$work/err") || return 1
    case $image in "$REGISTRY/$2@sha256:"*) printf '%s' "$image" ;; esac
}

# Is this very content in the cluster's own registry? Looked at in its volume, because this machine
# need not reach the registry, nor know its password.
is_stored() { # REPOSITORY DIGEST
    own_registry && kube exec -n "$REGISTRY_NAMESPACE" deployment/registry -- test -s \
        "$STORED/$1/_manifests/revisions/sha256/${2#sha256:}/link" >/dev/null 2>&1 </dev/null
}
