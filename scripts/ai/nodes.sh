# shellcheck shell=bash
# shellcheck disable=SC2154  # names cross between the files that are sourced together
#
# From which addresses the nodes ask the registry.
#
# containerd asks the Service's address from the node itself. If the registry's pod is on that very
# node, every network plugin lets it pass. A packet to another node is given the address of the
# interface that it leaves by: the node's own, or that of the tunnel between the nodes. With
# flannel, which K3s has, the tunnel's is the first address of the range from which the node's pods
# get theirs, and the second one is their bridge's; no pod has either. Other plugins with a tunnel
# take its address from elsewhere: NODE_ADDRESSES names those.

# NODE CIDR, one a line, of every node.
node_blocks() {
    # shellcheck disable=SC2016  # the dollars are the template's
    local template='{{range .items}}{{$name := .metadata.name}}{{range .status.addresses -}}
        {{if eq .type "InternalIP"}}{{$name}} {{.address}}{{"\n"}}{{end}}{{end -}}
        {{with .spec.podCIDR}}{{$name}} {{.}}{{"\n"}}{{end}}{{end}}'
    kube --request-timeout=20s get nodes -o go-template="$template" >"$work/nodes" \
        2>"$work/err" || return 1
    awk '$2 !~ /\// { print $1, $2 ($2 ~ /:/ ? "/128" : "/32"); next }
        { address = $2; sub(/\/.*/, "", address) }
        address ~ /:/ { print $1, address "/128"; next }
        { print $1, address "/32"
            last = address; sub(/.*\./, "", last); sub(/[0-9]*$/, "", address)
            print $1, address (last + 1) "/32" }' "$work/nodes"
}

# The CIDRs of NODE_ADDRESSES, one a line. Fails when one is neither an address nor a range.
further_blocks() {
    printf '%s\n' "$NODE_ADDRESSES" | awk -F '[, ]+' '
        function cidr(address) {
            if (address ~ /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/) return address "/32"
            if (address ~ /^[0-9A-Fa-f]*:[0-9A-Fa-f:]*$/) return address "/128"
            if (address ~ /^[0-9A-Fa-f.:]+\/[0-9]+$/) return address
            exit 1
        }
        { for (i = 1; i <= NF; i++) if ($i != "") print cidr($i) }'
}

# Names of the nodes that the registry's policy does not admit by all their addresses.
nodes_left_out() {
    local template admitted
    template='{{range .spec.ingress}}{{range .from}}{{with .ipBlock}}{{.cidr}}{{"\n"}}{{end}}'
    admitted=$(kube get networkpolicy registry -n "$REGISTRY_NAMESPACE" --ignore-not-found \
        -o go-template="$template{{end}}{{end}}" 2>/dev/null) || return 1
    node_blocks >"$work/blocks" || return 1
    printf '%s\n' "$admitted" | awk 'NR == FNR { known[$1] = 1; next }
        !($2 in known) && !($1 in told) { print $1; told[$1] = 1 }' - "$work/blocks"
}
