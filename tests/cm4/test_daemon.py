"""`hermes run` on the Pi's own kind of kernel, with Telegram and a model over TLS.

How it behaves in detail is tested on faster machines; here stand what it costs while nothing
happens, that it survives a kill, and that it runs as a container starts it: process 1, a user of
no rights, nothing to write to but its home.
"""
import shlex

import depth
import pytest
import telegram_models  # noqa: F401  registers its scenarios
from conftest import GUEST_CA, TELEGRAM_PORT, binary, figure, judge_idle

OWNER = 42
GROUP = "daemon"
ADMIN = "http://127.0.0.1:9119"

WAKEUPS_PER_SECOND = 1
# The bars are those of a minute's rest. Less of it is no easier: idle connections are let go after
# 25 s.
REST_SECONDS, WATCH_SECONDS = (60, 20) if depth.full() else (30, 10)
CHATS, ROUNDS = 20, 5
POD_BYTES, CALLS = 128 << 20, 64
ANSWER_SECONDS = 120  # an emulated machine may take its time; only a hang is a fault

# As little as a container gives: a namespace of its own in which it is process 1, a view of the
# file systems in which only the home can be written, an unprivileged user.
CONTAINED = """unshare -m -p -f --mount-proc sh -c '
    for place in / /tmp /run /dev/shm /disk; do mount -o remount,bind,ro $place; done
    exec su -s /bin/sh -c "exec hermes run" -- hermes'"""


class Daemon:
    """`hermes run` in the guest, with a home of its own; several processes, one after another."""

    def __init__(self, machine, home, upstream, telegram, model):
        self.machine = machine
        self.log, self.group = f"/tmp/{home}.log", GROUP
        self.env = {
            "HERMES_HOME": f"/home/hermes/{home}", "HERMES_MODEL": model,
            "OPENAI_BASE_URL": "https://fake.test/v1", "OPENAI_API_KEY": upstream.api_key,
            "TELEGRAM_API_BASE": f"https://fake.test:{TELEGRAM_PORT}",
            "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_ALLOWED_USERS": ",".join(str(OWNER + n) for n in range(CHATS)),
            "HERMES_CONNECT_TIMEOUT": str(ANSWER_SECONDS), "SSL_CERT_FILE": GUEST_CA}

    def start(self, command="hermes hermes run"):
        done = self.root(f"""
            in_cgroup {self.group} {command} >>{self.log} 2>&1 &
            wait_for 60 wget -q -O /dev/null {ADMIN}/readyz || {{ cat {self.log} >&2; exit 1; }}
            """)
        assert done.status == 0, done
        return self

    def start_contained(self):
        """The shell of CONTAINED is in the cgroup before it becomes process 1."""
        quoted = shlex.quote(CONTAINED)
        return self.start(f"root sh -c {quoted}")

    def root(self, script):
        """Its environment is that of the daemon, since `su` keeps it."""
        return self.machine.run(script, user="root", env=self.env)

    def kill(self):
        """kill -9 of the daemon and whatever it started."""
        done = self.root(f"""
            [ ! -d $cgroups/{self.group} ] || echo 1 >$cgroups/{self.group}/cgroup.kill
            is_gone() {{ ! pidof hermes; }}
            wait_for 20 is_gone""")
        assert done.status == 0, done

    def said(self):
        return self.root(f"cat {self.log}").out


@pytest.fixture
def daemon(machine, upstream, telegram, request):
    """daemon(model) starts it; what runs at the end is ended."""
    if not binary().is_file():
        pytest.fail(f"no binary at {binary()}. Run: make static ARCH=aarch64")
    made = []

    def make(model):
        made.append(Daemon(machine, request.node.name, upstream, telegram, model))
        return made[-1]
    yield make
    for one in made:
        print(one.said())
        one.kill()


def ask(telegram, chat, text):
    """Asks in a chat, and waits for one answer more than there was."""
    before = len(telegram.messages(chat))
    telegram.user_says(chat, text)
    return before + 1


def test_idle_after_a_hundred_turns_over_telegram(daemon, telegram):
    """Telegram's long poll is open over TLS, and nobody says anything."""
    running = daemon("echo").start()
    for number in range(ROUNDS):
        wanted = {chat: ask(telegram, chat, f"say platypus {number}")
                  for chat in range(OWNER, OWNER + CHATS)}
        for chat, count in wanted.items():
            telegram.wait_messages(chat, count, ANSWER_SECONDS)
            telegram.wait_text(chat, f"platypus {number}", ANSWER_SECONDS)
    assert telegram.wait_for(lambda: telegram.polling, ANSWER_SECONDS)
    got = rest_and_watch(running)
    assert telegram.polling, telegram.story()
    turns = sum(len(telegram.texts(chat)) for chat in range(OWNER, OWNER + CHATS))
    figure("daemon: turns over Telegram and TLS before it was left alone", turns)
    assert turns == CHATS * ROUNDS
    judge_idle(f"daemon, after {REST_SECONDS} s of rest", got)
    judge_wakeups(got)


