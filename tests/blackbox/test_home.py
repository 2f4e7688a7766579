"""Homes as they are found: full, read-only, in use, from the future, damaged, somebody else's.

Each gets a clear sentence; nothing that was there is overwritten.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest
from harness import IS_ROOT, SOON, TEST_UID, give, tree, unchanged

NEEDS_ROOT = pytest.mark.skipif(not IS_ROOT, reason="mounting needs root")


@pytest.fixture
def mounted(hermes):
    """mounted(type, options) mounts over the home, or another folder, until the test ends."""
    hermes.mkdir(".")
    done = []

    def mount(*args, at=hermes.home):
        subprocess.run(["mount", *args, at], check=True)
        done.append(at)
    yield mount
    hermes.finish()
    for path in reversed(done):
        subprocess.run(["umount", "-l", path], check=True)


def tmpfs(mounted, size, **where):
    mounted("-t", "tmpfs", "-o", f"size={size},uid={TEST_UID},gid={TEST_UID},mode=700", "tmpfs",
            **where)


def fill(directory):
    """Take every free byte, as the test user's own file."""
    path = directory / "ballast"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (1 << 16, 1 << 12, 1):
        with contextlib.suppress(OSError):
            while os.write(handle, b"b" * size):
                pass
    os.close(handle)
    give(path)
    return path


# -- a fresh home ---------------------------------------------------------------------------------

def test_a_home_is_made_for_its_owner_alone(hermes):
    hermes.chat("remember the first thing").ok()
    assert hermes.home.stat().st_mode & 0o777 == 0o700
    for path in hermes.home.rglob("*"):
        assert path.lstat().st_mode & 0o077 == 0, f"{path} can be read by others"


def test_nothing_is_made_elsewhere(hermes):
    hermes.chat("remember the first thing").ok()
    found = [p.name for p in hermes.directory.iterdir()]
    assert found == ["home"], found


def test_without_hermes_home_it_is_dot_hermes(hermes):
    hermes.chat("remember the first thing", env={"HERMES_HOME": None}).ok()
    assert (hermes.directory / ".hermes").is_dir() and not hermes.home.exists()


def test_home_as_an_option_wins(hermes):
    other = hermes.directory / "other home ünïcode"
    hermes.chat("remember the first thing", "--home", other).ok()
    assert other.is_dir() and not hermes.home.exists()


def test_without_any_home_it_says_so(hermes):
    hermes.chat("hi", env={"HERMES_HOME": None, "HOME": None}).failed(
        "HERMES_HOME nor HOME .*--home DIR")


@pytest.mark.parametrize("value,named,why", [
    ("/nonexistent/deep/home", "/nonexistent", "Permission denied"),
    ("/proc/home", "/proc/home", "No such file"), ("/dev/null/home", "/dev/null/home", "Not a dir"),
    ("/etc/hermes-test-home", "/etc/hermes-test-home", "Permission denied")])
def test_a_home_that_cannot_be_made(hermes, value, named, why):
    hermes.chat("hi", env={"HERMES_HOME": value}).failed(
        rf"directory {named}\W.*--home or HERMES_HOME.*{why}")


def test_a_home_that_is_a_file(hermes):
    hermes.directory.joinpath("home").write_text("precious")
    hermes.chat("hi").failed(re.escape(str(hermes.home)), "directory")
    assert hermes.home.read_text() == "precious"


def test_a_relative_home(hermes):
    """It is where the program was started."""
    hermes.chat("remember the first thing", env={"HERMES_HOME": "relative/home"}).ok()
    assert (hermes.directory / "relative/home/state.db").is_file() and not hermes.home.exists()


def test_a_home_behind_a_link(hermes):
    target = hermes.directory / "target"
    target.mkdir()
    give(target)
    hermes.home.symlink_to(target)
    hermes.chat("remember the first thing").ok()
    assert any(target.iterdir()) and hermes.home.is_symlink()


