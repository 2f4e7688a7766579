# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # names cross between the files that are sourced together
#
# What the scripts behind `make ai-*` share: settings, asking the cluster, and talking to a person.
#
# They run on the laptop of whoever has kubectl, which may be a Mac: bash 3.2, and the userland of
# BSD or busybox. So there are no associative arrays, no mapfile, no `timeout`, no `date -d`, no jq;
# what is read from the cluster comes through one template (objects.tmpl), as lines.
#
# A question to the cluster is never waited for without end: a laptop that was closed, a VPN that is
# gone and a node without power all look like silence. Every call of kubectl has a limit, and a loop
# that waits lives through a minute of unanswered ones, because K3s restarts at times.
#
# Nothing secret may pass through here. Values of secrets go from a file to kubectl and from there
# through a pipe; never into an argument, a variable or a message.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly HERE=scripts/ai

# ---- settings: from the environment, or `make ai-... NAME=value`

: "${KUBECTL:=kubectl}"
: "${KUBE_CONTEXT:=}"
: "${NAMESPACE:=hermes}"
: "${REGISTRY:=registry.registry:5000}"
: "${REGISTRY_IP:=10.43.0.50}"
: "${REGISTRY_IMAGE:=registry:2.8.3}"
: "${NODE_PORT:=}"
: "${NODE_ADDRESSES:=}"
: "${KANIKO_IMAGE:=}"
: "${BASE_IMAGE:=debian:trixie-slim}"
: "${BUILD_HTTP_PROXY:=}"
: "${CONTEXT:=}"
: "${CONFIG:=k8s/config.yaml}"
: "${SECRETS:=k8s/secrets.env}"
: "${HERMES_MODEL:=free}"
: "${ROUTER:=}"
: "${AGENT_API:=}"
: "${KUBERNETES_MCP:=}"
: "${TIMEOUT:=}"
: "${TAG:=}"
: "${POLL:=2}"         # seconds between two looks at the cluster
: "${PATIENCE:=15}"    # seconds that something must stay wrong before waiting for it ends
: "${CALL_LIMIT:=30}"  # seconds that one call of kubectl may take
: "${OUTAGE_LIMIT:=60}" # seconds that the cluster may be silent while we wait for it
[ -n "${KUBECONFIG:-}" ] || unset KUBECONFIG

readonly REGISTRY_NAMESPACE=registry # the registry's and the builds'
readonly OUTPUT=build/ai
readonly LOG_LINES=20                # that are shown of a container that failed
readonly LOG_SEARCHED=200            # that are looked through for the cause

# Is the registry the one that `make ai-registry` makes in this cluster?
own_registry() {
    case $REGISTRY in
    registry.registry:5000 | registry.registry.*) ;;
    *) return 1 ;;
    esac
}

# ---- talking

bold='' dim='' red='' green='' plain='' live=''
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    live=1
    if [ -z "${NO_COLOR:-}" ]; then
        bold=$'\033[1m' dim=$'\033[2m' red=$'\033[31m' green=$'\033[32m' plain=$'\033[0m'
    fi
fi

say() { clear_live; printf '%s\n' "$*"; }
head_line() { say "$bold$*$plain"; }
good() { say "${green}ok$plain  $*"; }
note() { say "    $*"; }
warn() { clear_live; printf '%s\n' "${red}!!$plain  $*" >&2; }

# The first argument is what is wrong, each further one a line on what to do about it.
die() {
    clear_live
    printf '%s\n' "${red}failed:$plain $1" >&2
    shift
    [ $# -eq 0 ] || printf '        %s\n' "$@" >&2
    exit 1
}

# Shows a file as somebody else's words.
quote_lines() { sed "s/^/    $dim|$plain /"; }

# One line that changes on a terminal; elsewhere a line when the stage changes, and one every half
# minute so that nobody takes a long build for a dead one.
live_shown='' stage_shown='' stage_time=0

clear_live() {
    [ -z "$live_shown" ] || printf '\r\033[K'
    live_shown=''
}

progress() { # STAGE [DETAIL]
    local detail=${2:-}
    if [ -n "$live" ]; then
        local text width
        text="    $1, $(span "$((SECONDS - waiting_since))")${detail:+: $detail}"
        width=$(columns)
        printf '\r%s\033[K' "${text:0:$((width - 1))}"
        live_shown=1
    elif [ "$1" != "$stage_shown" ]; then
        say "    $1"
        stage_time=$SECONDS
    elif [ $((SECONDS - stage_time)) -ge 30 ]; then
        say "    $1, $(span "$((SECONDS - waiting_since))")${detail:+: $detail}"
        stage_time=$SECONDS
    fi
    stage_shown=$1
}

columns() {
    local size
    size=$(stty size 2>/dev/null </dev/tty) || size='24 80'
    size=${size#* }
    case $size in '' | 0 | *[!0-9]*) size=80 ;; esac
    printf '%s' "$size"
}

span() { # SECONDS
    if [ "$1" -lt 120 ]; then
        printf '%d s' "$1"
    elif [ "$1" -lt 7200 ]; then
        printf '%d min %d s' $(($1 / 60)) $(($1 % 60))
    elif [ "$1" -lt 172800 ]; then
        printf '%d h %d min' $(($1 / 3600)) $(($1 % 3600 / 60))
    else
        printf '%d days' $(($1 / 86400))
    fi
}

# Seconds since 1970 of a time as Kubernetes writes it; neither GNU's nor BSD's date reads it
# without being told how.
epoch() { # 2026-01-31T12:00:00Z
    awk -v t="$1" 'BEGIN {
        split(t, p, /[-T:Z.]/)
        y = p[1]; m = p[2]; d = p[3]
        if (m <= 2) { y--; m += 12 }
        days = 365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * (m - 3) + 2) / 5) + d
        printf "%d", (days - 719469) * 86400 + p[4] * 3600 + p[5] * 60 + p[6]
    }'
}

