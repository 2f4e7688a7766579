# Functions for the scripts that run in the guest; sourced before each of them.

cgroups=/sys/fs/cgroup

# Runs a command as a user in a cgroup of its own, from a script that runs as root:
#   in_cgroup watched hermes hermes run &
# Every step is an exec, so that no shell's memory is counted with the command's.
in_cgroup() { # CGROUP USER COMMAND...
	mkdir -p "$cgroups/$1"
	(
		# 0 is whoever writes; $$ would be the outer shell.
		echo 0 >"$cgroups/$1/cgroup.procs"
		shift
		exec su -s /bin/sh -c 'exec "$0" "$@"' -- "$@"
	)
}

# Sums VmRSS and its three parts over all processes of that name: name=value lines in KiB.
# A process's name is its comm, 15 characters at most.
rss_of() {
	cat /proc/[0-9]*/status 2>/dev/null | awk -v want="$1" '
		/^Name:/ { mine = ($2 == want); if (mine) n++ }
		mine && /^(VmRSS|VmHWM|RssAnon|RssFile|RssShmem):/ { sum[$1] += $2 }
		END {
			printf "processes=%d\n", n
			for (key in sum) { name = key; sub(/:/, "", name); printf "%s=%d\n", name, sum[key] }
		}'
}

# What the kernel charges to a cgroup: name=value lines in KiB.
memory_of() {
	echo "current=$(($(cat "$cgroups/$1/memory.current") / 1024))"
	echo "peak=$(($(cat "$cgroups/$1/memory.peak") / 1024))"
	awk '$1 ~ /^(anon|file|shmem|kernel|slab|sock|pagetables|kernel_stack)$/ {
		printf "%s=%d\n", $1, $2 / 1024 }' "$cgroups/$1/memory.stat"
}

# How often all threads of the processes of that name went to sleep so far, which is how often they
# woke up (wakeups=), and how often another had to take the CPU from them (preemptions=).
switches_of() {
	for pid in $(pidof "$1"); do cat "/proc/$pid"/task/*/status; done 2>/dev/null | awk '
		/^voluntary_ctxt_switches:/ { slept += $2 }
		/^nonvoluntary_ctxt_switches:/ { pushed += $2 }
		END { printf "wakeups=%d\npreemptions=%d\n", slept, pushed }'
}

# What a cgroup has had of the CPUs, user and system: cpu_us=, in microseconds.
cpu_of() {
	awk '$1 == "usage_usec" { print "cpu_us=" $2 }' "$cgroups/$1/cpu.stat"
}

# Waits until a command succeeds; fails after that many seconds.
wait_for() { # SECONDS COMMAND...
	left=$(($1 * 5))
	shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || { echo "wait_for: still failing: $*" >&2; return 1; }
		usleep 200000
	done
}
