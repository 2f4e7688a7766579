"""What a hostile program tries behind the layers of the sandbox. Each attempt must first get out
with its layers off, or it does not count.

Behind them it is tried as an unprivileged user (but for what only root could do), within the memory
that the pod of k8s/ has: 128 MiB for hermes sandbox and all that it starts, and what the hands have
there for theirs, of which /tmp and /dev/shm take up to 128 MiB. Root makes these groups, and puts a
shell into them that becomes the user's program (memory_group.py). What gets out with its layers off
has no such limit, since some attempts are to take more.
"""

import fcntl
import os
import signal
import subprocess
import time

import pytest
from hands import Hands
from harness import IS_ROOT, TEST_UID, Hermes, directory, give
from memory_group import MemoryGroup
from sandbox_attempts import AS_ROOT, BOTH, FILES, GAINS, SECCOMP, TERMINAL
from sandbox_scene import ESCAPED, HELD, Scene

pytestmark = pytest.mark.release

HEAD_BYTES, HANDS_BYTES = 128 << 20, 256 << 20  # as in k8s/deployment.yaml
BACK_ENDS = ("namespaces", "landlock", "hands")
SIGSYS = 128 + signal.SIGSYS

TOLD = {"trace-child": "ptrace", "io-uring": "io_uring_setup", "add-key": "add_key",
        "connect-tcp": "socket", "make-namespace": "unshare", "bpf": "bpf",
        "limit-victim": "prlimit64", "userfaultfd": "userfaultfd", "type-into-terminal": "ioctl"}


def without(*layers):
    return [word for layer in layers for word in ("--without", layer)]


EVERY_LAYER = without("privileges", "seccomp", "files", "session")


def group_of(name, size):
    @pytest.fixture(scope="module")
    def group():
        made = MemoryGroup(f"hermes-{name}", size)
        yield made
        made.close()
    return group


head, container = group_of("escape", HEAD_BYTES), group_of("escape-hands", HANDS_BYTES)


@pytest.fixture(scope="module")
def scene(binary, head):
    with directory("hermes-escape-") as path:
        made = Scene(path, Hermes(binary, path), head)
        yield made
        made.close()


@pytest.fixture(scope="module", autouse=True)
def hands(scene, binary, container):
    """In what imitates their container, and there with neither namespaces nor Landlock, as in a pod
    on Raspberry Pi OS."""
    sockets = scene.directory / "hands"
    sockets.mkdir()
    give(sockets)
    with Hands(binary, scene.workspace, sockets, contained=True, group=container) as started:
        scene.hermes.environment["HERMES_HANDS_SOCKET"] = str(started.socket)
        yield started


@pytest.fixture(scope="module")
def roots_hands(scene, binary, container):
    """Of root, who has no capability in a container either."""
    sockets = scene.directory / "roots-hands"
    sockets.mkdir()
    with Hands(binary, scene.workspace, sockets, contained=True, uid=0,
               group=container) as started:
        yield started


@pytest.fixture
def fresh(scene):
    scene.reset()
    return scene


@pytest.fixture
def group(isolation, head, container):
    """Where the program itself runs."""
    return container if isolation == "hands" else head


_got_out = set()


def gets_out(scene, name, layers, **more):
    """Once, whichever isolation it is that is off."""
    if name in _got_out:
        return
    done = scene.attempt(name, *layers, **more)
    assert done.returncode == ESCAPED, f"held by something else: {done.stdout}{done.stderr}"
    assert f"escaped: {name}" in done.stdout
    _got_out.add(name)
    scene.reset()


