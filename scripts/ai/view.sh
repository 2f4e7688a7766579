# shellcheck shell=bash
# shellcheck disable=SC2154  # names cross between the files that are sourced together
#
# Whether the agent sees the cluster: k8s/kubernetes-mcp, a container more in its pod and the right
# to read. It is deployed when its image was built here and the configuration speaks of it, unless
# KUBERNETES_MCP=0. What was granted for an earlier deploy goes when it is not.

view_image='' # of kubernetes-mcp-server; empty: the agent does not see the cluster

# The Dockerfile pins the version, and the image is called by it.
mcp_version() {
    local version
    version=$(sed -n 's/^ARG VERSION=v\{0,1\}//p' kaniko/Dockerfile.kubernetes-mcp | head -n 1)
    [ -n "$version" ] || die 'kaniko/Dockerfile.kubernetes-mcp names no version (ARG VERSION=...)'
    printf 'v%s' "$version"
}

check_view() {
    case $KUBERNETES_MCP in
    '' | 0) ;;
    *) die "KUBERNETES_MCP=$KUBERNETES_MCP means nothing" \
        'KUBERNETES_MCP=0 deploys the agent without a view of the cluster.' ;;
    esac
}

# A configuration of one's own may not have the server.
view_is_wanted() {
    [ "$KUBERNETES_MCP" != 0 ] && grep -q '^[^#]*HERMES_KUBERNETES_MCP' "$CONFIG"
}

choose_view() {
    local tag
    [ "$KUBERNETES_MCP" != 0 ] || return 0
    if ! view_is_wanted; then
        note "$CONFIG has no mcp_servers.kubernetes as k8s/config.yaml has:" \
            'the agent will not see the cluster'
        return
    fi
    tag=$(mcp_version)
    view_image=$(remembered_image kubernetes-mcp kubernetes-mcp-server "$tag") || builds_unknown
    if [ -n "$view_image" ]; then
        view_image=${view_image%%@*}:$tag@${view_image##*@}
        note "$view_image, through which the agent sees the cluster"
    else
        note "kubernetes-mcp-server $tag was not built here: the agent will not see the cluster" \
            '(make ai-kubernetes-mcp-build builds it)'
    fi
}

# What is not in a namespace has its name for itself in the cluster, and two agents may be there.
name_view() {
    local kind
    for kind in ClusterRole ClusterRoleBinding; do
        printf '  - target:\n      kind: %s\n    options:\n      allowNameChange: true\n' "$kind"
        printf '    patch: |\n      - op: replace\n        path: /metadata/name\n'
        printf '        value: %s\n' "$(yaml "$NAMESPACE-kubernetes-mcp")"
    done
    printf '      - op: replace\n        path: /subjects/0/namespace\n        value: %s\n' \
        "$(yaml "$NAMESPACE")"
}

# The policy is a part that everybody may look for who deploys an agent, and goes last.
close_view() {
    local there
    [ -z "$view_image" ] || return 0
    if there=$(kube get networkpolicy hermes-kubernetes-mcp -n "$NAMESPACE" --ignore-not-found \
        -o name 2>"$work/err"); then
        [ -n "$there" ] || return 0
        ! remove_view || return 0
    fi
    warn "what the agent was granted to see the cluster could not be removed: $(complaint)"
}

remove_view() {
    kube delete "clusterrolebinding/$NAMESPACE-kubernetes-mcp" \
        "clusterrole/$NAMESPACE-kubernetes-mcp" --ignore-not-found >/dev/null 2>"$work/err" &&
        kube delete serviceaccount/kubernetes-mcp networkpolicy/hermes-kubernetes-mcp \
            -n "$NAMESPACE" --ignore-not-found >/dev/null 2>"$work/err"
}
