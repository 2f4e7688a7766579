"""SOUL.md, memories/ and the prompt that they make, as hermes-agent keeps them; nothing is lost."""

import json
import re
import time

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from telegram_api import TOKEN
from telegram_owner import OWNER

SEPARATOR = "\n§\n"


def memory(target="memory", action="add", **more):
    return "call memory " + json.dumps({"target": target, "action": action, **more},
                                       ensure_ascii=False)


@pytest.fixture
def call(hermes, up):
    """call(...) has the model call the tool; what the tool answered."""
    hermes.use(up, "tools")

    def run(*calls, **more):
        return hermes.chat("change it\n" + "\n".join(calls), **more).ok().text
    return run


def entries(hermes, name="MEMORY.md"):
    path = hermes.home / "memories" / name
    return path.read_text().rstrip("\n").split(SEPARATOR) if path.exists() else []


def archive(hermes):
    path = hermes.home / "memories/ARCHIVE.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def system(up, number=-1):
    return up.requests[number].messages[0]["content"]


# -- a hermes-agent home --------------------------------------------------------------------------

@pytest.fixture
def agent_home(hermes, up, api):
    """A home as hermes-agent leaves it, with the keys in .env; the files that nobody may touch."""
    hermes.put("config.yaml", f"""\
_config_version: 50
model:
  default: fake/chain  # a comment that must survive
  provider: custom
  base_url: {up.base_url}
memory:
  memory_enabled: true
  user_profile_enabled: true
  memory_char_limit: 2200
  user_char_limit: 1375
display:
  skin: default
platforms:
  telegram:
    extra:
      base_url: {api.base_url}/bot
""")
    hermes.put(".env", f"OPENAI_API_KEY={up.api_key}\nTELEGRAM_BOT_TOKEN={TOKEN}\n"
               f"TELEGRAM_ALLOWED_USERS={OWNER}\n# a comment\n")
    hermes.put("SOUL.md", "You are Marvin, a robot with a pain in the diodes.\n")
    hermes.put("memories/MEMORY.md", "The router is in the cellar.\n§\nThe NAS is called ford.\n")
    hermes.put("memories/USER.md", "The user is called Arthur.\n")
    hermes.upstreams.append(up)
    hermes.bots.append(api)
    hermes.key_may_be_in = (".env",)
    kept = [hermes.home / name for name in ("config.yaml", ".env", "SOUL.md")]
    return lambda: {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino,
                                path.stat().st_mode) for path in kept}


def test_a_hermes_agent_home_is_used_by_the_daemon(hermes, up, api, agent_home, service):
    before = agent_home()
    running = service()
    api.user_says(OWNER, "hi\n" + memory(content="The gate opens at nine.") + "\n" +
                  memory("user", "replace", old_text="Arthur", content="The user is called Ford."))
    api.wait_text(OWNER, "done with hi", 20)
    prompt = system(up)
    for words in ("You are Marvin", "MEMORY", "USER",
                  "The router is in the cellar.\n§\nThe NAS is called ford.",
                  "The user is called Arthur."):
        assert words in prompt, prompt
    assert prompt.index("Marvin") < prompt.index("The router") < prompt.index("Arthur")
    running.process.signal(1)
    assert running.said("config.reload", 5)
    running.stop()
    for args in (["config", "check"], ["config", "show"], ["doctor"], ["context"], ["status"]):
        hermes.run(*args)
    assert agent_home() == before, "a file of the user's was touched"
    assert entries(hermes) == ["The router is in the cellar.", "The NAS is called ford.",
                               "The gate opens at nine."]
    assert entries(hermes, "USER.md") == ["The user is called Ford."]


def test_without_any_of_it(hermes, up):
    hermes.use(up, "fixed").chat("hi").ok()
    assert "You are Hermes" in system(up) and "MEMORY" not in system(up)


def test_switched_off(hermes, up, call):
    hermes.put("config.yaml", "memory:\n  memory_enabled: false\n")
    hermes.put("memories/MEMORY.md", "The router is in the cellar.")
    hermes.put("memories/USER.md", "Called Arthur.")
    assert "MEMORY.md is switched off" in call(memory(content="x"))
    assert "cellar" not in system(up) and "Called Arthur." in system(up)


def test_a_long_soul_is_cut_and_says_so(hermes, up):
    hermes.use(up, "fixed").put("SOUL.md", "Ä" * 30000)
    hermes.chat("hi").ok()
    assert "[SOUL.md is longer; the rest is not shown]" in system(up)


# -- the tool -------------------------------------------------------------------------------------

@pytest.mark.parametrize("target,name", [("memory", "MEMORY.md"), ("user", "USER.md")])
def test_add_replace_remove(hermes, call, target, name):
    assert call(memory(target, content="first")).startswith("saved; ")
    assert call(memory(target, content="second")).startswith("saved; ")
    assert "it is there already" in call(memory(target, content="second"))
    assert call(memory(target, "replace", old_text="fir", content="1st")).startswith("replaced; ")
    assert entries(hermes, name) == ["1st", "second"]
    assert call(memory(target, "remove", old_text="1st")).startswith("removed; ")
    assert entries(hermes, name) == ["second"] and not archive(hermes)
    assert (hermes.home / "memories" / name).stat().st_mode & 0o777 == 0o600