def test_a_long_path(hermes):
    """Longer than a Unix socket's address may be."""
    long = hermes.directory / ("d" * 100) / ("e" * 100)
    long.parent.mkdir()
    give(long.parent)
    hermes.chat("remember the long way", env={"HERMES_HOME": long}).ok()
    assert "long way" in hermes.chat("recall way", env={"HERMES_HOME": long}).ok().text


# -- full -----------------------------------------------------------------------------------------

@NEEDS_ROOT
def test_a_disk_that_is_full_from_the_start(hermes, mounted):
    tmpfs(mounted, "64k")
    fill(hermes.home)
    hermes.chat("hi").failed(r"disk that holds .*home/state\.db is full; free some space")


@NEEDS_ROOT
def test_a_disk_that_fills_up_later(hermes, mounted):
    tmpfs(mounted, "4m")
    hermes.chat("remember the boiler code is 4711").ok()
    before = [name for name in tree(hermes.home, without=("logs",))
              if not name.startswith("ledger.journal.")]  # one for each process
    ballast = fill(hermes.home)
    hermes.chat("remember the second thing").failed(
        r"disk that holds .*home/state\.db is full; free some space")
    ballast.unlink()
    assert "4711" in hermes.chat("recall boiler").ok().text, "what was there is there"
    assert set(before) <= set(tree(hermes.home))


@NEEDS_ROOT
def test_a_file_is_not_lost_on_a_full_disk(hermes, mounted):
    tmpfs(mounted, "4m")
    hermes.put("workspace/a.txt", "precious\n")
    hermes.chat("hi").ok()
    fill(hermes.home)
    hermes.chat("write a.txt: " + "new text " * 5000).failed(r"state\.db is full; free some space")
    assert (hermes.workspace / "a.txt").read_text() == "precious\n"


@NEEDS_ROOT
def test_a_write_that_fails_leaves_the_old_file(hermes, up, mounted):
    """The disk of the workspace becomes full in the middle of the write; the model is told."""
    hermes.mkdir("workspace")
    tmpfs(mounted, "128k", at=hermes.workspace)
    path = hermes.put("workspace/a.txt", "precious\n")
    text = "call write_file " + json.dumps({"path": "a.txt", "content": "n" * 300000})
    result = hermes.use(up, "tools").run("chat", stdin=text).ok()
    assert "cannot write a.txt: No space left on device" in result.text, result
    assert path.read_text() == "precious\n"
    assert [p.name for p in hermes.workspace.iterdir()] == ["a.txt"], "no litter"


@pytest.mark.release
@pytest.mark.parametrize("size", [0, 4096, 20000, 60000])
def test_a_file_size_limit_is_no_crash(hermes, size):
    hermes.chat("remember the boiler code", rlimits={"FSIZE": size}).failed(
        r"home/state\.db failed \(.*disk I/O error\)")
    assert hermes.chat("remember the second thing").ok()
    assert "second thing" in hermes.chat("recall second").ok().text


@pytest.mark.release
def test_few_descriptors_are_no_crash(hermes, up):
    hermes.use(up, "echo")
    for count in (5, 8, 12, 20):
        result = hermes.chat("hi", rlimits={"NOFILE": count})
        if count < 15:
            result.failed("Too many open files|unable to open database file|file descriptors")
        else:
            assert result.ok().text == "echo: hi\n"


# -- read-only ------------------------------------------------------------------------------------

def test_a_home_without_write_permission(hermes):
    hermes.chat("remember the boiler code is 4711").ok()
    before = tree(hermes.home, without=("hermes.lock",))
    hermes.home.chmod(0o500)
    result = hermes.chat("hi").failed("read-only|permi|writ", re.escape(str(hermes.home)))
    hermes.home.chmod(0o700)
    assert tree(hermes.home, without=("hermes.lock",)) == before and result.out == b""
    assert "4711" in hermes.chat("recall boiler").ok().text


@pytest.mark.parametrize("args", [("pairing", "approve", "telegram", "ABCDEFGH"),
                                  ("skills", "new", "drain")])
def test_what_writes_beside_the_database_says_what_to_do(hermes, args):
    hermes.mkdir(".")
    hermes.home.chmod(0o500)
    result = hermes.run(*args)
    hermes.home.chmod(0o700)
    result.failed(re.escape(f"cannot write in the home {hermes.home}"), "chown", "--home")


