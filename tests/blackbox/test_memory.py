"""remember and recall: what one process was told another one knows."""

import re

import pytest

pytestmark = pytest.mark.qemu_user


def test_what_was_remembered_is_recalled_by_another_process(hermes):
    hermes.chat("remember the boiler code is 4711").ok()
    hermes.chat("remember my sister lives in Graz").ok()
    text = hermes.chat("recall boiler").ok().text
    assert "4711" in text and "Graz" not in text


def test_recall_of_the_unknown_says_so(hermes):
    hermes.chat("remember the boiler code is 4711").ok()
    text = hermes.chat("recall submarine").ok().text
    assert "4711" not in text and re.search("nothing|no ", text, re.I)


def test_recall_in_an_empty_home(hermes):
    assert re.search("nothing|no ", hermes.chat("recall anything").ok().text, re.I)


@pytest.mark.parametrize("text,word", [
    ("it's \"quoted\" with 'both'", "quoted"), ("Robert'); DROP TABLE memories;--", "Robert"),
    ("Grüße aus Zürich", "Zürich"), ("grüße aus zürich", "ZÜRICH"), ("世界 地図 keyword", "keyword"),
    ("emoji 🌍 planet", "planet"), ("100% of _all_ \\ signs", "signs"),
    ("a NEAR(b) AND NOT c OR d", "NEAR"), ("café with accent", "cafe")])
def test_any_text_survives(hermes, text, word):
    hermes.chat(f"remember {text}").ok()
    assert text in hermes.chat(f"recall {word}").ok().text


@pytest.mark.parametrize("query", [
    '"', '""', "*", "a*", "(", ")", "NOT", "AND", "OR OR", "NEAR(", "^x", "-boiler", "col:boiler",
    "boiler AND", "{x}", "\\", "%", "'", "; DROP TABLE x", "+", "." * 200, "boiler " * 300])
def test_a_query_is_words_not_syntax(hermes, query):
    hermes.chat("remember the boiler code is 4711").ok()
    result = hermes.chat(f"recall {query}").ok()
    assert not re.search("syntax|fts5|malformed|sql", result.text + result.notes, re.I), result


def test_the_right_one_of_forty(hermes):
    for first in range(0, 40, 8):
        hermes.chat(" & ".join(f"remember fact number {n}" for n in range(first, first + 8))).ok()
    text = hermes.chat("recall 27").ok().text
    assert "fact number 27" in text and "fact number 28" not in text


def test_memory_goes_to_a_model_too(hermes, up):
    hermes.use(up, "tools")
    hermes.chat('call remember {"content":"the gate opens at nine"}').ok()
    assert "gate opens at nine" in hermes.chat('call recall {"query":"gate"}').ok().text
