"""`hermes sessions`: what was said, shown, exported and deleted, with and without a daemon."""

import json
import re
import time

import pytest
from harness import SOON

import telegram_models  # noqa: F401  registers its scenarios
from openai_excess import BIDI
from telegram_owner import OWNER

EVIL = "\x1b]0;bell\x07\x1b[2J\x1b[31mred\x9b5m \u202eback\u2066 end" + BIDI


@pytest.fixture(params=["alone", "with a daemon"])
def home(request, hermes, up, service):
    """home(model) makes the commands run in both ways."""
    def ready(model="echo"):
        hermes.use(up, model)
        return service() if request.param == "with a daemon" else None
    return ready


def sessions(hermes):
    return json.loads(hermes.run("sessions", "list", "--json").ok().out)["sessions"]


def only_id(hermes):
    session, = sessions(hermes)
    return session["id"]


# -- list, show, export ---------------------------------------------------------------------------

@pytest.mark.qemu_user
def test_nothing_yet(hermes, service):
    result = hermes.run("sessions")
    assert result.code == 1 and "there is no home" in result.notes, result
    service()
    assert hermes.run("sessions").ok().text == "There are no sessions yet.\n"
    assert sessions(hermes) == []


@pytest.mark.qemu_user
def test_a_list(hermes, home):
    home()
    hermes.chat("What is the tallest mountain of them all?\nAnd why?").ok()
    hermes.chat("second").ok()
    rows = hermes.run("sessions", "list").ok().text.splitlines()
    assert rows[0].split() == ["ID", "LAST", "USED,", "UTC", "WHERE", "TURNS", "TITLE"]
    assert rows[1].endswith("second") and "console" in rows[1]
    assert rows[2].endswith("What is the tallest m…") and max(map(len, rows)) <= 80
    listed = sessions(hermes)
    assert listed[1]["title"] == "What is the tallest mountain of them all?"
    assert [s["turns"] for s in listed] == [1, 1] and [s["messages"] for s in listed] == [2, 2]
    assert rows[1].split()[0] == listed[0]["id"][:12]


