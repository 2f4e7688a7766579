# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # names cross between the files that are sourced together
#
# The agent's own view: `hermes status` in its pod.
#
# Kubernetes sees a process that answers its probes. Whether Telegram takes its token, whether the
# model answers and whether its disk has room only the agent knows, and it says what to do as well:
# lines that begin with PROBLEM, each followed by one that begins with `  do`. What it advises in
# general is said here in terms of `make ai`.

: "${AGENT_LIMIT:=20}" # seconds that the agent may take to tell about itself

agent_code=''

# Writes what it says to $work/agent; fails when it could not be asked.
ask_agent() {
    agent_code=0
    limit=$AGENT_LIMIT kube exec -n "$NAMESPACE" "$pod" -c hermes -- hermes status \
        >"$work/agent" 2>"$work/err" </dev/null || agent_code=$?
    case $agent_code in
    0 | 1 | 3 | 4) [ -s "$work/agent" ] ;;
    *) return 1 ;;
    esac
}

# A line of the form label, blanks, text.
agent_line() { # LABEL
    sed -n "s/^$1  *//p" "$work/agent" | head -n 1
}

# WHAT|ADVICE|WHY of everything that the agent says wants a person, in its order.
agent_problems() {
    awk '
        function tell() { if (what != "") print what "|" todo "|" why }
        /^PROBLEM +/ { tell(); line = $0; sub(/^PROBLEM +/, "", line)
            what = line; sub(/:.*/, "", what); why = line; sub(/^[^:]*: */, "", why); todo = ""
            next }
        /^ +do +/ { if (what != "" && todo == "") { todo = $0; sub(/^ +do +/, "", todo) } next }
        /^[^ ]/ { tell(); what = "" }
        END { tell() }' "$work/agent"
}

# The agent does not know where in this tree its values come from.
agent_todo() { # WHAT ADVICE
    case $1 in
    telegram) case $2 in
        *BotFather*) printf '%s' "put the right TELEGRAM_BOT_TOKEN into $SECRETS (@BotFather has \
it: /mybots, API Token), then: make ai-hermes-deploy" ;;
        *) printf '%s' "$2" ;;
        esac ;;
    disk | database) printf '%s' "make room on the volume hermes-data${node:+ (node $node)}: $2" ;;
    upstream) printf '%s' "$2 (keys: $SECRETS; models: $CONFIG; then: make ai-hermes-deploy)" ;;
    *) printf '%s' "$2" ;;
    esac
}

# As watch.sh wants it: the first problem of an agent that runs and is not ready.
agent_trouble() {
    local what advice reason
    ask_agent || return 1
    IFS='|' read -r what advice reason < <(agent_problems) || return 1
    found "agent-$what" "$PATIENCE" "$(agent_todo "$what" "$advice")" "$what: $reason"
}
