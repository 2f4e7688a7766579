"""A home of hermes-agent 0.19, as it made it: Hermes finds the assistant again in it."""

import json
import os
import re

import pytest
from harness import give, tree
from hermes_agent_home import GIVEN, SESSIONS, database, make, schema
from telegram_owner import settled

import telegram_models  # noqa: F401  registers its scenarios

REASONS = ("it is of a program or service that Hermes does not use", "Hermes does not offer that",
           "Hermes decides that itself")


@pytest.mark.parametrize("name", ["default.yaml", "config.yaml"])
def test_every_key_of_the_configuration_is_known(hermes, name):
    path = hermes.put("config.yaml", (GIVEN / name).read_bytes())
    check = hermes.run("config", "check").ok()
    *findings, count = check.text.splitlines()
    assert f"{path}: 0 errors" in count and findings
    for line in findings:
        assert line.startswith("note: "), line
        if "known to hermes-agent" in line:
            assert line.split(": ")[-1] in REASONS, line
    # The walk enters what is read in part, and a misspelling there is still found.
    hermes.put("config.yaml", path.read_text() + "\ntelegrm: {}\n")
    assert re.search(r'warning: .*unknown key "telegrm"', hermes.run("config", "check").ok().text)


def test_what_its_configuration_says_is_used(hermes):
    hermes.put("config.yaml", (GIVEN / "config.yaml").read_bytes())
    shown = hermes.run("config", "show").ok().text
    for key, value in (("platforms.telegram.extra.base_url", "http://127.0.0.1:18081/bot"),
                       ("agent.max_turns", "60"), ("timezone", "Europe/Berlin"),
                       ("display.language", "de"), ("display.tool_progress", "all")):
        assert re.search(rf"{re.escape(key)}\b.*{re.escape(value)}.*config\.yaml", shown), shown


# -- profiles -------------------------------------------------------------------------------------

def test_a_profile_is_a_home_of_its_own(hermes):
    work = hermes.home / "profiles/work"
    hermes.put("SOUL.md", "You are Iris.")
    hermes.put("profiles/work/SOUL.md", "You are Otto.")
    hermes.put("profiles/work/config.yaml", "display: {language: de}\n")
    hermes.chat("remember the boiler code is 4711").ok()
    root = tree(hermes.home, without=["profiles"])
    for before, env in ((["-p", "work"], {}), (["--profile=work"], {}), (["--profile", "work"], {}),
                        ([], {"HERMES_PROFILE": "work"})):
        assert "4711" not in hermes.run(*before, "chat", "-q", "recall boiler", env=env).ok().text
        assert f"{work}/config.yaml\n" == hermes.run(*before, "config", "path", env=env).ok().text
    assert (work / "state.db").exists() and (work / "workspace").is_dir()
    assert tree(hermes.home, without=["profiles"]) == root
    assert "4711" in hermes.chat("recall boiler").ok().text


def test_a_profile_of_its_home_leaves_it_the_name_of_its_database(hermes):
    make(hermes)
    work = hermes.home / "profiles/work"
    hermes.run("-p", "work", "chat", "-q", "remember the boiler code is 4711").ok()
    assert (work / "hermes.db").exists() and not (work / "state.db").exists()
    (work / "state.db").write_bytes((hermes.home / "state.db").read_bytes())
    assert "4711" in hermes.run("-p", "work", "chat", "-q", "recall boiler").ok().text


@pytest.mark.parametrize("args,said", [
    (["-p", "wrok"], r"error: there is no profile wrok: .*profiles/wrok: No such file"),
    (["-p", "../work"], r"error: a profile's name .*\"\.\./work\""),
    (["-p", "x" * 65], r"error: a profile's name .*"),
    (["-p"], r"error: --profile needs a name: .*"),
    (["--profile="], r"error: --profile needs a name: .*")])
def test_a_profile_that_is_none(hermes, args, said):
    hermes.put("SOUL.md", "You are Iris.")
    before = tree(hermes.home)
    hermes.run(*args, *(["chat", "-q", "hi"] if len(args) > 1 else [])).sentence(said)
    assert tree(hermes.home) == before


