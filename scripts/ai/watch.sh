# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # names cross between the files that are sourced together
#
# What keeps a workload from working, and waiting for one that may yet work.
#
# Kubernetes tries everything for ever, so "not ready yet" and "never" look the same from outside.
# The difference is the reason: an image that cannot be pulled, a Secret that is not there or a
# program that ends at once do not mend themselves. So each reason found here has a patience (how
# long it may stand before waiting ends), a sentence on what it is and one on what to do. Both the
# targets that wait and `make ai-status` use them, so that the two never tell different stories.

# What mends itself at times: a network, a node that starts, a volume that is being made.
# shellcheck disable=SC2153  # a setting; patience is what was found
readonly LONG=$((PATIENCE * 3)) LONGER=$((PATIENCE * 6))

# ---- looking

# Everything of a workload: $work/objects and $work/events, as lines of objects.tmpl.
look() { # NAMESPACE NAME
    local kinds=deployments.apps,replicasets.apps,jobs.batch,pods,persistentvolumeclaims
    kube --request-timeout=20s get "$kinds" -n "$1" -l "app.kubernetes.io/name=$2" \
        -o go-template-file="$HERE/objects.tmpl" >"$work/objects.new" 2>"$work/err" || return 1
    kube --request-timeout=20s get events -n "$1" --field-selector type=Warning \
        -o go-template-file="$HERE/objects.tmpl" >"$work/events.new" 2>"$work/err" || return 1
    mv "$work/objects.new" "$work/objects"
    mv "$work/events.new" "$work/events"
}

rows() { sed -n "s/^$1|//p" "$work/objects"; }

# Text that the template quoted, in one line.
unquoted() {
    printf '%s\n' "$1" | sed 's/^"//; s/"$//; s/\\[nt]/ /g; s/\\"/"/g; s/\\\\/\\/g'
}

# The newest warning about an object, its message alone. REASONS is a pattern for awk.
warning() { # KIND NAME REASONS
    local line
    line=$(awk -F '|' -v kind="$1" -v name="$2" -v reasons="^($3)$" '
        $2 == kind && $3 == name && $4 ~ reasons && $6 >= newest { newest = $6; line = $0 }
        END { print line }' "$work/events")
    [ -n "$line" ] || return 1
    unquoted "$(printf '%s\n' "$line" | cut -d '|' -f 7-)"
}

# ---- one pod

pod='' phase='' leaving='' node='' pod_reason='' scheduled='' pod_message='' container=''
state='' reason='' exit_code='' restarts='' last_reason='' last_exit='' message='' ready=''
started='' last_time='' created=''

# The newest pod that is not about to go; of a Deployment, one of its present revision.
choose_pod() { # [HASH]
    pod=''
    local line
    line=$(rows pod | awk -F '|' -v hash="${1:-}" '
        $3 == "" && (hash == "" || $5 == hash) && $6 >= newest { newest = $6; line = $0 }
        END { print line }')
    [ -n "$line" ] || return 1
    read_pod "$line"
}

read_pod() { # ROW
    local hash
    IFS='|' read -r pod phase leaving node hash created pod_reason scheduled pod_message <<<"$1"
    pod_message=$(unquoted "$pod_message")
    ready='' restarts='' state='' reason='' exit_code='' last_reason='' last_exit='' message=''
    container=''
    local line
    # The one that keeps the pod from being ready; the agent's before its hands'.
    line=$(rows container | awk -F '|' -v pod="$pod" '
        $1 != pod { next }
        first == "" { first = $0 }
        $2 == "hermes" { agent = $0; if ($3 != "ready") unready = $0 }
        unready == "" && $3 != "ready" { unready = $0 }
        END { print unready != "" ? unready : agent != "" ? agent : first }')
    [ -n "$line" ] || return 0
    IFS='|' read -r hash container ready restarts state reason exit_code started last_reason \
        last_exit last_time message <<<"$line"
    message=$(unquoted "$message")
}

# The hash that the pods of a Deployment's present revision carry.
present_hash() { # NAME
    local revision
    revision=$(rows deployment | awk -F '|' -v name="$1" '$1 == name { print $8 }')
    rows replicaset | awk -F '|' -v r="$revision" '$2 == r { hash = $3 } END { print hash }'
}

# ---- reasons

# What was found: a word, what to do, why, and the seconds that it may stand.
trouble='' todo='' why='' patience=''

found() { # WORD PATIENCE ADVICE WHY
    trouble=$1 patience=$2 todo=$3 why=$4
}

# Success when something keeps the workload from working.
find_trouble() { # KIND NAMESPACE NAME
    trouble='' todo='' why='' patience=''
    if [ "$1" = Deployment ]; then
        choose_pod "$(present_hash "$3")" || refused_pod "$1" "$3" || return 1
    else
        choose_pod || refused_pod "$1" "$3" || return 1
    fi
    [ -z "$trouble" ] || return 0
    [ "$phase" != Succeeded ] || return 1
    pod_trouble "$2" "$3"
}

# No pod at all: its maker was refused one, by Pod Security or a quota.
refused_pod() { # KIND NAME
    local text maker
    if [ "$1" = Job ]; then
        text=$(warning Job "$2" FailedCreate) || return 1
    else
        maker=$(rows replicaset | cut -d '|' -f 1 | tail -n 1)
        text=$(warning ReplicaSet "$maker" FailedCreate) || return 1
    fi
    case $text in
    *PodSecurity*) found policy "$PATIENCE" "let the namespace admit it: $(label_target "$2"), \
which puts its Pod Security label back; another policy of the cluster may be stricter" \
        "Pod Security refuses the pod: $text" ;;
    *quota*) found quota "$PATIENCE" 'raise the quota of the namespace' "a quota: $text" ;;
    *) found refused "$PATIENCE" 'read the reason' "the pod is refused: $text" ;;
    esac
}