age() { # TIME
    local seconds
    seconds=$(($(date +%s) - $(epoch "$1")))
    [ "$seconds" -ge 0 ] || seconds=0 # clocks differ
    span "$seconds"
}

# ---- tidying up

work=$(mktemp -d "${TMPDIR:-/tmp}/hermes-ai.XXXXXX") # 0700, as mktemp makes it
child='' on_interrupt='stopped'

finish() {
    clear_live
    [ -z "$child" ] || kill "$child" 2>/dev/null || true
    rm -rf "$work"
}

# Whatever was redirected when the interrupt came, this is for the person.
exec 8>&2
interrupted() {
    [ -z "$live_shown" ] || printf '\r\033[K' >&8
    printf '%s\n' "$on_interrupt" >&8
    live_shown=''
    exit 130
}
trap finish EXIT
trap interrupted INT TERM

# ---- asking the cluster

# Runs a command for SECONDS at most; 124 when it took longer. The child is looked at rather than
# waited for, so that an interrupt is obeyed at once: bash runs traps between commands.
limited() { # SECONDS COMMAND...
    local seconds=$1 start=$SECONDS status=0 mine
    shift
    exec 9<&0
    "$@" <&9 9<&- 8>&- &
    mine=$!
    exec 9<&-
    child=$mine
    # In $(...) the trap of the script is not in force, and kubectl would be left behind.
    # shellcheck disable=SC2064
    [ "${BASH_SUBSHELL:-0}" -eq 0 ] || trap "kill $mine 2>/dev/null; exit 130" INT TERM
    while kill -0 "$mine" 2>/dev/null; do
        if [ $((SECONDS - start)) -gt "$seconds" ]; then
            kill "$mine" 2>/dev/null || true
            sleep 0.2
            kill -9 "$mine" 2>/dev/null || true
            status=124
            break
        fi
        sleep 0.1
    done
    wait "$mine" 2>/dev/null || [ "$status" -ne 0 ] || status=$?
    child=''
    return "$status"
}

kube() {
    local status=0
    # KUBECTL may be two words, as in "k3s kubectl".
    # shellcheck disable=SC2086
    limited "${limit:-$CALL_LIMIT}" $KUBECTL ${KUBE_CONTEXT:+--context="$KUBE_CONTEXT"} "$@" ||
        status=$?
    [ "$status" -ne 124 ] || printf 'no answer within %s s\n' "${limit:-$CALL_LIMIT}" >&2
    return "$status"
}

# What kubectl complained about in $work/err, in one line and without Go's decoration.
complaint() {
    grep -v '^[EIW][0-9]' "$work/err" 2>/dev/null | sed 's/^error: //' | tail -n 3 | tr '\n' ' ' |
        sed 's/  */ /g; s/ $//'
}

context_name() {
    [ -n "$KUBE_CONTEXT" ] || limit=10 kube config current-context 2>/dev/null || true
    printf '%s' "$KUBE_CONTEXT"
}

server_version=''

# Everything that can be known before anything is changed.
# shellcheck disable=SC2120  # some change nothing and need no right
preflight() { # VERB:RESOURCE:NAMESPACE...
    need_kubectl
    reach_cluster
    local right
    for right in "$@"; do
        need_right "$right"
    done
}

need_kubectl() {
    command -v "${KUBECTL%% *}" >/dev/null 2>&1 || die "there is no $KUBECTL on this machine" \
        'Install it: https://kubernetes.io/docs/tasks/tools/ (on a Mac: brew install kubectl),' \
        "or name it: make ... KUBECTL='k3s kubectl'"
    [ -z "$TIMEOUT" ] || case $TIMEOUT in
    *[!0-9]*) die "TIMEOUT=$TIMEOUT is not a number of seconds" ;;
    esac
}