def test_one_with_its_messages(hermes, home):
    home("chain")
    hermes.chat('look\ncall write_file {"path": "a.txt", "content": "x"}').ok()
    shown = hermes.run("sessions", "show", only_id(hermes)[:6]).ok().text
    for words in ("title     look\n", "channel   console\n", "user, 20", "assistant, 20",
                  "tool, 20",
                  '· write_file {"path": "a.txt", "content": "x"}\n', "done with look\n"):
        assert words in shown, shown
    told = json.loads(hermes.run("sessions", "show", only_id(hermes), "--json").ok().out)
    assert [m["role"] for m in told["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert told["messages"][1]["tool_calls"][0]["name"] == "write_file"
    assert told["turns"] == 1 and told["input_tokens"] > 0 and not told["is_cut"]


def test_an_export(hermes, home):
    home("chain")
    hermes.chat('look\ncall list_files {}').ok()
    name = only_id(hermes)
    line = hermes.run("sessions", "export", name).ok().out
    assert line.count(b"\n") == 1 and json.loads(line)["id"] == name
    text = hermes.run("sessions", "export", name, "--markdown").ok().text
    assert text.startswith("# look\n") and "\n## user, 20" in text and "- `list_files {}`" in text
    assert text.count("~~~~") == 2


def test_an_export_into_a_file(hermes, home):
    home()
    hermes.chat("look").ok()
    name, file = only_id(hermes), hermes.home / "kept"
    for form, begins in (("md", b"# look\n"), ("json", b'{"id"'), ("jsonl", b'{"id"')):
        result = hermes.run("sessions", "export", name, "--format", form, "-o", str(file)).ok()
        assert result.out == b"" and file.read_bytes().startswith(begins)
        assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    hermes.run("sessions", "export", "ffffffff", "-o", str(file)).failed("no (such )?session")
    assert file.read_bytes() == before
    hermes.run("sessions", "export", name, "--format", "pdf").exits(2).sentence("md, json or jsonl")
    hermes.run("sessions", "export", name, "-o", str(hermes.home / "no" / "file")).failed(
        "cannot write")


def test_usage_and_unknown_ids(hermes, home):
    home()
    hermes.chat("hi").ok()
    for args, sentence in ((("shoe",), '"shoe" is not one of list, show, export, delete, prune'),
                           (("show",), "needs an id"), (("delete",), "needs an id"),
                           (("list", "abc"), "takes no id"), (("show", ""), "needs an id")):
        hermes.run("sessions", *args).exits(2).sentence(sentence)
    for name in ("ffffffffffff", "no/such", "%", "' OR 1=1 --", "ü", "x" * 5000, "a\x1b[2J"):
        for action in ("show", "export", "delete"):
            hermes.run("sessions", action, name, *(["--yes"] if action == "delete" else [])) \
                .failed("no (such )?session|id of a session")
    assert len(sessions(hermes)) == 1


def test_a_beginning_that_means_several(hermes, home):
    """Ids are random; of 18 some begin alike."""
    running = home()
    for number in range(18):
        hermes.chat(f"n{number}").ok()
    ids = [s["id"] for s in sessions(hermes)]
    firsts = [i[0] for i in ids]
    ambiguous = next(c for c in firsts if firsts.count(c) > 1)
    for action in (["show"], ["delete", "--yes"]):
        hermes.run("sessions", action[0], ambiguous, *action[1:]) \
            .failed("several|more than one|begin")
    assert len(sessions(hermes)) == 18
    assert json.loads(hermes.run("sessions", "export", ids[3]).ok().out)["id"] == ids[3]
    assert running is None or running.get("/healthz")[0] == 200


# -- what comes from others -----------------------------------------------------------------------

def clean(screen):
    """What is left of control characters when the program's own colours are taken away."""
    left = re.sub(rb"\x1b\[[0-9;]*m", b"", screen)
    hidden = rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]"
    return (not re.search(hidden, left) and not set(BIDI) & set(left.decode())
            and b"\x1b[31m" not in screen and b"\x1b[5m" not in screen)


@pytest.mark.parametrize("args", [["list"], ["show", "ID"], ["export", "ID"],
                                  ["export", "ID", "--markdown"], ["show", "ID", "--json"],
                                  ["list", "--json"]])
def test_nothing_of_it_steers_a_terminal(hermes, up, service, terminal, args):
    hermes.use(up, "echo")
    service()
    hermes.chat(EVIL).ok()
    name = only_id(hermes)
    with terminal("sessions", *[name if a == "ID" else a for a in args]) as screen:
        assert screen.ends() == 0
        assert b"bell" in screen.raw and clean(screen.raw), screen.raw


def test_an_export_is_what_was_said(hermes, home):
    home()
    hermes.chat(EVIL).ok()
    told = json.loads(hermes.run("sessions", "export", only_id(hermes)).ok().out)
    assert told["messages"][0]["content"] == EVIL
    assert told["messages"][1]["content"] == "echo: " + EVIL


# -- deleting -------------------------------------------------------------------------------------

def test_delete(hermes, home):
    home()
    hermes.chat("the secret of the house").ok()
    hermes.chat("something else").ok()
    name = sessions(hermes)[1]["id"]
    hermes.run("sessions", "delete", name).failed("there is no terminal to ask on", "--yes")
    result = hermes.run("sessions", "delete", name[:10], "--yes").ok()
    assert result.text == f"Deleted the session {name}.\n"
    assert [s["title"] for s in sessions(hermes)] == ["something else"]
    hermes.run("sessions", "show", name).failed("session")
    hermes.run("sessions", "delete", name, "--yes").failed("session")


def test_delete_asks(hermes, up, terminal):
    hermes.use(up, "echo")
    hermes.chat("a question").ok()
    name = only_id(hermes)
    for reply, left in (("\r", 1), ("no\r", 1), ("y\r", 0)):
        with terminal("sessions", "delete", name) as screen:
            screen.expect("Delete this session with all its messages").string
            assert "a question" in screen.screen
            screen.send(reply)
            assert screen.ends() == 0
            assert ("Nothing was deleted" in screen.screen) == bool(left)
        assert len(sessions(hermes)) == left


def test_what_is_being_answered_is_not_deleted(hermes, up, service):
    hermes.use(up, "gate")
    running = service()
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        name = only_id(hermes)
        hermes.run("sessions", "delete", name, "--yes").failed("is being answered", "/stop")
        up.release.set()
        assert chat.finish(SOON).ok().text.endswith("and finished\n")
    hermes.run("sessions", "delete", name, "--yes").ok()
    assert sessions(hermes) == [] and running.get("/readyz")[0] == 200


def test_a_chat_on_telegram_goes_on_after_its_session_was_deleted(hermes, up, api, service):
    hermes.use(up, "recount")
    hermes.use_telegram(api)
    running = service()
    for number in range(3):
        api.user_says(OWNER, f"message {number}")
        api.wait_text(OWNER, f"1 messages, the last: user=message {number}")
        assert running.said("reply.sent", 5)
        api.wait_quiet(0.3)
        hermes.run("sessions", "delete", only_id(hermes), "--yes").ok()
    assert not [e for e in running.events() if e["level"] == "error"]


@pytest.mark.debug_build
@pytest.mark.parametrize("where", ["console", "a console of the daemon's", "telegram"])
def test_a_question_that_nobody_answers_keeps_no_session(hermes, up, api, service, terminal, where):
    hermes.mkdir(hermes.workspace)
    hermes.environment["HERMES_DEBUG_ASKS"] = "write_file"
    hermes.use(up, "tools")
    call = 'call write_file {"path": "made", "content": "x"}'
    if where != "console":
        hermes.use_telegram(api)
        service()
    if where == "telegram":
        api.user_says(OWNER, call)
        api.wait_text(OWNER, "write_file")
    else:
        with terminal("chat") as chat:
            chat.say(call).expect("may this run")
            chat.ready().send("\x04").ends()
    hermes.run("sessions", "delete", only_id(hermes), "--yes").ok()
    assert sessions(hermes) == [] and not (hermes.workspace / "made").exists()
    if where == "telegram":
        api.user_says(OWNER, "and now?")
        api.wait_messages(OWNER, 2)


def test_deleting_while_messages_come(hermes, up, api, service):
    """Whenever the deletion falls, every message has its answer, once."""
    hermes.use(up, "say")
    hermes.use_telegram(api)
    running = service()
    deleted = 0
    for number in range(6):
        api.user_says(OWNER, f"say number {number}.")
        until = time.monotonic() + 5
        while f"number {number}." not in api.texts(OWNER) and time.monotonic() < until:
            for session in sessions(hermes):
                deleted += hermes.run("sessions", "delete", session["id"], "--yes").code == 0
    assert api.texts(OWNER) == [f"number {number}." for number in range(6)], running.log_text
    assert deleted


def test_what_is_still_owed_is_sent(hermes, up, api, service):
    """The session is deleted while its answer waits for a Telegram that is away."""
    hermes.use(up, "fixed")
    hermes.use_telegram(api)
    running = service()
    fault = api.fault("sendMessage", "502", times=1000)
    api.user_says(OWNER, "hi")
    assert running.said("turn.end", 10)
    hermes.run("sessions", "delete", only_id(hermes), "--yes").ok()
    assert fault and sessions(hermes) == []
    running.stop()
    api.heal()
    running.start()
    api.wait_text(OWNER, "ok")
    api.wait_quiet(0.5)
    assert api.texts(OWNER) == ["ok"]


# -- those that have ended ------------------------------------------------------------------------

def test_prune(hermes, home):
    """Nobody goes on with what was said to one `hermes chat`."""
    home()
    for number in range(23):
        hermes.chat(f"n{number}").ok()
    hermes.run("sessions", "prune", "--older-than", "0").failed("no terminal", "--yes")
    assert "\n0 were deleted" in hermes.run("sessions", "prune", "--yes").ok().text
    assert len(sessions(hermes)) == 23
    ended = hermes.run("sessions", "prune", "--older-than", "0", "--yes").ok().text
    assert ended.startswith("23 sessions have ended") and ended.endswith("\n23 were deleted.\n")
    assert sessions(hermes) == []
    hermes.chat("one more").ok()
    for days in ("-1", "x", "", "1/2", "99999999999999999999"):
        hermes.run("sessions", "prune", f"--older-than={days}", "--yes").failed("number of days")
    assert len(sessions(hermes)) == 1


def test_prune_one_source(hermes, up, api, service):
    hermes.use(up, "echo")
    hermes.chat("one").ok()
    hermes.use_telegram(api)
    api.user_says(OWNER, "hi")
    running = service()
    api.wait_text(OWNER, "echo: hi")
    api.user_says(OWNER, "/new")
    api.wait_text(OWNER, "new conversation")
    api.user_says(OWNER, "again")
    api.wait_text(OWNER, "echo: again")
    for name, count in (("api", 0), ("telegram", 1), ("cli", 1)):
        told = hermes.run("sessions", "prune", "--older-than", "0", "--source", name, "--yes"
                          ).ok().text
        of = "console" if name == "cli" else name
        assert told.startswith(f"{count} sessions of {of} have ended"), told
        assert told.endswith(f"\n{count} were deleted.\n")
    assert [one["channel"] for one in sessions(hermes)] == ["telegram"]  # which goes on
    for name in ("", "x y", "x" * 200):
        hermes.run("sessions", "prune", "--source", name, "--yes").failed("a source is named")
    for name in ("*/*", "../status"):
        hermes.run("sessions", "prune", "--source", name, "--yes").failed("number of days")
    running.stop()


def test_prune_asks(hermes, up, terminal):
    hermes.use(up, "echo")
    hermes.chat("first").ok()
    hermes.chat("second").ok()
    for reply, left_over in (("\r", 2), ("y\r", 0)):
        with terminal("sessions", "prune", "--older-than", "0") as screen:
            screen.expect("Delete them").string
            assert "2 sessions have ended" in screen.screen
            screen.send(reply)
            assert screen.ends() == 0
        assert len(sessions(hermes)) == left_over


# -- nothing is left ------------------------------------------------------------------------------

def left(hermes, *words):
    """Which of the words stand in which file of the home, as `strings` would find them."""
    files = [p for p in hermes.home.rglob("*") if p.is_file() and "workspace" not in p.parts]
    assert any(p.name == "state.db" for p in files)
    return [(p.name, word) for p in files for word in words if word.encode() in p.read_bytes()]


def talk_of(topic, api, count):
    """A conversation with a tool, a title, something taken back and a status; its private words."""
    said = [f"{topic}-question", f"{topic}-taken-back", f"{topic}-title", f"{topic}-note"]
    note = json.dumps({"path": "note.txt", "content": f"{topic}-note " * 200})
    lines = [f"{topic}-question", f"tools\ncall write_file {note}", f"/title {topic}-title",
             f"{topic}-taken-back", "/undo", "/status"]
    for line in lines:
        api.user_says(OWNER, line)
        count += 1
        api.wait_messages(OWNER, count)
    api.wait_quiet(0.5)
    return said, count


def test_after_a_delete_nothing_is_found(hermes, up, api, service):
    hermes.use(up, "chain")
    hermes.use_telegram(api)
    running = service()
    before, count = talk_of("heather", api, 0)
    api.user_says(OWNER, "/new")
    words, count = talk_of("orchid", api, count + 1)
    for word in before + words[:1]:
        assert left(hermes, word), f"{word} is not in the database, so nothing is shown below"
    name, kept = [s["id"] for s in sessions(hermes)]
    hermes.run("sessions", "delete", name, "--yes").ok()
    assert left(hermes, *words) == []
    assert "heather-question" in hermes.run("sessions", "show", kept).ok().text
    hermes.run("sessions", "delete", kept, "--yes").ok()
    assert left(hermes, *before, *words) == []
    running.kill()
    running.start()
    api.user_says(OWNER, "hi")
    api.wait_messages(OWNER, count + 1)
    assert left(hermes, *before, *words) == [] and len(sessions(hermes)) == 1


def test_nothing_is_found_of_what_was_owed(hermes, up, api, service):
    """An answer that is sent after its session was deleted is not kept either."""
    hermes.use(up, "echo")
    hermes.use_telegram(api)
    running = service()
    api.fault("sendMessage", "502", times=1000)
    api.user_says(OWNER, "orchids are mine")
    assert running.said("turn.end", 10)
    hermes.run("sessions", "delete", only_id(hermes), "--yes").ok()
    api.heal()
    api.wait_text(OWNER, "orchids")
    assert api.wait_for(lambda: not left(hermes, "orchids"), 20), left(hermes, "orchids")


def test_alone_or_not_nothing_is_found(hermes, home):
    home()
    hermes.chat("orchids " * 2000).ok()
    hermes.chat("heather").ok()
    hermes.run("sessions", "delete", sessions(hermes)[1]["id"], "--yes").ok()
    assert left(hermes, "orchids") == [] and left(hermes, "heather")


def test_a_delete_that_was_cut_short(hermes, up, service):
    """Killed between the deletion and the cleaning of the file: the next process does that."""
    hermes.use(up, "echo").chat("orchids " * 2000).ok()
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    hermes.sql("db.execute('PRAGMA secure_delete = OFF'); db.execute('PRAGMA foreign_keys = ON');"
               "db.execute('DELETE FROM sessions');"
               "db.execute(\"INSERT INTO meta VALUES('scrub', 1)\")", path)
    assert left(hermes, "orchids")
    service()
    assert up.wait_for(lambda: not left(hermes, "orchids"))
    assert sessions(hermes) == []