# Builds are in the registry's namespace.
label_target() { # NAME
    case $1 in
    hermes) printf 'make ai-hermes-deploy' ;;
    *) printf 'make ai-registry' ;;
    esac
}

pod_trouble() { # NAMESPACE NAME
    case $pod_reason in
    Evicted) found evicted "$PATIENCE" "make room on the node $node" \
        "the pod was evicted: $pod_message"; return ;;
    esac
    if [ "$phase" = Pending ] && [ "$scheduled" != True ]; then
        unscheduled && return 0
        return 1
    fi
    case $state:$reason in
    waiting:ImagePullBackOff | waiting:ErrImagePull | waiting:InvalidImageName | \
        waiting:ErrImageNeverPull | waiting:RegistryUnavailable | waiting:ImageInspectError)
        pull_trouble ;;
    waiting:CreateContainerConfigError) config_trouble ;;
    waiting:CreateContainerError | waiting:RunContainerError) found start "$PATIENCE" \
        'read the reason' "the container cannot be started on $node: $message" ;;
    waiting:CrashLoopBackOff) crash_trouble "$1" "$last_reason" "$last_exit" ;;
    terminated:*) [ "${exit_code:-0}" != 0 ] || [ "$2" = hermes ] || [ "$2" = registry ] ||
            return 1
        crash_trouble "$1" "$reason" "$exit_code" ;;
    running:*) [ -z "$ready" ] || return 1
        if [ -n "$last_reason" ] && [ "${restarts:-0}" -ge 2 ]; then
            crash_trouble "$1" "$last_reason" "$last_exit"
        else
            unready "$2"
        fi ;;
    *) mount_trouble ;;
    esac
}

