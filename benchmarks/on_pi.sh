#!/bin/sh
# Measures on the machine that it runs on; sent to it by benchmarks/pi. POSIX sh and /proc only,
# because a Pi has little more. Says `NAME VALUE...` lines and nothing else on standard output.
#
#     sh on_pi.sh DIRECTORY ROUNDS SECONDS      DIRECTORY holds the binary `hermes`
#
# Without a finer clock than /proc/uptime (10 ms) a single start cannot be timed, so blocks of
# ROUNDS starts are: of /bin/true and of hermes in turn, the least block of each counts.
set -eu
dir=$1 rounds=$2 seconds=$3
blocks=5
home=$dir/home
true=/bin/true
[ -x "$true" ] || true=/usr/bin/true
export HOME="$dir" HERMES_HOME="$home" TZ=UTC
unset OPENROUTER_API_KEY OPENAI_API_KEY OPENAI_BASE_URL HERMES_MODEL 2>/dev/null || :
background=
trap 'kill $background 2>/dev/null || :; wait' EXIT

machine() {
    model=unknown
    [ ! -r /proc/device-tree/model ] || model=$(tr -d '\0' </proc/device-tree/model)
    echo "model $model"
    echo "kernel $(uname -srm)"
    echo "ram_kib $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
}

# Hundredths of a second since the start of the machine.
now() {
    read -r up _ </proc/uptime
    now=${up%.*}${up#*.}
}

# CPU of all children so far, in milliseconds: the second line of `times`, which must not run in a
# subshell, or it would tell the subshell's children.
cpu() {
    times >"$dir/times"
    cpu=$(sed -n '2{s/[ms]/ /g;p;}' "$dir/times" |
        awk '{ printf "%d", ($1 * 60 + $2 + $3 * 60 + $4) * 1000 + 0.5 }')
}

# block NAME COMMAND...: one line with what `rounds` runs took.
block() {
    name=$1
    shift
    cpu && before=$cpu
    now && start=$now
    i=0
    while [ "$i" -lt "$rounds" ]; do
        "$@" >/dev/null 2>&1
        i=$((i + 1))
    done
    now
    wall=$((now - start))
    cpu
    echo "block $name $((wall * 10)) $((cpu - before))"
}

starts() {
    n=0
    while [ "$n" -lt "$blocks" ]; do
        block true "$true"
        block version "$dir/hermes" --version
        block hi "$dir/hermes" chat -q hi
        n=$((n + 1))
    done
}

# status NAME PID: the memory of a process and of what it started, field by field.
status() {
    for file in /proc/[0-9]*/status; do
        [ -r "$file" ] || continue
        awk -v name="$1" -v wanted="$2" '
            /^Pid:/ { pid = $2 } /^PPid:/ { parent = $2 }
            /^(VmRSS|RssAnon|RssFile|VmHWM):/ { field[substr($1, 1, length($1) - 1)] = $2 }
            END {
                if (pid == wanted || parent == wanted)
                    for (f in field) print "memory", name, pid, f, field[f]
            }' "$file" 2>/dev/null || :
    done
}

memory() {
    sleep 600 &
    sleeper=$!
    HERMES_ALLOW_ROOT_GATEWAY=1 "$dir/hermes" run --port 0 >/dev/null 2>"$dir/log" &
    service=$!
    background="$sleeper $service"
    sleep "$seconds"
    if ! kill -0 "$service" 2>/dev/null; then
        echo "on_pi: hermes run ended:" >&2
        cat "$dir/log" >&2
        exit 1
    fi
    status sleep "$sleeper"
    status run "$service"
}

# One turn first, so that the home is there, and so that a failure is told whole.
try() {
    if ! "$dir/hermes" "$@" >"$dir/log" 2>&1; then
        echo "on_pi: hermes $* does not work on this machine:" >&2
        cat "$dir/log" >&2
        exit 1
    fi
}

machine
echo "size $(wc -c <"$dir/hermes")"
try --version
try chat -q hi
starts
memory