@NEEDS_ROOT
def test_a_read_only_file_system(hermes, mounted):
    hermes.chat("remember the boiler code is 4711").ok()
    before = tree(hermes.home)
    mounted("--bind", str(hermes.home))
    subprocess.run(["mount", "-o", "remount,ro,bind", hermes.home], check=True)
    hermes.chat("hi").failed("read-only|permi|writ", re.escape(str(hermes.home)))
    hermes.run("--version").ok()
    hermes.run("help").ok()
    assert tree(hermes.home) == before


def test_a_database_without_write_permission(hermes):
    hermes.chat("remember the boiler code is 4711").ok()
    for path in hermes.databases():
        path.chmod(0o400)
    hermes.chat("remember another thing").failed(r"home/state\.db .*writing: Permission denied")


# -- in use ---------------------------------------------------------------------------------------

def test_a_second_process_says_who_holds_the_home(hermes, up):
    hermes.use(up, "hold")
    with hermes.start("chat", "-q", "first") as first:
        assert up.wait_for(lambda: up.requests)
        before = tree(hermes.home, without=("logs",))
        result = hermes.chat("second").failed(rf"\b{first.pid}\b", "home|in use|running|another")
        assert result.seconds < SOON and len(up.requests) == 1
        assert tree(hermes.home, without=("logs",)) == before
        hermes.run("--version").ok()
        hermes.run("help").ok()
        hermes.run("config", "show").ok()
        hermes.run("config", "check").ok()
        up.release.set()
        assert first.finish().ok().text == "held released\n"
    hermes.chat("third").ok()


def test_commands_wait_for_each_other_where_no_service_runs(hermes, up):
    """Each of them needs the home for a moment, and none is in use by another for longer."""
    hermes.use(up, "echo").chat("hi").ok()
    for process in [hermes.start("cost") for _ in range(8)]:
        assert "1 call" in process.finish().ok().text


def test_another_home_is_free(hermes, up):
    hermes.use(up, "hold")
    with hermes.start("chat", "-q", "first"):
        assert up.wait_for(lambda: up.requests)
        hermes.chat("second", "--home", hermes.directory / "other", "--model", "echo").ok()


def test_a_killed_owner_holds_nothing(hermes, up):
    hermes.use(up, "hold")
    with hermes.start("chat", "-q", "first") as first:
        assert up.wait_for(lambda: up.requests)
        first.kill()
    assert hermes.chat("second", "--model", "echo").ok().text == "echo: second\n"


def test_ten_at_once(hermes):
    """Exactly the winner's turn is carried out; the others say a sentence; no database is hurt."""
    processes = [hermes.start("chat", "-q", f"remember fact number {n}") for n in range(10)]
    results = [process.finish() for process in processes]
    assert any(result.code == 0 for result in results)
    for result in results:
        if result.code:
            result.failed("home|in use|running|another", r"\b\d+\b")
    kept = hermes.chat("recall fact").ok().text
    for number, result in enumerate(results):
        assert (f"number {number}" in kept) == (result.code == 0)


# -- time -----------------------------------------------------------------------------------------

SHIFT = """
TEN_YEARS = 315360000
for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND "
                           "name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%VIRTUAL%'").fetchall():
    for column in db.execute(f"PRAGMA table_info('{table}')").fetchall():
        name = column[1]
        for low, unit in ((1.5e9, 1), (1.5e12, 1e3), (1.5e15, 1e6), (1.5e18, 1e9)):
            try:
                done = db.execute(f'UPDATE "{table}" SET "{name}" = "{name}" + '
                                  f'{int(TEN_YEARS * unit)}'
                                  f' WHERE typeof("{name}") IN (\\'integer\\', \\'real\\')'
                                  f' AND "{name}" BETWEEN {low} AND {low * 2}')
            except sqlite3.Error:
                continue
            if done.rowcount > 0:
                print(table, name, done.rowcount)
"""