def is_held(scene, name, isolation, **more):
    before = scene.state()
    done = scene.attempt(name, "--isolation", isolation, **more)
    assert done.returncode in (HELD, SIGSYS), done
    assert "escaped" not in done.stdout
    assert scene.state() == before
    assert scene.victim.poll() is None
    if name in TOLD:
        assert f"refused: {TOLD[name]}" in done.stderr
    return done


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", FILES)
def test_files_outside_and_other_processes(fresh, name, isolation):
    # Nothing is put into a time or an owner but by calls that the filter knows.
    gets_out(fresh, name, without("files"))
    is_held(fresh, name, isolation)


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", SECCOMP)
def test_system_calls(fresh, name, isolation):
    gets_out(fresh, name, without("seccomp"))
    is_held(fresh, name, isolation)


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", BOTH)
def test_what_two_layers_hold(fresh, name, isolation):
    gets_out(fresh, name, without("seccomp", "files"))
    is_held(fresh, name, isolation)


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", TERMINAL)
def test_input_for_a_terminal(fresh, name, isolation):
    gets_out(fresh, name, without("seccomp", "session"))
    is_held(fresh, name, isolation)


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", ("shared-memory-file", "tmp-file"))
def test_places_that_all_share(fresh, name, isolation):
    """With namespaces there are such places, and they are not those outside."""
    place = {"shared-memory-file": "/dev/shm/hermes-escape", "tmp-file": "/tmp/hermes-escape"}[name]
    with open("/tmp/hermes-escape.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other suites run beside this one
        fresh.attempt(name, *without("files"))
        assert os.path.exists(place)
        os.unlink(place)
        fresh.attempt(name, "--isolation", isolation)
        assert not os.path.exists(place)


@pytest.mark.parametrize("isolation", BACK_ENDS)
def test_calls_of_another_architecture(fresh, isolation):
    gets_out(fresh, "other-architecture", without("seccomp"))
    done = is_held(fresh, "other-architecture", isolation)
    assert done.returncode == SIGSYS and "another architecture" in done.stderr


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", GAINS)
def test_privileges_of_a_file(fresh, name, isolation):
    assert IS_ROOT, "this test needs root"
    fresh.arm()
    gets_out(fresh, name, without("privileges", "seccomp", "files"))
    fresh.arm()
    is_held(fresh, name, isolation)


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", AS_ROOT)
def test_what_only_root_could(fresh, roots_hands, name, isolation):
    assert IS_ROOT, "this test needs root"
    gets_out(fresh, name, EVERY_LAYER, as_root=True)
    is_held(fresh, name, isolation, as_root=True, hands=roots_hands)


# --- limits


def lives_on(scene, name, *options, patience=4, **more):
    """Does what the program left behind do its work after the sandbox has ended?"""
    scene.reset()
    scene.attempt(name, *options, **more)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if (scene.workspace / "haunted").exists():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", ("leave-child", "become-daemon", "ignore-signals", "leave-group"))
def test_nothing_is_left_behind(fresh, name, isolation):
    if name not in _got_out:
        assert lives_on(fresh, name, *without("session", "seccomp", "files"), patience=30)
        _got_out.add(name)
    assert not lives_on(fresh, name, "--isolation", isolation)


@pytest.mark.parametrize("isolation", BACK_ENDS)
def test_time(fresh, isolation):
    gets_out(fresh, "run-after-time", ["--time", "1s", *without("limits")])
    done = fresh.attempt("run-after-time", "--isolation", isolation, "--time", "1s")
    assert done.returncode == 137
    assert "took longer than 1 second" in done.stderr


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", ("fill-memory", "fill-by-many", "fill-shared"))
def test_memory(fresh, group, name, isolation):
    """What takes it faster than is looked is the kernel's to end, and takes nobody else with it."""
    gets_out(fresh, name, ["--memory", "64Mi", *without("limits")])
    before = group.kills()
    done = fresh.attempt(name, "--isolation", isolation, "--memory", "64Mi")
    assert done.returncode == 137, done
    assert "took more than 64 MiB of memory" in done.stderr or group.kills() > before, done
    assert fresh.run(["--isolation", isolation], ["true"]).returncode == 0


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name", ("fill-tmp", "fill-shared-files"))
def test_memory_that_is_files(fresh, name, isolation):
    gets_out(fresh, name, without("files"))
    done = fresh.attempt(name, "--isolation", isolation, "--memory", "64Mi")
    assert (done.returncode == HELD or "it filled the disk of /tmp" in done.stderr
            or "it took more than 64 MiB of memory" in done.stderr), done


@pytest.fixture(scope="module")
def small_disk(binary, head, container):
    """A scene and its hands on a disk of 80 MiB with room for 8192 files."""
    assert IS_ROOT, "this test needs root"
    with directory("hermes-disk-") as path, directory("hermes-disk-hands-") as sockets:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m,nr_inodes=8192", "disk", path],
                       check=True)
        try:
            scene = Scene(path, Hermes(binary, path), head)
            give(sockets)
            with Hands(binary, scene.workspace, sockets, contained=True,
                       group=container) as started:
                scene.hermes.environment["HERMES_HANDS_SOCKET"] = str(started.socket)
                yield scene
            scene.close()
        finally:
            subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("isolation", BACK_ENDS)
