"""How benchmarks/peers counts: files, memory of a family, bytes of a request, and what it prints of
a program that failed. None of the peers is needed for it."""

import http.client
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import peer_install  # noqa: E402
import peer_runs  # noqa: E402
import processes  # noqa: E402
from peer_install import Failed  # noqa: E402

MIB = 1 << 20
HOLDS = "import sys, time; kept = b'x' * (int(sys.argv[1]) << 20); print(len(kept), flush=True); "


def load_command():
    loader = importlib.machinery.SourceFileLoader("peers_command", str(BENCHMARKS / "peers"))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("peers_command", loader))
    loader.exec_module(module)
    return module


peers = load_command()


# -- size and files -------------------------------------------------------------------------------

def test_a_tree_is_counted_by_its_files(tmp_path):
    (tmp_path / "one").write_bytes(b"x" * 1000)
    (tmp_path / "empty").touch()
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "two").write_bytes(b"y" * 234)
    assert peer_install.tree(tmp_path) == (1234, 3)


def test_a_file_of_two_names_counts_once_and_a_link_as_itself(tmp_path):
    (tmp_path / "one").write_bytes(b"x" * 1000)
    os.link(tmp_path / "one", tmp_path / "same")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"z" * 10)
    os.symlink("folder", tmp_path / "to")  # 6 bytes, and nothing behind it a second time
    assert peer_install.tree(tmp_path) == (1016, 3)


def test_what_was_there_before_is_taken_off(tmp_path):
    (tmp_path / "python").write_bytes(b"p" * 500)
    empty = peer_install.tree(tmp_path)
    (tmp_path / "added").write_bytes(b"a" * 77)
    assert peer_install.less(peer_install.tree(tmp_path), empty) == (77, 1)


# -- memory ---------------------------------------------------------------------------------------

@pytest.fixture
def family():
    """A process that starts one that holds 40 MiB; both wait."""
    child = HOLDS + "time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, '40'])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE,
                               start_new_session=True)
    assert process.stdout.readline() == b"%d\n" % (40 * MIB)
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_memory_is_that_of_all_processes(family):
    found = processes.memory(family.pid)
    alone = processes.status(family.pid, ("VmRSS",))["VmRSS"]
    assert found["processes"] == 2
    assert found["VmRSS"] >= alone + 40 * 1024
    assert found["VmRSS"] < alone + 40 * 1024 + 64 * 1024, "nothing is counted many times"


def test_memory_of_what_has_ended_is_an_error_and_not_nothing():
    process = subprocess.Popen(["/bin/true"])
    try:
        until = time.monotonic() + 60
        while processes.status(process.pid, ("VmRSS",)):
            assert time.monotonic() < until
            time.sleep(0.01)
        with pytest.raises(ProcessLookupError):
            processes.memory(process.pid)
    finally:
        process.wait()


def test_a_one_shot_is_watched(tmp_path):
    busy = HOLDS + "end = time.process_time() + .2\nwhile time.process_time() < end: pass"
    one = peer_runs.OneShot([sys.executable, "-c", busy, "50"], dict(os.environ), tmp_path, 60)
    assert (one.status, one.text) == (0, f"{50 * MIB}\n")
    assert 0.2 <= one.cpu < 30
    assert 50 * 1024 <= one.rss < 150 * 1024


def test_what_a_one_shot_starts_and_waits_for_is_in_its_cpu_time(tmp_path):
    busy = "import time\nwhile time.process_time() < .3: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    one = peer_runs.OneShot([sys.executable, "-c", parent], dict(os.environ), tmp_path, 60)
    assert one.cpu >= 0.3


def test_a_one_shot_that_does_not_end_is_ended(tmp_path):
    with pytest.raises(Failed) as found:
        peer_runs.OneShot(["/bin/sleep", "600"], dict(os.environ), tmp_path, 0.3)
    assert (found.value.step, found.value.why) == ("hi", "no end after 0.3 s")


# -- a first "hi" ---------------------------------------------------------------------------------

