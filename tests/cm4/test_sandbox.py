"""The ways out of the sandbox on a Pi's kernel: by namespaces as Raspberry Pi OS ships, without
Landlock; with Landlock; and in hands which have neither of the two, as in a pod on such a system.

The guest has no Python, so that a shell makes the scene: a process of the same user stands for the
daemon, without sockets. What Debian's kernel refuses every user is tried as root.
"""
import pathlib
import subprocess
import sys

import pytest
from conftest import binary
from machine import ROOT, Machine

sys.path.append(str(ROOT / "tests/blackbox"))

from sandbox_attempts import AS_ROOT, BOTH, FILES, SECCOMP  # noqa: E402

ESCAPED, HELD = 0, 10
# They need sockets or a handler in the victim, or another architecture than this one.
ELSEWHERE = {"signal-by-kernel", "connect-tcp", "connect-path", "connect-abstract",
             "send-from-pair", "connect-pair", "change-segments", "open-vsock"}
# What this kernel refuses to every user who is not root.
PRIVILEGED_HERE = {"userfaultfd", "perf-event"}

SCENE = """
set -u
mkdir -p scene/outside scene/workspace && cd scene/workspace
reset() {
    rm -rf ../outside/* *
    for file in secret.txt state.db target.txt; do printf secret >../outside/$file; done
    cp /bin/escape ../outside/tool; cp /bin/escape .; mkdir ../outside/empty
}
reset
(cd ../outside && SECRET=mine exec sleep 100000 9<secret.txt) &
victim=$!
until [ -e /proc/$victim/fd/9 ]; do sleep 0.1; done
try() { # NAME OPTION...
    name=$1; shift; reset
    hermes sandbox "$@" -- ./escape $name $PWD/../outside $victim 1 none none >../out 2>../err
    echo $name $? $(tail -n 1 ../out) $(tail -n 1 ../err)
}
"""


# What a container runtime makes of k8s/deployment.yaml, as tests/blackbox/hands.py does it: files,
# processes and a host name of its own, and a control group that the kernel ends as a whole, as
# Kubernetes has it since 1.28. The runtime's own filter of system calls is not there.
HANDS_BYTES = 256 << 20
HANDS_ENV = {"HERMES_HANDS_SOCKET": "/home/hermes/sockets/socket"}
HANDS = f"""
set -eu
cd /home/hermes
rm -f sockets/socket
su -s /bin/sh -c 'mkdir -p scene/outside scene/workspace sockets' -- hermes
mkdir -p $cgroups/hands /tmp/root
echo {HANDS_BYTES} >$cgroups/hands/memory.max
echo 0 >$cgroups/hands/memory.swap.max 2>/dev/null || true
echo 1 >$cgroups/hands/memory.oom.group
cat >/tmp/container <<'END'
set -eu
mount -t tmpfs -o mode=755 container /tmp/root
cd /tmp/root
mkdir -p bin disk/bin etc proc dev tmp old sys/fs/cgroup
mkdir -p home/hermes/scene/workspace home/hermes/sockets
mount --bind /bin bin
mount --bind /disk/bin disk/bin
cp /etc/passwd /etc/group etc/
mount -t proc proc proc
for name in null zero urandom; do : >dev/$name; mount --bind /dev/$name dev/$name; done
mount -t tmpfs -o mode=1777,size=64m tmp tmp
mount -t cgroup2 -o ro cgroup2 sys/fs/cgroup
for place in home/hermes/scene/workspace home/hermes/sockets; do mount --bind /$place $place; done
mount -o remount,ro container .
pivot_root . old
umount -l /old
cd /
exec su -s /bin/sh -c 'exec hermes hands --isolation none --workspace \
    /home/hermes/scene/workspace --socket /home/hermes/sockets/socket' -- hermes
END
in_cgroup hands root unshare -m -p -i -u -f sh /tmp/container >/tmp/hands.log 2>&1 &
wait_for 60 test -S /home/hermes/sockets/socket || {{ cat /tmp/hands.log >&2; exit 1; }}
"""


# Where there are no hands, a program shares its control group with the head, which is ended as a
# whole as soon as it wants for memory: so a limit of ours has to come first.
HEAD_BYTES = 128 << 20
HEAD = f"""
mkdir -p $cgroups/head
echo {HEAD_BYTES} >$cgroups/head/memory.max
echo 0 >$cgroups/head/memory.swap.max 2>/dev/null || true
echo 1 >$cgroups/head/memory.oom.group
cat >/tmp/scene.sh <<'END OF THE SCENE'
. /lib/cm4.sh
cd /home/hermes
%s
END OF THE SCENE
in_cgroup head %s sh /tmp/scene.sh
"""


def run(machine, script, user="hermes", **more):
    """In 128 MiB with the head, or beside the hands that have theirs. What only root tries: as it
    is."""
    if machine.isolation == "hands" or user == "root":
        return machine.run(script, user=user, env=machine.env, **more)
    result = machine.run(HEAD % (script, user), user="root", **more)
    events = machine.run("tr ' ' = <$cgroups/head/memory.events", user="root").values()
    assert events["oom_group_kill"] == 0, (events, result)
    return result


@pytest.fixture(scope="module")
def escape(tmp_path_factory):
    program = tmp_path_factory.mktemp("escape") / "escape"
    specs = ROOT / "build/sysroot/aarch64-linux-musl/lib/musl-gcc.specs"
    sources = sorted(map(str, pathlib.Path(ROOT / "tests/blackbox/escape").glob("*.c")))
    subprocess.run(["aarch64-linux-gnu-gcc", f"-specs={specs}", "-static", "-D_GNU_SOURCE",
                    "-std=gnu17", "-O1", "-o", str(program), *sources], check=True)
    return program


