"""Installs what benchmarks/peers measures, and counts what that put on the disk.

The versions stand here and nowhere else, except LiteLLM's, which tests/peers pins by hash. Which
index pip and cargo ask is the machine's own affair. Everything goes below ~/.cache/hermes; a second
run finds it there and needs no network.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from common import ROOT, say
from gateways import ENDS_WITH_US

VERSIONS = {"hermes-agent": "0.19.0", "holmesgpt": "0.45.0", "zeroclaw": "0.8.7"}
LITELLM = ROOT / "tests" / "peers" / "requirements.txt"
# Has no wheel; of everything else only built packages are taken, so that nothing else of theirs
# runs at installation.
FROM_SOURCE = {"holmesgpt": "clickhouse-sqlalchemy"}
# What hermes-agent itself installs once it is told to speak Telegram.
TELEGRAM = "python-telegram-bot[webhooks]==22.6"
RUST = (1, 96)  # what zeroclaw asks for

PYTHON = "/usr/bin/python3"
PIP_SECONDS = 1200
BUILD_MINUTES = 40
MIB = 1 << 20


class Failed(Exception):
    """A step of a peer that did not work: which, and why, in one sentence."""

    def __init__(self, step, why):
        super().__init__(why)
        self.step, self.why = step, " ".join(str(why).split())


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base, "hermes")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def alone(target):
    """One run at a time installs into `target`; a second one waits for it."""
    with open(f"{target}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# -- counting -------------------------------------------------------------------------------------

def tree(root):
    """(bytes, files) below a folder: every file's length, no folders; a symbolic link counts as
    itself and a file of several names once."""
    size = count = 0
    seen, folders = set(), [root]
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
                continue
            known = entry.stat(follow_symlinks=False)
            if known.st_nlink > 1 and (known.st_dev, known.st_ino) in seen:
                continue
            seen.add((known.st_dev, known.st_ino))
            size += known.st_size
            count += 1
    return size, count


def less(one, other):
    return tuple(a - b for a, b in zip(one, other))


# -- running steps --------------------------------------------------------------------------------

def step(command, seconds, name, environment=None):
    """Runs a command of an installation, gently; its group is ended when the time is over."""
    gently = [*ENDS_WITH_US, "nice", "-n", "19", *map(str, command)]
    process = subprocess.Popen(gently, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True, env={**os.environ, **(environment or {})})
    try:
        said, _ = process.communicate(timeout=seconds)
    except BaseException as problem:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(problem, subprocess.TimeoutExpired):
            raise Failed("install", f"{name} did not finish in {seconds / 60:.0f} minutes") \
                from problem
        raise
    if process.returncode:
        raise Failed("install", f"{name} ended with {process.returncode}: {reason(said)}")


def reason(said):
    """The line that says most of why an installation failed: the first error, or the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if re.match(r"error\b", line, re.I)),
                lines[-1] if lines else "it said nothing")[:300]


# -- with pip -------------------------------------------------------------------------------------

def new_venv(target):
    done = subprocess.run([PYTHON, "-m", "venv", target], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Failed("install", f"{PYTHON} cannot make virtual environments (Debian: python3-venv);"
                     " run: scripts/deps bench")


def venv(name):
    """(folder, {"bytes", "files", ...}) of a peer in a virtual environment of its own. The files of
    pip are counted once, before the program runs: bytecode included, as pip leaves it."""
    version = VERSIONS[name]
    target = cache() / f"peers-{name}-{version}"
    counted = target / "counted.json"
    with alone(target):
        if not counted.exists():
            say(f"installing {name} {version} into {target}")
            shutil.rmtree(target, ignore_errors=True)
            try:
                new_venv(target)
                found = fill(name, version, target)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
            counted.write_text(json.dumps(found))
    return target, json.loads(counted.read_text())


def fill(name, version, target):
    empty = tree(target)
    pip(target, name, f"{name}=={version}")
    size, files = less(tree(target), empty)
    found = {"bytes": size, "files": files}
    if name == "hermes-agent":
        pip(target, name, TELEGRAM)
        found["with_telegram"] = less(tree(target), empty)[0]
    return found


def pip(target, name, what):
    command = [target / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check",
               "--no-input", "--only-binary", ":all:"]
    if name in FROM_SOURCE:
        command += ["--no-binary", FROM_SOURCE[name]]
    step([*command, what], PIP_SECONDS, f"pip install {what}")


def litellm_version():
    return re.search(r"^litellm==(\S+)", LITELLM.read_text(), re.M).group(1)


def litellm():
    """As venv(), but by tests/peers/install, which leaves the bytecode out; it is made here, so
    that all of them are counted alike."""
    done = subprocess.run([ROOT / "tests" / "peers" / "install"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, timeout=PIP_SECONDS)
    if done.returncode:
        raise Failed("install", "tests/peers/install failed; it says why above")
    target = pathlib.Path(done.stdout.strip())
    with alone(target), tempfile.TemporaryDirectory(prefix="hermes-bench-venv-") as empty:
        # A file or two of the packages are templates that no Python can compile; pip leaves those
        # out without a word too.
        subprocess.run(["nice", "-n", "19", target / "bin" / "python", "-m", "compileall", "-q",
                        *target.glob("lib/python3*/site-packages")], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=PIP_SECONDS)
        new_venv(empty)
        size, files = less(tree(target), tree(empty))
    for beside in target.glob("lib/python3*/site-packages/prometheus_client*"):
        size, files = less((size, files), tree(beside))  # the tests' own; LiteLLM does without it
    return target, {"bytes": size, "files": files}


# -- with cargo -----------------------------------------------------------------------------------

def rust_version(text):
    found = re.match(r"cargo (\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else None


def asked(*command):
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60).stdout
    return ""


def cargo():
    """The machine's own cargo, or that of another toolchain that rustup knows, if new enough."""
    toolchains = [line.split()[0] for line in asked("rustup", "toolchain", "list").splitlines()
                  if line.split()]
    seen = []
    for command in (["cargo"], *(["cargo", f"+{name}"] for name in toolchains)):
        version = rust_version(asked(*command, "--version"))
        if version and version >= RUST:
            return command
        seen += [version] if version else []
    wanted = f"zeroclaw {VERSIONS['zeroclaw']} wants Rust {RUST[0]}.{RUST[1]}"
    if not seen:
        raise Failed("install", f"{wanted} and there is no cargo here; install it, e.g. with rustup"
                     " (Debian's is too old)")
    newest = max(seen)
    raise Failed("install", f"{wanted} and the newest here is {newest[0]}.{newest[1]}; install a "
                 "newer toolchain, e.g. with rustup")


def crate(name, minutes=BUILD_MINUTES):
    """(folder, {"bytes", "files"}): what cargo installed. A build that did not finish is kept, and
    the next run goes on with it. CARGO_BUILD_JOBS says how many compilers run at a time; `minutes`
    0 builds nothing."""
    version = VERSIONS[name]
    target = cache() / f"peers-{name}-{version}"
    built = pathlib.Path(f"{target}.build")
    with alone(target):
        if not (target / "bin" / name).exists():
            if not minutes:
                raise Failed("install", f"{name} {version} is not built here yet, and "
                             "--build-minutes 0 leaves it so")
            command = cargo()
            say(f"building {name} {version}, at most {minutes} minutes; it goes into {target}")
            step([*command, "install", "--locked", "--root", target, "--version", version, name],
                 minutes * 60, f"{' '.join(command)} install {name}",
                 {"CARGO_TARGET_DIR": str(built)})
        shutil.rmtree(built, ignore_errors=True)
    size, files = tree(target / "bin")
    return target, {"bytes": size, "files": files}