# -- the home stays as it is ----------------------------------------------------------------------

WRITTEN = ("memories", "cron", "notes", "workspace", "logs")


def states(home):
    """Bytes, mode and time of every file that is not the agent's to write."""
    return {str(path.relative_to(home)): (path.lstat().st_mode, path.lstat().st_mtime_ns,
                                          path.read_bytes() if path.is_file() else None)
            for path in home.rglob("*")
            if path.relative_to(home).parts[0] not in WRITTEN or path.name.endswith(".db")}


def age(home):
    """So that a file that is written again with the same bytes is seen."""
    for path in home.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))


@pytest.mark.parametrize("unclean", [False, True])
def test_nothing_changes_that_is_not_the_agents_to_write(hermes, up, service, api, unclean):
    home = make(hermes, unclean=unclean)
    age(home)
    before = states(home)
    assert (home / "state.db-wal").exists() == unclean and len(before) > 45
    hermes.chat("remember the boiler code is 4711").ok()
    hermes.use(up, "tools")
    call = {"target": "memory", "action": "add", "content": "Herons."}
    hermes.chat(f"hi\ncall memory {json.dumps(call)}").ok()
    assert (home / "memories/MEMORY.md").read_text().endswith("§\nHerons.\n")
    hermes.run("config", "check").ok()
    hermes.run("doctor")
    hermes.run("import", home).ok()
    hermes.run("import", home, "--dry-run").ok()
    hermes.run("pairing", "list").ok()
    hermes.use_telegram(api, users=None)  # who is approved there is answered
    running = service(env={"HERMES_MODEL": "offline"})
    api.user_says(42, "hi")
    assert settled(api, 1)[0].startswith("Hello! I am the built-in offline model")
    running.stop()
    after = states(home)
    assert {name: what for name, what in after.items() if name in before} == before
    new = {name.split("/")[0].split(".")[0] for name in after if name not in before}
    assert new <= {"hermes", "results", "ledger"}, new


# -- its conversations ----------------------------------------------------------------------------

def sessions(hermes):
    listed = json.loads(hermes.run("sessions", "list", "--json").ok().text)["sessions"]
    return {row["id"]: row for row in listed}


def said(hermes, session):
    shown = json.loads(hermes.run("sessions", "export", session).ok().text)
    return [(row["role"], row["content"]) for row in shown["messages"]], shown


def test_conversations_are_taken_over(hermes):
    home = make(hermes, unclean=True)
    dry = json.loads(hermes.run("import", "--dry-run", "--json").ok().text)
    assert dry["sessions"] == 4 and dry["messages"] == 13 and dry["dry_run"]
    assert not sessions(hermes)
    done = hermes.run("import", home).ok().text
    assert done.startswith(f"Took over 4 conversations with 13 messages from {home}/state.db.")
    assert re.search(r"\n +1 is left out: it was taken back there\n", done)
    assert re.search(r"\n +1 is left out: it is no user's", done)
    assert re.search(r"\n +1 came without a text or calls", done)
    found = sessions(hermes)
    disk, herons, topic, job = (SESSIONS[i][0] for i in range(4))
    assert set(found) == {disk, herons, herons + ".earlier", topic, job}
    assert found[disk]["channel"] == "console" and found[disk]["title"] == "Disk space"
    assert (found[herons]["channel"], found[herons]["chat"]) == ("telegram", "42")
    assert found[topic]["thread"] == "7" and found[topic]["chat"] == "-100"
    assert found[job]["channel"] == "cron" and found[job]["title"] is None
    assert found[herons + ".earlier"]["title"] == "Herons (earlier)"
    messages, whole = said(hermes, disk)
    assert messages == [("user", "How full is the disk?"), ("assistant", "I look."),
                        ("tool", "/dev/sda1 40% /"), ("assistant", "It is 40 percent full.")]
    assert whole["messages"][0]["created_ms"] == whole["created_ms"] == 1795100060250
    call = whole["messages"][1]["tool_calls"][0]
    assert call == {"id": "call_1", "name": "terminal", "arguments": '{"command": "df -h /"}'}
    assert "Größe" in said(hermes, herons)[0][1][1]
    assert not list(home.glob("import*"))