def test_a_clock_set_back(hermes, up):
    """Rows ten years in the future: what a Pi without a battery sees after a reboot."""
    hermes.use(up, "tools").chat('call remember {"content":"the boiler code is 4711"}').ok()
    hermes.chat("hi").ok()
    moved = "".join(hermes.sql(SHIFT, path) for path in hermes.databases())
    assert moved, "there are times in the database"
    before = [path.stat().st_size for path in hermes.databases()]
    result = hermes.chat('call recall {"query":"boiler"}').ok()
    assert "4711" in result.text and before
    hermes.chat('call remember {"content":"the gate opens at nine"}').ok()
    assert "nine" in hermes.chat('call recall {"query":"gate"}').ok().text


def test_files_from_the_future(hermes):
    hermes.chat("remember the boiler code is 4711").ok()
    for path in hermes.home.rglob("*"):
        os.utime(path, (4102444800, 4102444800))
    assert "4711" in hermes.chat("recall boiler").ok().text


# -- unclean stops and damage ---------------------------------------------------------------------

def test_a_kill_in_mid_turn_loses_nothing_older(hermes, up):
    hermes.use(up, "tools").chat('call remember {"content":"the boiler code is 4711"}').ok()
    for delay in (0.0, 0.05, 0.2):
        with hermes.start("chat", "-q", "hi", "--model", "hold") as process:
            assert up.wait_for(lambda: up.requests and up.requests[-1].model == "hold"
                               and not up.requests[-1].ended)
            threading.Event().wait(delay)
            os.kill(process.pid, signal.SIGKILL)
        assert "4711" in hermes.chat('call recall {"query":"boiler"}').ok().text