unscheduled() {
    local text=$pod_message
    case $text in
    '') return 1 ;;
    *'affinity conflict'*) found volume "$PATIENCE" "bring the node back that holds the volume" \
        "the pod can run only where its volume is: $text" ;;
    *ersistent[vV]olume* | *storageclass* | *StorageClass*) found volume "$LONG" \
        "see why the volume is not created: kubectl get storageclass (K3s has local-path)" \
        "the volume is pending: $text" ;;
    *'nsufficient memory'*) found room "$LONG" 'free memory on a node, or add one' \
        "no node has the memory: $text" ;;
    *'nsufficient cpu'*) found room "$LONG" 'free processor time on a node, or add one' \
        "no node has the processor time: $text" ;;
    *disk-pressure*) found disk "$LONG" "free space on the node's disk" \
        "a node's disk is full: $text" ;;
    *not-ready* | *unreachable*) found node "$LONG" 'check the nodes: is K3s running on them?' \
        "no node is ready: $text" ;;
    *) found room "$LONG" 'check the nodes: kubectl describe nodes' \
        "no node takes the pod: $text" ;;
    esac
}

# The kubelet tells the last endpoint's error only. That a name of our own registry was asked in the
# DNS, or over https, means that the node was never told where the registry is.
pull_trouble() {
    local text image
    text=$(warning Pod "$pod" Failed) || text=$message
    case $text in *'ErrImagePull'* | *'ImagePullBackOff'*) text=$message ;; esac
    text=$(pull_reason "$text")
    # The first one is as the pod names it; containerd's own words leave out the tag of a digest.
    image=$(printf '%s' "$message $text" |
        awk -F 'image "' 'NF > 1 { sub(/".*/, "", $2); print $2; exit }')
    case $image in
    "$REGISTRY"/*) own_pull_trouble "$text" "$image" ;;
    *) foreign_pull_trouble "$text" "${image:-the image}" ;;
    esac
}

# The event if it names the cause, else what containerd said about the pull.
pull_reason() {
    local text=$1 other
    case $text in
    *' pull '* | *resolve* | *dial* | *'not found'*) ;;
    *) other=$(awk -F '|' -v name="$pod" '$3 == name && $4 == "Failed" && /pull/' \
        "$work/events" | grep -v 'Error: ' | tail -n 1 | cut -d '|' -f 7-) || other=''
        [ -z "$other" ] || text=$(unquoted "$other") ;;
    esac
    printf '%s' "$text"
}

own_pull_trouble() { # TEXT IMAGE
    local target=ai-hermes-build
    case $2 in */kubernetes-mcp-server:*) target=ai-kubernetes-mcp-build ;; esac
    case $1 in
    *'no such host'* | *'server misbehaving'* | *'HTTP response to HTTPS'* | *lookup* | \
        *'x509'* | *'tls:'* | *'Temporary failure in name'*)
        found pull "$PATIENCE" "tell the node $node where the registry is (it lacks \
registries.yaml): copy install-node and registries.yaml of registry/ into a folder registry there, \
and run: sudo registry/install-node" \
            "$node cannot pull $2: $1" ;;
    *' 401 '* | *nauthorized* | *'authorization failed'* | *'no basic auth'*)
        found pull "$PATIENCE" "give the node $node the registry's password: sudo \
registry/install-node --user NAME --password-file FILE" "$node cannot pull $2: $1" ;;
    *'no match for platform'*) found pull "$PATIENCE" "build on a node of the same kind: set \
nodeSelector in kaniko/hermes-build/job.yaml and k8s/deployment.yaml" \
        "$2 is not for a node like $node: $1" ;;
    *'not found'* | *'manifest unknown'* | *'does not exist'*) found pull "$PATIENCE" \
        "build it: make $target" "$node needs $2, which is not in the registry: $1" ;;
    *'connection refused'* | *'no route to host'* | *'i/o timeout'* | *'deadline exceeded'* | \
        *'connection reset'*) found pull "$LONG" "check the registry: make ai-registry; if it is \
ready, then at the node $node: sudo registry/install-node --check" \
        "$node does not reach the registry for $2: $1" ;;
    *) found pull "$LONG" "check the node $node: sudo registry/install-node --check" \
        "$node cannot pull $2: $1" ;;
    esac
}