def test_an_id_that_is_shown_names_its_conversation(hermes, api, service):
    """Its ids begin with the date, so that no beginning of one would do."""
    make(hermes)
    hermes.run("import").ok()
    lines = hermes.run("sessions").ok().text.splitlines()
    assert len(lines) == 6 and len({line.index("  20", 20) for line in lines[1:]}) == 1
    for line in lines[1:]:
        shown = hermes.run("sessions", "show", line.split()[0]).ok().text
        assert line.split()[0] == shown.splitlines()[0].split()[1]
    hermes.use_telegram(api)
    service(env={"HERMES_MODEL": "offline"})
    api.user_says(42, "/sessions")
    assert f"({SESSIONS[1][0]}, " in settled(api, 1)[0]
    api.user_says(42, "/status")
    assert f"({SESSIONS[1][0]}, " in settled(api, 2)[1]


def test_a_second_import_takes_what_is_new(hermes):
    home = make(hermes)
    hermes.run("import").ok()
    again = json.loads(hermes.run("import", "--json").ok().text)
    assert (again["sessions"], again["messages"], again["known"]) == (0, 0, 13)
    herons, disk = SESSIONS[1][0], SESSIONS[0][0]
    hermes.run("sessions", "delete", disk, "--yes").ok()
    hermes.sql(database(sessions=[("20261123_090000_ffffff", {"source": "cli"})],
                        messages=[(herons, "user", "And now?", {}),
                                  ("20261123_090000_ffffff", "user", "Another one", {})],
                        first=100), home / "state.db")
    more = json.loads(hermes.run("import", "--json").ok().text)
    assert (more["sessions"], more["messages"]) == (1, 2)
    assert said(hermes, herons)[0][-1] == ("user", "And now?")
    assert disk not in sessions(hermes)  # what was deleted here stays deleted


def test_the_conversation_goes_on(hermes, up, service, api):
    make(hermes)
    hermes.run("import").ok()
    hermes.use_telegram(api, users="42")
    hermes.use(up, "recount")
    service()
    api.user_says(42, "And what do they weigh?")
    assert settled(api, 1)[0].startswith("4 messages, the last: user=And what do they weigh")
    sent = up.requests[-1].json["messages"]
    assert sent[0]["role"] == "system" and "Iris" in sent[0]["content"]
    assert sent[-2]["content"] == "About one metre."


def test_a_conversation_that_went_on_here_stays_the_one(hermes, up, service, api):
    hermes.use_telegram(api, users="42")
    hermes.use(up, "recount")
    running = service()
    api.user_says(42, "It is our own")
    settled(api, 1)
    running.stop()
    elsewhere = hermes.directory / "elsewhere"
    hermes.mkdir(elsewhere)
    # The other program's were begun in 2026; this one's is later than they are.
    hermes.sql("db.execute('UPDATE sessions SET created_ms = 1900000000000')",
               hermes.home / "state.db")
    hermes.sql(schema() + database(), elsewhere / "state.db")
    hermes.run("import", elsewhere).ok()
    service()
    api.user_says(42, "Go on")
    assert settled(api, 2)[1].startswith("3 messages, the last: user=Go on")


def test_older_schemas_have_fewer_columns(hermes):
    hermes.sql("db.executescript('CREATE TABLE sessions (id TEXT PRIMARY KEY, source TEXT, user_id"
               " TEXT, title TEXT); CREATE TABLE messages (id INTEGER PRIMARY KEY, session_id TEXT,"
               " role TEXT, content TEXT, timestamp REAL)')\n"
               "db.execute(\"INSERT INTO sessions VALUES ('a', 'telegram', '42', 'old')\")\n"
               "db.execute(\"INSERT INTO messages VALUES (1, 'a', 'user', 'hello', 1.5)\")\n",
               hermes.put("state.db"))
    hermes.run("import").ok()
    assert sessions(hermes)["a"]["chat"] == "42" and said(hermes, "a")[0] == [("user", "hello")]