def start_hands(machine):
    done = machine.run(HANDS, user="root")
    assert done.status == 0, done


@pytest.fixture(scope="module", params=("namespaces", "landlock", "hands"))
def guest(request, escape):
    """A machine of its own, where only that isolation is tried."""
    files = {"/bin/hermes": binary(), "/bin/escape": escape}
    with Machine(files=files, landlock=request.param == "landlock") as machine:
        machine.isolation = request.param
        machine.env = HANDS_ENV if request.param == "hands" else {}
        if request.param == "hands":
            start_hands(machine)
        yield machine


def tried(machine, names, options, **more):
    """{name: (status, what was printed)} of each attempt with the same options."""
    lines = "".join(f"try {name} {options}\n" for name in names)
    result = run(machine, f"{SCENE}{lines}kill -0 $victim && echo alive; kill $victim",
                 timeout=30 + 10 * len(names), **more)
    rows = [line.split(" ", 2) for line in result.out.splitlines()]
    assert rows.pop() == ["alive"], result
    return {name: (int(status), text) for name, status, text in rows}


def all_get_out(machine, names, layers, **more):
    options = " ".join(f"--without {layer}" for layer in layers)
    held = {name: row for name, row in tried(machine, names, options, **more).items()
            if row[0] != ESCAPED}
    assert not held, f"held by something else: {held}"


def all_are_held(machine, names, **more):
    options = f"--isolation {machine.isolation}"
    out = {name: row for name, row in tried(machine, names, options, **more).items()
           if row[0] != HELD}
    assert not out, out


@pytest.mark.parametrize("names, layers", [
    (FILES, ("files",)), (SECCOMP, ("seccomp",)), (BOTH, ("files", "seccomp"))],
    ids=("files", "seccomp", "both"))
def test_ways_out(guest, names, layers):
    names = [name for name in names if name not in ELSEWHERE]
    all_get_out(guest, [name for name in names if name not in PRIVILEGED_HERE], layers)
    all_are_held(guest, names)


def test_ways_out_as_root(guest):
    if guest.isolation == "hands":  # who are nobody's but the user's, in a pod as here
        return
    names = [*AS_ROOT, *PRIVILEGED_HERE]
    all_get_out(guest, names, ("privileges", "files", "seccomp"), user="root")
    all_are_held(guest, names, user="root")


def test_doctor_tells_what_holds(guest):
    found = guest.run("hermes doctor", env=guest.env).out.splitlines()
    lines = [line for line in found if " sandbox " in line]
    if guest.isolation == "hands":
        assert any("the hands container, which has 256 MiB" in line for line in lines), lines
    assert len(lines) == 7 and all(line.startswith("ok") for line in lines), lines
    assert any("Landlock: not here" in line for line in lines) != (guest.isolation == "landlock")


def test_memory_and_processes_are_limited(guest):
    sandbox = f"hermes sandbox --isolation {guest.isolation}"
    words = ". 1 1 none none"
    result = run(guest, f"""
        mkdir -p scene/workspace/own; cd scene/workspace/own; cp /bin/escape .
        {sandbox} --memory 64Mi -- ./escape fill-memory {words}; echo $?
        {sandbox} --processes 20 -- ./escape bomb-without-end {words}; echo $?
        are_gone() {{ ! pidof escape; }}
        wait_for 20 are_gone; pidof escape; true""", timeout=120)
    assert result.out.split() == ["137", "137"], result
    assert "more than 64 MiB of memory" in result.err
    assert "more than 20 processes at once" in result.err


def test_nothing_is_left_behind(guest):
    result = run(guest, "mkdir -p scene/workspace/own; cd scene/workspace/own; rm -f haunted; "
                 f"cp /bin/escape .; hermes sandbox --isolation {guest.isolation} -- "
                 "./escape become-daemon . 1 1 none none; sleep 4; ls haunted; pidof escape",
                 timeout=60)
    assert "haunted" not in result.out and result.out.startswith("escaped"), result


def test_a_memory_bomb_takes_the_hands_and_not_the_head(guest):
    """Each command stays within its own limit, and all together they do not stay within that of the
    container: the kernel ends all of it, and whoever asked for them is told."""
    if guest.isolation != "hands":
        return
    fill = "head -c 90000000 /dev/zero | tail -c 90000000 | { sleep 30; cat >/dev/null; }"
    result = guest.run(f"""
        cd scene/workspace
        for i in 1 2 3 4; do
            {{ hermes sandbox --isolation hands -- sh -c '{fill}'; echo $?; }} &
        done
        wait; echo the head is there""", timeout=300, env=guest.env)
    assert result.out.splitlines() == ["137"] * 4 + ["the head is there"], result
    assert result.err.count("hands container was ended") == 4, result
    assert result.err.count("256 MiB") == 4, result
    events = guest.run("tr ' ' = <$cgroups/hands/memory.events; cat $cgroups/hands/cgroup.procs",
                       user="root")
    assert events.values()["oom_group_kill"] == 1 and events.out.count("\n") == len(
        events.values()), events
    start_hands(guest)
    again = guest.run("cd scene/workspace; hermes sandbox --isolation hands -- echo again",
                      env=guest.env)
    assert again.out == "again\n", again