foreign_pull_trouble() { # TEXT IMAGE
    case $1 in
    *toomanyrequests* | *'429'*) found pull "$LONG" \
        "wait an hour, then run it again: the registry of $2 limits how much is fetched" \
        "$node cannot pull $2: $1" ;;
    *'no such host'* | *'dial tcp'* | *'i/o timeout'* | *lookup*) found pull "$LONG" \
        "give the node $node a way to the internet and a name server" \
        "$node cannot pull $2: $1" ;;
    *'not found'* | *'manifest unknown'* | *'repository does not exist'* | *denied*) found pull \
        "$PATIENCE" "name an image that exists (REGISTRY_IMAGE, KANIKO_IMAGE)" \
        "$node cannot pull $2: $1" ;;
    *) found pull "$LONG" "read the reason; on the node $node: sudo k3s crictl pull $2" \
        "$node cannot pull $2: $1" ;;
    esac
}

secret_todo="fill in $SECRETS (its example is k8s/secrets.env.example), then: make ai-hermes-deploy"

config_trouble() {
    case $message in
    *ecret*hermes-secrets*) found secret "$PATIENCE" "$secret_todo" \
        "the Secret hermes-secrets is missing: $message" ;;
    *) found config "$PATIENCE" 'run the target again, which makes what is missing' \
        "the pod waits for something that is missing: $message" ;;
    esac
}

mount_trouble() {
    local text
    text=$(warning Pod "$pod" 'FailedMount|FailedAttachVolume') || text=''
    case $text in
    '') sandbox_trouble ;;
    *ecret*hermes-secrets*'not found'*) found secret "$PATIENCE" "$secret_todo" \
        "the Secret hermes-secrets is missing: $text" ;;
    *'not found'*) found config "$PATIENCE" 'run the target again, which makes what is missing' \
        "the pod waits for something that is missing: $text" ;;
    *) found mount "$LONG" "check the node $node" "a volume cannot be mounted: $text" ;;
    esac
}

sandbox_trouble() {
    local text
    text=$(warning Pod "$pod" FailedCreatePodSandBox) || return 1
    found sandbox "$LONG" "check the node $node: its network or container runtime is broken" \
        "the pod cannot be set up: $text"
}

# The agent itself may know why: agent.sh asks it, where that is there.
unready() { # NAME
    local text
    text=$(warning Pod "$pod" Unhealthy) || return 1
    if [ "$1" = hermes ] && command -v agent_trouble >/dev/null && agent_trouble; then return 0; fi
    found unready "$LONGER" 'read its log: make ai-logs' "it runs, but is not ready: $text"
}

# A container that ended. Its last words are in $work/words.
crash_trouble() { # NAMESPACE REASON EXIT
    last_words "$1"
    local words
    words=$(cause_in "$work/words" | cut -c 1-400) || words=''
    case $2:$3 in
    OOMKilled:* | *:137) out_of_memory "ended by $2, exit ${3:-0}" ;;
    *) ended_by_itself "$2" "$3" "$words" ;;
    esac
}

out_of_memory() { # HOW
    local file=k8s/deployment.yaml
    case $pod in
    registry-*) file=registry/deployment.yaml ;;
    kubernetes-mcp-build-*) file=kaniko/kubernetes-mcp-build/job.yaml ;;
    hermes-build-*) file=kaniko/hermes-build/job.yaml ;;
    *) [ "$container" != kubernetes-mcp ] || file=k8s/kubernetes-mcp/deployment.yaml ;;
    esac
    found oom "$PATIENCE" "raise limits.memory in $file, or free memory on the node $node" \
        "out of memory on $node ($1)"
}

ended_by_itself() { # REASON EXIT WORDS
    if grep -qiE 'killed signal terminated|signal: killed' "$work/words"; then
        out_of_memory "its compiler was killed"
    elif grep -qiE 'no space left on device|disk.* full|disk quota|Err:28 ' "$work/words"; then
        found full "$PATIENCE" "$(room_todo)" "a disk is full: $3"
    elif builder_trouble "$3"; then
        :
    else
        found crash "$PATIENCE" "fix what its last line says (all of it: $(logs_target))" \
            "it ended with exit ${2:-0}${1:+ ($1)}: ${3:-it printed nothing}"
    fi
}