@pytest.mark.parametrize("damage", ["garbage", "head", "truncated", "empty", "middle"])
def test_a_damaged_database_is_set_aside(hermes, damage):
    for number in range(3):
        hermes.chat(f"remember fact number {number} " + "x" * 5000).ok()
    database = max(hermes.databases(), key=lambda path: path.stat().st_size)
    for path in hermes.home.glob(database.name + "-*"):
        path.unlink()
    data = bytearray(database.read_bytes())
    if damage == "garbage":
        data = bytearray(os.urandom(len(data)))
    elif damage == "head":
        data[:100] = b"\xff" * 100
    elif damage == "truncated":
        data = data[:len(data) // 2]
    elif damage == "empty":
        data = bytearray()
    else:
        middle = len(data) // 2
        data[4096:middle] = b"\xa5" * (middle - 4096)
    database.write_bytes(data)
    first = hermes.chat("remember a new thing").ok()
    second = hermes.chat("recall new").ok()
    assert "new thing" in second.text, second
    kept = [path for path in hermes.home.rglob("*")
            if path.is_file() and path.stat().st_size == len(data)
            and path.read_bytes() == bytes(data)]
    healed = b"fact number 1" in database.read_bytes()
    assert kept or healed or damage == "empty", "a damaged file is evidence and may hold the rest"
    if damage in ("garbage", "head"):
        assert re.search("damaged|corrupt|set aside|not a database|quarantine|another program",
                         first.notes, re.I), first


def test_a_database_that_is_a_directory(hermes):
    hermes.chat("hi").ok()
    for path in hermes.databases():
        path.unlink()
        path.mkdir()
        give(path)
    hermes.chat("hi").failed(r"database .*home/state\.db: Is a directory")


def test_strangers_in_the_home_are_left_alone(hermes):
    hermes.put("notes/my diary.txt", "dear diary")
    hermes.put("workspace/a.txt", "mine")
    hermes.put("random.bin", os.urandom(1000))
    hermes.put("lock", "not yours")
    hermes.put("hermes.pid", "999999")
    before = tree(hermes.home)
    hermes.chat("hi").ok()
    hermes.chat("remember x").ok()
    unchanged({k: v for k, v in before.items() if k not in ("lock", "hermes.pid")},
              tree(hermes.home))


# -- a hermes-agent home --------------------------------------------------------------------------

FOREIGN = """
db.executescript('''
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (30);
CREATE TABLE sessions (id TEXT PRIMARY KEY, source TEXT NOT NULL, user_id TEXT, model TEXT,
  system_prompt TEXT, parent_session_id TEXT, started_at REAL NOT NULL, ended_at REAL,
  message_count INTEGER DEFAULT 0, title TEXT);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
  role TEXT NOT NULL, content TEXT, tool_call_id TEXT, tool_calls TEXT, tool_name TEXT,
  timestamp REAL NOT NULL);
CREATE VIRTUAL TABLE messages_fts USING fts5(content, content=messages, content_rowid=id);
CREATE TABLE state_meta (key TEXT PRIMARY KEY, value TEXT);
INSERT INTO sessions VALUES ('20250305_091523_a1b2c3d4', 'cli', NULL, 'some/model', 'prompt', NULL,
  1741166123.5, NULL, 2, 'A title');
INSERT INTO messages (session_id, role, content, timestamp) VALUES
  ('20250305_091523_a1b2c3d4', 'user', 'an old question', 1741166123.5),
  ('20250305_091523_a1b2c3d4', 'assistant', 'an old answer', 1741166124.5);
PRAGMA user_version = 30;
''')
"""


@pytest.fixture
def agent_home(hermes, up):
    """A home as hermes-agent leaves it."""
    hermes.put("config.yaml", f"""\
_config_version: 50
model:
  default: fake/history  # a comment that must survive
  provider: custom
  base_url: {up.base_url}
agent:
  max_turns: 60
  personalities:
    pirate: "Arr!"
compression:
  enabled: true
  threshold: 0.50
terminal:
  backend: local
display:
  skin: default
some_future_key: [1, 2, 3]
""")
    hermes.put(".env", f'OPENAI_API_KEY={up.api_key}\nexport OTHER="quoted value"\n# comment\n')
    hermes.put("SOUL.md", "You are Marvin, a robot with a pain in the diodes.\n")
    hermes.put("memories/MEMORY.md", "The router is in the cellar.\n§\nThe NAS is called ford.\n")
    hermes.put("memories/USER.md", "The user is called Arthur.\n")
    hermes.put("skills/devops/deploy/SKILL.md",
               "---\nname: deploy\ndescription: how\n---\nSteps.\n")
    hermes.put("cron/jobs.json", '{"jobs": [], "updated_at": "2025-03-05T09:15:23"}\n')
    hermes.put("logs/agent.log", "old log\n")
    hermes.put("auth.json", "{}\n")
    hermes.sql(FOREIGN, hermes.home / "state.db")
    hermes.upstreams.append(up)
    hermes.key_may_be_in = (".env",)  # this home holds the key because its user put it there
    return tree(hermes.home)


def test_a_hermes_agent_home_is_used_and_left_as_it_was(hermes, up, agent_home):
    result = hermes.chat("hi").ok()
    assert result.text == "system user\n"
    assert up.requests[0].model == "fake/history"
    assert "Marvin" in up.requests[0].messages[0]["content"]
    unchanged(agent_home, tree(hermes.home))


def test_a_hermes_agent_home_remembers_elsewhere(hermes, up, agent_home):
    before = (hermes.home / "state.db").read_bytes()
    for _ in range(2):
        hermes.chat('call remember {"content":"the gate opens at nine"}', "--model", "tools").ok()
    assert "nine" in hermes.chat('call recall {"query":"gate"}', "--model", "tools").ok().text
    assert (hermes.home / "state.db").read_bytes() == before


def test_a_hermes_agent_home_in_doctor_and_check(hermes, up, agent_home):
    check = hermes.run("config", "check")
    assert check.code == 0 and "some_future_key" in check.text, check
    shown = hermes.run("config", "show").ok().text
    assert "fake/history" in shown and up.api_key not in shown
    hermes.run("doctor")
    unchanged(agent_home, tree(hermes.home))


def test_paths_of_the_harness_are_what_they_seem(hermes):
    """The user of the tests is no superuser: otherwise half of this file proves nothing."""
    closed = hermes.put("closed", "x", mode=0o000)
    from harness import as_test_user
    done = subprocess.run(["cat", closed], capture_output=True, **as_test_user())
    assert done.returncode != 0 and pathlib.Path(closed).exists()