def test_many_tool_calls_in_a_small_pod(daemon, telegram, upstream):
    """All in one reply. Each is a process, and the pod's memory is enough for all of them."""
    running = daemon("tools")
    running.group = "small_pod"
    made = running.root(f"""
        mkdir -p $cgroups/{running.group} && echo {POD_BYTES} >$cgroups/{running.group}/memory.max
        su -s /bin/sh -c 'mkdir -p $HERMES_HOME/workspace &&
            echo "a needle" >$HERMES_HOME/workspace/needle.txt' -- hermes""")
    assert made.status == 0, made
    running.start()
    telegram.user_says(OWNER, 'call search_files {"pattern": "needle"}\n' * CALLS)
    telegram.wait_text(OWNER, "a needle", 4 * ANSWER_SECONDS)
    results = [m["content"] for m in upstream.requests[-1].messages if m["role"] == "tool"]
    assert len(results) == CALLS and all("a needle" in text for text in results), results
    got = running.root(f"""
        memory_of {running.group}
        tr ' ' = <$cgroups/{running.group}/memory.events""").values()
    figure(f"daemon: the most that {CALLS} calls of tools took of {POD_BYTES >> 20} MiB",
           f"{got['peak']} KiB")
    assert got["oom"] == got["oom_kill"] == 0, got


def rest_and_watch(running):
    """The figures after the rest; those that grow as what was added while they were watched."""
    result = running.machine.run(f"""
        sleep {REST_SECONDS}
        rss_of hermes; memory_of {GROUP}
        {{ switches_of hermes; cpu_of {GROUP}; }} | sed s/^/before_/
        sleep {WATCH_SECONDS}
        switches_of hermes; cpu_of {GROUP}""", user="root", timeout=REST_SECONDS + 120)
    assert result.status == 0, result
    got = result.values()
    for name in ("wakeups", "preemptions", "cpu_us"):
        got[name] -= got.pop(f"before_{name}")
    return got


def judge_wakeups(got):
    figure(f"daemon: wake-ups of all threads in {WATCH_SECONDS} s",
           f"{got['wakeups']} (and {got['preemptions']} preemptions)")
    figure(f"daemon: CPU in those {WATCH_SECONDS} s, emulated",
           f"{got['cpu_us'] / 1000:.1f} ms, {got['cpu_us'] / WATCH_SECONDS / 1e4:.3f} %")
    assert got["wakeups"] <= WAKEUPS_PER_SECOND * WATCH_SECONDS, got


def test_killed_in_mid_turn_it_finishes_the_turn(daemon, telegram, upstream):
    running = daemon("gate").start()
    upstream.release.clear()
    try:
        telegram.user_says(OWNER, "long work")
        before = telegram.wait_text(OWNER, "answer to long work: begun", ANSWER_SECONDS)
        asked = upstream.count("gate")
        running.kill()
        running.start()
        assert upstream.wait_for(lambda: upstream.count("gate") > asked, ANSWER_SECONDS)
    finally:
        upstream.release.set()
    after = telegram.wait_text(OWNER, "begun and finished", ANSWER_SECONDS)
    telegram.wait_quiet(2)
    assert after.id == before.id and len(telegram.texts(OWNER)) == 1, telegram.story()


def test_contained_as_process_1(daemon, telegram):
    """Read-only, without rights, reaping what others leave; and gone when told to."""
    running = daemon("echo").start_contained()
    telegram.user_says(OWNER, "say wombat")
    telegram.wait_text(OWNER, "wombat", ANSWER_SECONDS)
    told = running.root("""
        pid=$(pidof hermes)
        awk '$1 ~ /^(Uid|CapEff|NSpid):/ { print $1, $NF }' /proc/$pid/status
        nsenter -t $pid -m touch /etc/x 2>&1
        nsenter -t $pid -m touch /tmp/written 2>&1""")
    lines = told.out.splitlines()
    assert {"Uid: 10000", "CapEff: 0000000000000000", "NSpid: 1"} <= set(lines), told
    assert sum("Read-only file system" in line for line in lines) == 2, told
    orphans = running.root("""
        pid=$(pidof hermes)
        for n in 1 2 3; do nsenter -t $pid -m -p sh -c '(sleep 12; exit 3) >/dev/null 2>&1 &'; done
        adopted() { cat /proc/[0-9]*/status 2>/dev/null |
            awk -v parent=$pid '/^PPid:/ && $2 == parent { n++ } END { print n + 0 }'; }
        none_left() { [ "$(adopted)" = 0 ]; }
        adopted; wait_for 60 none_left; adopted; kill -TERM $pid
        is_gone() { ! pidof hermes; }
        wait_for 30 is_gone""")
    assert orphans.status == 0 and orphans.out.split()[-2:] == ["3", "0"], orphans