logs_target() {
    case $pod in
    registry-* | *-build-*) printf 'make ai-logs OF=%s' "$(printf '%s' "$pod" |
        sed 's/^registry-.*/registry/; s/-build-.*/-build/')" ;;
    *) printf 'make ai-logs' ;;
    esac
}

# What the builder says of the world around it.
builder_trouble() { # CAUSE
    case $pod in *-build-*) ;; *) return 1 ;; esac
    case $1 in
    *'checking push permission'*UNAUTHORIZED* | *'checking push permission'*401*)
        found crash "$PATIENCE" "give the builds the registry's password: \
registry/docker-config.json, then: make ai-registry" "the registry refuses the build: $1" ;;
    *'checking push permission'*) found crash "$PATIENCE" "check the registry: make ai-registry" \
        "the build does not reach the registry: $1" ;;
    *MANIFEST_UNKNOWN*) found crash "$PATIENCE" "name a base image that exists (BASE_IMAGE)" \
        "the base image does not exist: $1" ;;
    *'did not arrive whole'*) found sources "$PATIENCE" "make ai-${pod%-build-*}-build \
FORCE=1, which sends them again" "these are not the sources that were sent: $1" ;;
    *'resolving source context'*) found crash "$PATIENCE" "check CONTEXT" \
        "the sources cannot be fetched: $1" ;;
    *'dial tcp'* | *'no such host'* | *'i/o timeout'*) found crash "$PATIENCE" "let pods reach the \
internet (name server, route), or name a proxy: BUILD_HTTP_PROXY" \
        "the build does not reach what it fetches: $1" ;;
    *) return 1 ;;
    esac
}

room_todo() {
    case $pod in
    hermes-build-* | kubernetes-mcp-build-*) printf '%s' "make room: on the disk of the node \
$node, or in the registry's volume (kubectl -n registry create job --from=cronjob/registry-collect \
collect-now)" ;;
    *) printf '%s' "make room on the volume hermes-data or on the disk of the node ${node:-that \
holds it}" ;;
    esac
}

# Of the container that read_pod found, which may be one that the others wait for.
pod_log() { # NAMESPACE OPTION...
    local namespace=$1
    shift
    kube logs -n "$namespace" "$pod" ${container:+-c "$container"} "$@"
}

# The end of the log of the container that ended, or of the one that runs.
last_words() { # NAMESPACE
    : >"$work/log"
    if [ "$state" = running ] || [ "$reason" = CrashLoopBackOff ]; then
        pod_log "$1" --previous --tail="$LOG_SEARCHED" >"$work/log" 2>/dev/null || true
    fi
    [ -s "$work/log" ] ||
        pod_log "$1" --tail="$LOG_SEARCHED" >"$work/log" 2>/dev/null || true
    # The kubelet cannot always find a log that a restart took away.
    if grep -q '^unable to retrieve container logs' "$work/log"; then : >"$work/log"; fi
    shorten_log
}

# $work/words of $work/log: its end, and before that the cause if it stands further up. The builder
# says a wrong setting first, and then prints a hundred lines of usage.
shorten_log() {
    local cause
    tail -n "$LOG_LINES" "$work/log" >"$work/end"
    cause=$(cause_in "$work/log") || cause=''
    if [ -n "$cause" ] && ! grep -qxF -- "$cause" "$work/end"; then
        printf '%s\n...\n' "$cause" >"$work/words"
    else
        : >"$work/words"
    fi
    cat "$work/end" >>"$work/words"
}

# The last line that calls itself an error, else the last that says something. That a command of a
# build failed, which the builder says last, is no cause: that stands above.
cause_in() { # FILE
    awk '/^ *$/ { next } /waiting for process to exit: exit status/ { outer = $0; next }
        /^([Ee]rror|E|[^ ]*: error|[^ ]*: fatal error)[: ]/ { error = $0 }
        { last = $0 } END { print (error != "" ? error : last != "" ? last : outer) }' "$1"
}

# ---- telling of a failure

