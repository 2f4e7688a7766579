"""The ways out of the sandbox on a Pi's kernel: by namespaces as Raspberry Pi OS ships, without
Landlock, and with Landlock.

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
rm -rf scene && mkdir -p scene/outside scene/workspace && cd scene/workspace
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


@pytest.fixture(scope="module")
def escape(tmp_path_factory):
    program = tmp_path_factory.mktemp("escape") / "escape"
    specs = ROOT / "build/sysroot/aarch64-linux-musl/lib/musl-gcc.specs"
    sources = sorted(map(str, pathlib.Path(ROOT / "tests/blackbox/escape").glob("*.c")))
    subprocess.run(["aarch64-linux-gnu-gcc", f"-specs={specs}", "-static", "-D_GNU_SOURCE",
                    "-std=gnu17", "-O1", "-o", str(program), *sources], check=True)
    return program


@pytest.fixture(scope="module", params=("namespaces", "landlock"))
def guest(request, escape):
    """A machine of its own, where only that isolation is tried."""
    files = {"/bin/hermes": binary(), "/bin/escape": escape}
    with Machine(files=files, landlock=request.param == "landlock") as machine:
        machine.isolation = request.param
        yield machine


def tried(machine, names, options, **more):
    """{name: (status, what was printed)} of each attempt with the same options."""
    lines = "".join(f"try {name} {options}\n" for name in names)
    result = machine.run(f"{SCENE}{lines}kill -0 $victim && echo alive; kill $victim",
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
    names = [*AS_ROOT, *PRIVILEGED_HERE]
    all_get_out(guest, names, ("privileges", "files", "seccomp"), user="root")
    all_are_held(guest, names, user="root")


def test_doctor_tells_what_holds(guest):
    lines = [line for line in guest.run("hermes doctor").out.splitlines() if " sandbox " in line]
    assert len(lines) == 7 and all(line.startswith("ok") for line in lines), lines
    assert any("Landlock: not here" in line for line in lines) != (guest.isolation == "landlock")


def test_memory_and_processes_are_limited(guest):
    run = f"hermes sandbox --isolation {guest.isolation}"
    words = ". 1 1 none none"
    result = guest.run(f"""
        mkdir -p own; cd own; cp /bin/escape .
        {run} --memory 64Mi -- ./escape fill-memory {words}; echo $?
        {run} --processes 20 -- ./escape bomb-without-end {words}; echo $?
        pidof escape; true""", timeout=120)
    assert result.out.split() == ["137", "137"], result
    assert "more than 64 MiB of memory" in result.err
    assert "more than 20 processes at once" in result.err


def test_nothing_is_left_behind(guest):
    result = guest.run("mkdir -p own; cd own; cp /bin/escape .; hermes sandbox "
                       f"--isolation {guest.isolation} -- ./escape become-daemon "
                       ". 1 1 none none; sleep 4; ls haunted; pidof escape", timeout=60)
    assert "haunted" not in result.out and result.out.startswith("escaped"), result
