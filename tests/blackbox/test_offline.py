"""The built-in model: the whole loop without a key or a network."""

import datetime
import re

import pytest

pytestmark = pytest.mark.qemu_user
NOT_A_MODEL = r"not a language model"


def test_it_is_the_default_and_says_so_once(hermes):
    result = hermes.chat("hi").ok()
    assert result.text.strip()
    notes = result.notes
    assert len(re.findall(NOT_A_MODEL, notes, re.I)) == 1
    assert re.search("OPENROUTER_API_KEY|OPENAI_BASE_URL", notes)
    result.sentence()


def test_asked_for_by_name_it_needs_no_key(hermes):
    result = hermes.chat("hi", env={"HERMES_MODEL": "offline"}).ok()
    assert result.text.strip()
    assert hermes.chat("hi", "--model", "offline").ok().text == result.text


def test_offline_wins_over_a_key(hermes, up):
    hermes.use(up, "offline").chat("hi").ok()
    assert up.connections == 0


def test_a_key_alone_is_not_offline(hermes, up):
    """With a key and no model a default is asked, or the sentence says what to set; the built-in
    model never takes over in silence."""
    result = hermes.use(up).chat("hi")
    assert not re.search(NOT_A_MODEL, result.notes + result.text, re.I), result
    if not up.connections:
        result.failed("HERMES_MODEL|--model")
    up.rejected.clear()  # the fake knows no real model's name


def test_anything_else_is_echoed_with_what_it_can_do(hermes):
    text = hermes.chat("what is the meaning of life").ok().text
    assert "what is the meaning of life" in text
    assert all(word in text for word in ("read", "write", "list", "remember", "recall"))


def test_the_answer_is_the_same_twice(hermes):
    assert hermes.chat("hello there").out == hermes.chat("hello there").out


def test_stdout_holds_the_answer_and_nothing_else(hermes):
    result = hermes.chat("hi").ok()
    assert result.out.endswith(b"\n") and not result.out.endswith(b"\n\n")
    assert not re.search("hermes:|warning|note:", result.text, re.I)


def test_time(hermes):
    text = hermes.chat("time").ok().text
    now = datetime.datetime.now(datetime.timezone.utc)
    assert re.search(now.strftime("%Y-%m-%d"), text), text


def test_the_time_is_the_zones(hermes):
    """Zones are built in: an image without zoneinfo must not silently be UTC."""
    for zone, name in (("Asia/Kolkata", r"\+05:?30|IST"), ("Asia/Tokyo", r"\+09:?00|JST")):
        assert re.search(name, hermes.chat("time", env={"TZ": zone}).ok().text), zone


def test_the_time_by_the_settings(hermes):
    env = {"TZ": "Asia/Tokyo"}
    path = hermes.put("config.yaml", "timezone: Asia/Kolkata\n", base=hermes.directory)
    assert "+0530" in hermes.chat("time", "--config", path, env=env).ok().text
    hermes.put("config.yaml", "timezone: ''\n", base=hermes.directory)
    assert "+0900" in hermes.chat("time", "--config", path, env=env).ok().text
    hermes.put("config.yaml", "timezone: Atlantis/Poseidonis\n", base=hermes.directory)
    hermes.chat("time", "--config", path, env=env).sentence("config.yaml:1", "Atlantis/Poseidonis")


# -- tools ----------------------------------------------------------------------------------------

@pytest.mark.native
def test_write_read_list_search(hermes):
    hermes.chat("write notes.txt: the pump runs at noon").ok()
    assert (hermes.workspace / "notes.txt").read_text().strip() == "the pump runs at noon"
    assert "the pump runs at noon" in hermes.chat("read notes.txt").ok().text
    assert "notes.txt" in hermes.chat("list").ok().text
    assert "notes.txt" in hermes.chat("list .").ok().text
    assert "notes.txt" in hermes.chat("search pump").ok().text
    assert "notes.txt" not in hermes.chat("search submarine").ok().text


@pytest.mark.native
def test_a_missing_file_is_said(hermes):
    result = hermes.chat("read nothing.txt").ok()
    assert re.search("nothing.txt", result.text) and re.search("no such|not found|does not exist",
                                                               result.text, re.I)


@pytest.mark.native
def test_one_after_another(hermes):
    text = hermes.chat("write a.txt: first words and then read a.txt").ok().text
    assert "first words" in text
    assert (hermes.workspace / "a.txt").read_text().strip() == "first words"


@pytest.mark.native
def test_in_parallel_results_stand_in_order(hermes):
    for name in "abc":
        hermes.put(f"workspace/{name}.txt", f"contents of {name}\n")
    text = hermes.chat("read c.txt & read a.txt & read b.txt").ok().text
    order = [text.index(f"contents of {name}") for name in "cab"]
    assert order == sorted(order)


@pytest.mark.native
def test_one_failure_does_not_lose_the_others(hermes):
    hermes.put("workspace/a.txt", "contents of a\n")
    text = hermes.chat("read a.txt & read missing.txt").ok().text
    assert "contents of a" in text and "missing.txt" in text


HELP, OUT, PATTERN = "I know: read NAME", "leads out of the workspace", "not a regular expression"


ODD = [
    ("read", HELP), ("write", HELP), ("write x", HELP), ("search", HELP), ("remember", HELP),
    ("recall", HELP), ("read  and then  read", HELP), (" & ", HELP), ("and then", HELP),
    ("& & &", HELP)]
# A tool's process says these, and only where the kernel starts what is emulated could one start.
ODD_FILES = [
    ("list /", OUT), ("read \x01", "does not exist"), ("write a.txt:", "wrote 0 bytes to a.txt"),
    ("read ../../etc/passwd", OUT), ("write :", "not a path"), ("search (", PATTERN),
    ("search [a-", PATTERN), ("read " + "a" * 5000, "longer than 4096 bytes"),
    ("search " + "(" * 500, PATTERN)]


@pytest.mark.parametrize("text,answer", [
    *ODD, *(pytest.param(*case, marks=pytest.mark.native) for case in ODD_FILES)])
def test_odd_commands_are_answered(hermes, text, answer):
    result = hermes.chat(text).ok()
    assert answer in result.text, result
    assert "root:x:0:0" not in result.text


def test_many_steps_come_to_an_end(hermes):
    """More steps than HERMES_MAX_ITERATIONS are stopped with a sentence."""
    text = " and then ".join(f"read {number}.txt" for number in range(30))
    result = hermes.chat(text, env={"HERMES_MAX_ITERATIONS": "5"})
    assert result.code == 1
    assert re.search(r"\b5\b", result.notes) and re.search("HERMES_MAX|iteration|steps|max_turns",
                                                           result.notes, re.I)