# Ends the script with what was found.
give_up() { # WHAT NAMESPACE
    warn "$1: $why"
    if [ -s "$work/words" ]; then
        printf '    the last lines of %s:\n' "$pod" >&2
        quote_lines <"$work/words" >&2
    fi
    show_warnings >&2
    die "$1" "what to do: $todo"
}

# The last warnings about this pod, when they tell more than the reason does.
show_warnings() {
    [ -n "$pod" ] || return 0
    awk -F '|' -v name="$pod" '$3 == name' "$work/events" | tail -n 5 |
        while IFS='|' read -r _ _ _ event _ _ text; do
            printf '%s: %s\n' "$event" "$(unquoted "$text")"
        done | cut -c 1-400 | quote_lines
}

# ---- waiting

waiting_since=0 wrong_since='' wrong_what='' silent_since=''

begin_waiting() {
    waiting_since=$SECONDS wrong_since='' wrong_what='' silent_since=''
    stage_shown=''
    : >"$work/words"
    : >"$work/objects"
    : >"$work/events"
}

# Fails when the cluster does not answer now, and ends the script when it has not for a minute.
look_patiently() { # NAMESPACE NAME
    if look "$1" "$2"; then
        silent_since=''
        return 0
    fi
    [ -n "$silent_since" ] || silent_since=$SECONDS
    [ $((SECONDS - silent_since)) -lt "$OUTAGE_LIMIT" ] ||
        die "the cluster has not replied for $OUTAGE_LIMIT s: $(complaint)" \
            'The work continues there. When it replies again: make ai-status'
    progress 'the cluster does not reply; trying again' "$(complaint)"
    return 1
}

# Success when what was found has been wrong for longer than its patience.
wrong_too_long() {
    if [ "$trouble" != "$wrong_what" ]; then
        wrong_what=$trouble wrong_since=$SECONDS
    fi
    [ -n "$trouble" ] && [ $((SECONDS - wrong_since)) -ge "$patience" ]
}

time_is_up() { # LIMIT
    [ $((SECONDS - waiting_since)) -ge "$1" ]
}

# What a pod is doing, for the line that shows progress.
doing() {
    case $phase:$scheduled:$state:$reason in
    Pending:False:* | Pending::*) printf 'waiting for a node with room' ;;
    *:waiting:ContainerCreating | Pending:True::) printf '%s fetches the image' "$node" ;;
    *:waiting:ErrImagePull | *:waiting:ImagePullBackOff)
        printf '%s cannot fetch the image' "$node" ;;
    *:waiting:*) printf '%s' "$reason on $node" ;;
    *:running:*) printf 'running on %s' "$node" ;;
    *) printf '%s' "${phase:-waiting for its pod}" ;;
    esac
}

# Waits for a Deployment's present revision, and for nothing of the one before.
wait_for_rollout() { # NAMESPACE NAME LIMIT
    begin_waiting
    on_interrupt="stopped waiting; the cluster goes on. See how it is: make ai-status"
    while :; do
        if look_patiently "$1" "$2"; then
            ! rolled_out "$2" || break
            find_trouble Deployment "$1" "$2" || trouble=''
            ! wrong_too_long || give_up "$2 does not start" "$1"
            progress "$2: $(doing)" "$why"
        fi
        ! time_is_up "$3" || out_of_time "$2" "$1" "$3"
        sleep "$POLL"
    done
    clear_live
}

rolled_out() { # NAME
    rows deployment | awk -F '|' -v name="$1" '$1 == name && $3 >= $2 && $7 > 0 && $5 == $7 &&
        $6 == $7 && $4 == $7 { ok = 1 } END { exit !ok }' || return 1
    choose_pod "$(present_hash "$1")"
}

out_of_time() { # NAME NAMESPACE LIMIT
    [ -n "$why" ] || why="not ready after $3 s; last seen: $(doing)"
    [ -n "$todo" ] || todo='make ai-status; then run this again, TIMEOUT=SECONDS waits longer'
    give_up "$1 is not ready after $3 s" "$2"
}