def test_refusals_are_sentences(hermes, call):
    hermes.put("memories/MEMORY.md", SEPARATOR.join(["red house", "red car", "blue car"]))
    for request, words in (
            (memory(content=""), "empty"), (memory(content="a\n§\nb"), "separates entries"),
            (memory(content="a\u200bb"), "U\\+200B"),
            (memory(content="x" * 2201), "2201 characters"),
            (memory("diary", content="x"), "must be memory or user"),
            (memory(action="forget"), "must be add, replace or remove"),
            (memory(action="remove", old_text="red"), "in 2 entries.*red house.*red car"),
            (memory(action="remove", old_text="green"), "in no entry"),
            (memory(action="replace", old_text="blue"), "content"),
            (memory(action="replace", old_text="blue car", content="b" * 2195),
             "2,?\\d+ of 2,?200")):
        said = call(request)
        assert re.search(words, said), (request, said)
    assert entries(hermes) == ["red house", "red car", "blue car"] and not archive(hermes)


def test_what_makes_room_is_archived(hermes, call):
    old = [f"{n}: " + "o" * 500 for n in range(4)]
    hermes.put("memories/MEMORY.md", SEPARATOR.join(old))
    said = call(memory(content="n" * 1000))
    assert "the 2 oldest entries went to ARCHIVE.jsonl" in said
    assert entries(hermes) == old[2:] + ["n" * 1000]
    assert [(a["target"], a["content"]) for a in archive(hermes)] == \
        [("memory", old[0]), ("memory", old[1])]
    assert all(a["archived_at"].startswith("20") for a in archive(hermes))


def test_the_whole_archive_and_the_file_hold_everything(hermes, call):
    for number in range(12):
        call(memory(content=f"{number} " + "é" * 400))
    held = [a["content"] for a in archive(hermes)] + entries(hermes)
    assert held == [f"{n} " + "é" * 400 for n in range(12)]
    assert len(SEPARATOR.join(entries(hermes))) <= 2200


def test_two_calls_at_once(hermes, up, call):
    said = call(*(memory(content=f"entry {n}") for n in range(6)))
    assert said.count("saved; ") == 6
    assert sorted(entries(hermes)) == [f"entry {n}" for n in range(6)]


def test_two_conversations_at_once(hermes, up, service):
    hermes.use(up, "tools")
    service()
    chats = [hermes.start("chat", "-q", "x\n" + memory(content=f"by {n}")) for n in range(8)]
    assert all("saved; " in chat.finish(20).ok().text for chat in chats)
    assert sorted(entries(hermes)) == [f"by {n}" for n in range(8)]


def test_a_link_is_left_alone(hermes, call):
    target = hermes.put("precious.md", "precious\n")
    hermes.mkdir("memories")
    (hermes.home / "memories/MEMORY.md").symlink_to(target)
    assert "is a link and was left alone" in call(memory(content="x"))
    assert target.read_text() == "precious\n"


def test_file_tools_do_not_reach_it(hermes, up, call):
    hermes.put("memories/MEMORY.md", "private note")
    assert "private note" not in call('call read_file {"path": "../memories/MEMORY.md"}')
    call('call write_file {"path": "../memories/MEMORY.md", "content": "x"}')
    assert entries(hermes) == ["private note"]


def test_bytes_that_are_no_text(hermes, up):
    held = b"before \xff\xfe after\n\xc2\xa7\nsecond"
    hermes.put("memories/MEMORY.md", held)
    hermes.use(up, "fixed").chat("hi").ok()
    assert "before \ufffd" in system(up) and "second" in system(up)
    assert (hermes.home / "memories/MEMORY.md").read_bytes() == held


# -- the frozen prompt ----------------------------------------------------------------------------

def wait(api, text, count):
    """The count-th message, once it has `text`; messages before it have it too."""
    until = time.monotonic() + 15
    while len([t for t in api.texts(OWNER) if text in t]) < count:
        assert time.monotonic() < until, api.texts(OWNER)
        time.sleep(0.02)


def test_a_prompt_is_frozen(hermes, up, api, service):
    """What was learnt in a conversation is shown to the next one, and also a restart, a kill and a
    new SOUL.md leave the prompt of this one as it was."""
    hermes.use(up, "chain").use_telegram(api)
    hermes.put("SOUL.md", "I am the first soul.")
    running = service()
    api.user_says(OWNER, "one\n" + memory(content="The gate opens at nine."))
    wait(api, "done with one", 1)
    frozen = system(up, 0)
    hermes.put("SOUL.md", "I am the second soul.")
    api.user_says(OWNER, "two")
    wait(api, "done with two", 1)
    running.stop()
    running.start()
    api.user_says(OWNER, "three")
    wait(api, "done with three", 1)
    running.kill()
    running.start()
    api.user_says(OWNER, "four")
    wait(api, "done with four", 1)
    assert {r.messages[0]["content"] for r in up.requests} == {frozen}
    assert "first soul" in frozen and "gate" not in frozen
    api.user_says(OWNER, "/new")
    wait(api, "A new conversation", 1)
    api.user_says(OWNER, "five")
    wait(api, "done with five", 1)
    assert "second soul" in system(up) and "The gate opens at nine." in system(up)
    assert len(up.requests[-1].messages) == 2


def test_it_is_frozen_in_a_console_conversation_as_well(hermes, up, terminal):
    hermes.use(up, "chain")
    with terminal("chat") as chat:
        chat.say("one " + memory(content="The gate opens at nine.")).expect("done with one")
        chat.say("two").expect("done with two")
        chat.ready()
        assert "gate" not in system(up)
        chat.say("/new").expect("A new conversation")
        chat.say("three").expect("done with three")
    assert "The gate opens at nine." in system(up)