reach_cluster() {
    local version
    if ! version=$(kube --request-timeout=10s get --raw /version 2>"$work/err"); then
        die "no cluster replies (context: $(context_name)): $(complaint)" \
            'List the clusters with kubectl config get-contexts; choose one with' \
            'KUBE_CONTEXT=NAME or KUBECONFIG=FILE. From K3s: copy /etc/rancher/k3s/k3s.yaml here' \
            "and put the node's address into its server: line. Is the node on?"
    fi
    server_version=$(printf '%s\n' "$version" | sed -n 's/.*"gitVersion": *"\([^"]*\)".*/\1/p')
    [ -n "$server_version" ] || die "the server is not Kubernetes (context: $(context_name))"
}

need_right() { # VERB:RESOURCE[/SUBRESOURCE]:NAMESPACE
    local verb resource namespace answer part=''
    IFS=: read -r verb resource namespace <<<"$1"
    # What follows a slash would be the name of an object.
    case $resource in */*) part=${resource#*/} ;; esac
    answer=$(kube auth can-i "$verb" "${resource%%/*}" ${part:+--subresource="$part"} \
        ${namespace:+-n "$namespace"} 2>/dev/null) || true
    [ "${answer%% *}" != no ] || die \
        "kubectl's user may not $verb $resource${namespace:+ in the namespace $namespace}" \
        "Use an administrator's kubeconfig: KUBECONFIG=FILE or KUBE_CONTEXT=NAME."
}

# ---- changing it

# A quoted YAML scalar.
yaml() {
    local text=$1 quote="'"
    printf "'%s'" "${text//$quote/$quote$quote}"
}

# An image reference as the fields of kustomize's `images:`. What follows the last colon is a tag
# unless a slash follows too: then it is a host's port.
image_fields() { # IMAGE[:TAG][@DIGEST]
    local name=${1%%@*} tag='' digest=''
    [ "$name" = "$1" ] || digest=${1#*@}
    case ${name##*/} in *:*) tag=${name##*:} name=${name%:*} ;; esac
    [ -n "$tag$digest" ] || tag=latest
    printf '    newName: %s\n' "$(yaml "$name")"
    [ -z "$tag" ] || printf '    newTag: %s\n' "$(yaml "$tag")"
    [ -z "$digest" ] || printf '    digest: %s\n' "$(yaml "$digest")"
}

# An empty overlay folder under build/ai/; its kustomization.yaml is read from stdin.
overlay() { # NAME
    mkdir -p "$OUTPUT/$1"
    cat >"$OUTPUT/$1/kustomization.yaml"
}

# Server-side, because a client-side apply copies the whole object into an annotation, and the
# sources are too large for that.
apply_overlay() { # NAME
    local count
    if ! kube kustomize "$OUTPUT/$1" >"$work/rendered" 2>"$work/err"; then
        die "kubectl could not put $OUTPUT/$1 together: $(complaint)" \
            'An old kubectl lacks parts of kustomize; 1.24 is new enough.'
    fi
    if ! limit=120 kube apply --server-side --force-conflicts -f - <"$work/rendered" \
        >"$work/applied" 2>"$work/err"; then
        quote_lines <"$work/err" >&2
        explain_refusal
    fi
    # Pod Security's remark on something that it will refuse is worth more than a failure later.
    grep '^Warning' "$work/err" 2>/dev/null | quote_lines || true
    count=$(grep -c . "$work/applied" || true)
    note "$count objects are in place"
}

explain_refusal() {
    local why
    why=$(complaint)
    case $why in
    *'already allocated'* | *'not in the valid range'* | *'valid range of service IPs'*)
        die "the registry cannot have the address $REGISTRY_IP in this cluster" \
            "Choose a free one of the cluster's service range: make ... REGISTRY_IP=ADDRESS, and" \
            'install it on the nodes: REGISTRY_IP=ADDRESS registry/install-node' ;;
    *'field is immutable'* | *'may not change once set'*)
        die 'something that exists cannot be changed in this way, see above' \
            'Delete that object with kubectl, then run this again.' ;;
    *orbidden*)
        die 'the cluster refuses it, see above' "Use an administrator's kubeconfig." ;;
    *) die 'the cluster did not accept it, see above' 'Nothing is broken; run it again.' ;;
    esac
}

ensure_namespace() { # NAME
    kube get namespace "$1" >/dev/null 2>&1 ||
        kube create namespace "$1" >/dev/null 2>"$work/err" ||
        kube get namespace "$1" >/dev/null 2>&1 ||
        die "the namespace $1 could not be created: $(complaint)"
}