@pytest.mark.parametrize("name, options, told", [
    ("fill-disk", (), "MiB are left of it"),
    ("fill-disk", ("--disk", "16Mi"), "more than 16 MiB were taken of it meanwhile"),
    ("fill-files", (), "more files"),
    ("fill-files", ("--disk", "16Mi"), "more than 4096 files were made there meanwhile")])
def test_many_files(small_disk, name, options, told, isolation):
    """No single one of them is too large."""
    small_disk.reset()
    gets_out(small_disk, name, without("limits"))
    for _ in range(20):  # others on this machine may fill that of its temporary files
        done = small_disk.attempt(name, "--isolation", isolation, *options)
        assert done.returncode == 137 and "it filled the disk of " in done.stderr, done
        if str(small_disk.workspace) in done.stderr:
            break
        small_disk.reset()
    assert f"it filled the disk of {small_disk.workspace} and was stopped" in done.stderr
    assert told in done.stderr, done
    left = os.statvfs(small_disk.workspace)
    assert left.f_bavail and left.f_favail, "some of it must stay free"
    done = small_disk.run(["--isolation", isolation], ["sh", "-c", "echo x >x; rm full* empty*"])
    assert "filled" not in done.stderr, "whoever clears it must be let"


@pytest.mark.parametrize("isolation", BACK_ENDS)
def test_many_processes(fresh, isolation):
    gets_out(fresh, "bomb", ["--processes", "20", *without("limits")])
    done = fresh.attempt("bomb", "--isolation", isolation, "--processes", "20")
    assert done.returncode in (137, HELD), done
    if done.returncode == 137:
        assert "ran more than 20 processes at once" in done.stderr


def processes_of(user):
    return subprocess.run(["pgrep", "-c", "-U", str(user), "-x", "escape"], capture_output=True,
                          text=True, check=False).stdout.strip()


@pytest.mark.parametrize("isolation", BACK_ENDS)
def test_a_bomb_of_forks_is_gone_with_the_sandbox(fresh, group, isolation):
    before = group.kills()
    for _ in range(20):  # others of the same user may leave no room for the first fork
        done = fresh.attempt("bomb-without-end", "--isolation", isolation, "--processes", "20",
                             limit=60)
        if "Resource temporarily unavailable" not in done.stdout:
            break
    # In the hands there may never be any.
    if isolation != "hands" or "Resource temporarily unavailable" not in done.stdout:
        assert done.returncode == 137, done
        # The kernel may be faster: processes are memory too.
        assert "ran more than 20 processes at once" in done.stderr or group.kills() > before
    until = time.monotonic() + 5  # it would go on for 20
    while processes_of(TEST_UID if IS_ROOT else os.getuid()) != "0":
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("isolation", BACK_ENDS)
def test_secrets_of_the_environment(fresh, isolation):
    gets_out(fresh, "read-environment", without("environment"))
    is_held(fresh, "read-environment", isolation)