@pytest.mark.parametrize("make_it,words", [
    (lambda path: None, r"there are no conversations in .*state\.db: it is missing or empty"),
    (lambda path: path.write_bytes(b"x" * 5000), r"state\.db is damaged"),
    (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(range(1, 256)) * 40),
     r"is damaged|not a database"),
    (lambda path: path.mkdir(), r"state\.db"),
    (lambda path: os.mkfifo(path), r"state\.db"),
])
def test_what_is_no_database(hermes, make_it, words):
    hermes.chat("hi").ok()
    place = hermes.directory / "elsewhere"
    hermes.mkdir(place)
    make_it(place / "state.db")
    for path in place.iterdir():
        give(path)
    hermes.run("import", place).sentence(rf"error: import: .*({words})")
    assert not list(hermes.home.glob("import*"))


@pytest.mark.parametrize("script,words", [
    ("db.execute('CREATE TABLE other (id TEXT)')", "not the database of a hermes-agent"),
    ("db.executescript('CREATE TABLE m (a); CREATE TABLE sessions (id TEXT); CREATE VIEW messages"
     " AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id FROM n) SELECT id FROM n')",
     "not the database of a hermes-agent"),
])
def test_another_programs_database(hermes, script, words):
    hermes.chat("hi").ok()
    place = hermes.directory / "elsewhere"
    hermes.mkdir(place)
    hermes.sql(script, place / "state.db")
    hermes.run("import", place).sentence(rf"error: import: .*{words}")
    hermes.run("import").sentence(r"error: import: .*Hermes's own already")


def test_a_file_is_no_home(hermes):
    home = make(hermes)
    hermes.run("import", home / "state.db").sentence(
        rf"error: import: {home}/state\.db is a file; name the home that it is in")


def test_hostile_rows_are_counted(hermes):
    big = "'x' * (5 << 20)"
    hermes.sql(schema() + f"""
db.execute("INSERT INTO sessions (id, source, started_at) VALUES ('a', 'cli', 1e300)")
db.execute("INSERT INTO sessions (id, source, started_at) VALUES (?, 'cli', 1)", ('y' * 200,))
rows = [('a', 'user', {big}, 1e300), ('a', 'user', b'\\xff\\xfe\\x00', -1e300),
        ('a', 'user', 'fine', None or 0), ('none', 'user', 'stray', 1), ('y' * 200, 'user', 'z', 1),
        ('a', 'x' * 300, 'odd', 1)]
db.execute('PRAGMA foreign_keys = OFF')
for row in rows:
    db.execute('INSERT INTO messages (session_id, role, content, timestamp) VALUES (?,?,?,?)', row)
db.execute("INSERT INTO messages (session_id, role, content, tool_calls, timestamp)"
           " VALUES ('a', 'assistant', NULL, ?, 1)", ('[[1], {{"id": 7}}, null, "s"]',))
""", hermes.put("state.db"))
    counts = json.loads(hermes.run("import", "--json").ok().text)
    assert counts["messages"] == 4 and counts["sessions"] == 1
    assert (counts["stray"], counts["other_roles"], counts["unreadable"]) == (2, 1, 1)
    assert said(hermes, "a")[0][1:3] == [("user", "\ufffd\ufffd\0"), ("user", "fine")]
    hermes.chat("hi").ok()


def test_a_damaged_database_says_so_and_keeps_what_it_gave(hermes):
    home = make(hermes)
    data = bytearray((home / "state.db").read_bytes())
    for page in range(4096 * 8, len(data), 4096):
        data[page:page + 64] = b"\xaa" * 64
    (home / "state.db").write_bytes(data)
    hermes.run("import", home).sentence(rf"error: import: {home}/state\.db is damaged; .*recover")
    assert (home / "state.db").read_bytes() == data and not list(home.glob("import*"))


def test_a_running_hermes_is_in_the_way(hermes, up, service):
    make(hermes)
    service()
    hermes.run("import").sentence(r"error: import: .*in use by another hermes")