def post(model, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", model.port, timeout=60)
    connection.request("POST", path, body, {"Authorization": f"Bearer {model.api_key}",
                                            "Content-Type": "application/json"})
    answer = connection.getresponse().read()
    connection.close()
    return answer


def question(tools, text="hi"):
    """A request with a description that a picky provider refuses."""
    return json.dumps({"model": "echo", "messages": [{"role": "user", "content": text}], "tools": [
        {"type": "function", "function": {"name": f"t{n}", "description": "d" * 2000}}
        for n in range(tools)]}, indent=1).encode()


def test_the_bytes_of_a_request_are_those_on_the_wire():
    body = question(3)
    with peer_runs.Model() as model:
        post(model, "/v1/show", b"{}")
        assert b"echo: hi" in post(model, "/v1/chat/completions", body)
        post(model, "/v1/chat/completions", question(1, "a second one, which does not count"))
        assert peer_runs.first_request(model.requests) == (len(body), 3)


def test_no_request_is_no_number():
    with peer_runs.Model() as model:
        post(model, "/v1/show", b"{}")
        assert peer_runs.first_request(model.requests) is None


def asked_by(script):
    class Program:
        asked = "the program"

        def one_shot(self, base, model):
            return [sys.executable, "-c", script, str(model.port), model.api_key], base
    return Program()


CLIENT = """
import sys, urllib.request
body = b'{"model": "echo", "messages": [{"role": "user", "content": "hi"}]}'
urllib.request.urlopen(urllib.request.Request(
    f'http://127.0.0.1:{sys.argv[1]}/v1/chat/completions', body,
    {'Authorization': 'Bearer ' + sys.argv[2]})).read()
"""


def test_a_program_is_asked_in_a_world_of_its_own():
    script = CLIENT + "import os; print('echo: hi', os.listdir(os.environ['HOME']))"
    with peer_runs.NoWayOut() as way_out, peer_runs.bare_path() as path, \
            peer_runs.world(path, way_out) as (base, model):
        asker = peer_runs.Asker(asked_by(script), base, model)
        asker.ask()
        assert asker.first == (66, 0)
        assert asker.cpu > 0
        assert not way_out.wanted


def test_an_answer_that_is_none_is_a_failure():
    with peer_runs.NoWayOut() as way_out, peer_runs.world("/usr/bin:/bin", way_out) as world:
        with pytest.raises(Failed) as found:
            peer_runs.Asker(asked_by(CLIENT + "print('no model')"), *world).ask()
    assert found.value.step == "hi" and "no model" in found.value.why


def test_nobody_is_phoned():
    script = "import urllib.request; urllib.request.urlopen('https://example.test/')"
    with peer_runs.NoWayOut() as way_out:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", **way_out.environment()}, timeout=60)
        assert done.returncode and "403 Forbidden" in done.stderr
        assert way_out.wanted == {"example.test"}


def test_a_bare_path_has_a_shell_and_no_node():
    with peer_runs.bare_path() as path:
        assert os.access(f"{path}/sh", os.X_OK) and os.access(f"{path}/ls", os.X_OK)
        assert not {"node", "npx", "docker", "git"} & set(os.listdir(path))


# -- the table ------------------------------------------------------------------------------------

class Stub:
    name, version, asked = "stub", "1.2", "stub hi"
    service = one_shot = staticmethod(lambda *_: None)


def shown(rows):
    text = io.StringIO()
    rows.table(["a note"]).show(text)
    return text.getvalue()


def test_figures_are_written_in_their_units():
    program = Stub()
    rows = peers.Rows([program])
    rows.cells[program].update(bytes=3 * MIB // 2, files=12345, idle=2048, used=2560, hi=3179,
                               tools=8, cpu=0.0071)
    line = next(line for line in shown(rows).splitlines() if "stub" in line)
    assert line.split() == ["stub", "1.2", "1.5", "12,345", "2.0", "2.5", "3,179", "8", "0.007",
                            "–"]


def test_a_failure_stands_in_the_cells_and_its_reason_below():
    program, other = Stub(), Stub()
    rows = peers.Rows([program, other])
    for one in rows.programs:
        with rows.watched(one, "install"):
            if one is program:
                raise Failed("install", "there is no\n  network")
            rows.cells[one].update(bytes=MIB, files=1)
    text = shown(rows)
    lines = [line for line in text.splitlines() if line.startswith("  stub")]
    assert lines[0].split()[2:] == ["failed:", "install", *["failed"] * 6, "–"]
    assert "failed" not in lines[1] and "1.0" in lines[1]
    assert "(stub, failed: install: there is no network)" in text
    assert rows.still("install") == [other]


def test_what_was_measured_before_a_failure_stays():
    program = Stub()
    rows = peers.Rows([program])
    rows.cells[program].update(bytes=MIB, files=1, hi=3179, tools=8, cpu=2.5)
    with rows.watched(program, "install"):
        raise Failed("run", "Telegram is not polled")
    assert rows.cells[program] == {"bytes": MIB, "files": 1, "hi": 3179, "tools": 8, "cpu": 2.5,
                                   "idle": "failed: run", "used": "failed"}
    assert not rows.still("run") and rows.still("hi") == [program]


def test_a_missing_binary_is_a_failed_installation():
    program = Stub()
    rows = peers.Rows([program])
    with rows.watched(program, "install"):
        raise SystemExit("build it with: make static")
    assert rows.problems == ["stub, failed: install: build it with: make static"]


def test_a_defect_of_the_benchmark_itself_is_not_a_peers_failure():
    rows = peers.Rows([Stub()])
    with pytest.raises(ZeroDivisionError), rows.watched(rows.programs[0], "run"):
        print(1 // 0)


# -- the installation -----------------------------------------------------------------------------

def test_a_step_that_fails_says_why():
    script = "print('Collecting x'); print('ERROR: No matching distribution'); exit(1)"
    with pytest.raises(Failed) as found:
        peer_install.step([sys.executable, "-c", script], 60, "pip install x")
    assert found.value.why == "pip install x ended with 1: ERROR: No matching distribution"


def test_a_step_has_a_limit():
    began = time.monotonic()
    with pytest.raises(Failed) as found:
        peer_install.step(["/bin/sh", "-c", "sleep 600 & sleep 600"], 0.5, "cargo install x")
    assert "did not finish" in found.value.why and time.monotonic() - began < 60


@pytest.mark.parametrize("said, version", [
    ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", (1, 95)), ("cargo 1.97.0-nightly (4d1f 2026)", (1, 97)),
    ("cargo 2.0.0", (2, 0)), ("", None), ("error: no such toolchain", None)])
def test_the_version_of_cargo_is_read(said, version):
    assert peer_install.rust_version(said) == version


def fake_tools(folder, monkeypatch, versions):
    """cargo and rustup with these toolchains, "" being the default one."""
    cases = "".join(f'"{"+" if name else ""}{name}") echo "cargo {version}.0";;\n'
                    for name, version in versions.items())
    scripts = {"cargo": f'case "$1" in +*) t=$1;; *) t=;; esac\ncase "$t" in\n{cases}esac',
               "rustup": "\n".join(f'echo "{name} (active)"' for name in versions if name)}
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


CARGO = """#!/bin/sh
[ "$1" = install ] || { echo "cargo 9.99.0"; exit; }
mkdir -p "$CARGO_TARGET_DIR"
[ -e "${0%/*}/works" ] || { echo "  Compiling a"; echo "error: could not compile"; exit 101; }
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin" && printf program >"$2/bin/zeroclaw"
"""


def test_a_cargo_that_is_new_enough_is_used(tmp_path, monkeypatch):
    fake_tools(tmp_path, monkeypatch, {"": "1.96"})
    assert peer_install.cargo() == ["cargo"]


def test_another_toolchain_is_used_where_the_default_is_too_old(tmp_path, monkeypatch):
    fake_tools(tmp_path, monkeypatch, {"": "1.95", "stable": "1.95", "nightly": "1.97"})
    assert peer_install.cargo() == ["cargo", "+nightly"]


def test_a_cargo_that_is_too_old_is_named(tmp_path, monkeypatch):
    fake_tools(tmp_path, monkeypatch, {"": "1.63"})
    with pytest.raises(Failed, match=r"wants Rust 1\.96 and the newest here is 1\.63"):
        peer_install.cargo()


def test_what_is_not_to_be_built_is_not_built(tmp_path, monkeypatch):
    fake_tools(tmp_path, monkeypatch, {"": "9.99"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Failed, match="--build-minutes 0"):
        peer_install.crate("zeroclaw", 0)


def test_a_build_that_fails_says_why_and_one_that_works_is_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "cargo").write_text(CARGO)
    (tmp_path / "cargo").chmod(0o755)
    with pytest.raises(Failed, match="error: could not compile"):
        peer_install.crate("zeroclaw", 1)
    (tmp_path / "works").touch()
    target, found = peer_install.crate("zeroclaw", 1)
    assert found == {"bytes": 7, "files": 1} and (target / "bin" / "zeroclaw").exists()
    assert not pathlib.Path(f"{target}.build").exists()


# -- the command ----------------------------------------------------------------------------------

def command(*arguments):
    return subprocess.run([sys.executable, "-B", BENCHMARKS / "peers", *arguments],
                          capture_output=True, text=True, timeout=60)


def test_the_list_names_every_program_and_its_version():
    done = command("--list")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(peers.PROGRAMS)
    for name, version in peer_install.VERSIONS.items():
        assert any(line.split()[:2] == [name, version] for line in done.stdout.splitlines())


def test_an_unknown_name_is_refused_with_those_that_there_are():
    done = command("--only", "hermes,nobody")
    assert done.returncode == 2 and not done.stdout
    assert "there is no 'nobody'" in done.stderr and "holmesgpt" in done.stderr
