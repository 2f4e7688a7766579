"""Configuration: where it comes from, what wins, and what a mistake in it says."""

import os
import re

import pytest

pytestmark = pytest.mark.qemu_user


def write(hermes, text, name="config.yaml"):
    return hermes.put(name, text, base=hermes.directory)


def test_a_config_file_is_used(hermes, up):
    hermes.use(up)
    path = write(hermes, "model:\n  default: history\n")
    assert hermes.chat("hi", "--config", path).ok().text == "system user\n"
    assert hermes.chat("hi", env={"HERMES_CONFIG": path}).ok().text == "system user\n"


def test_what_wins(hermes, up):
    """Command line, then environment, then file."""
    hermes.use(up)
    path = write(hermes, "model: {default: history}\n")
    hermes.chat("hi", "--config", path).ok()
    hermes.chat("hi", "--config", path, env={"HERMES_MODEL": "echo"}).ok()
    hermes.chat("hi", "--config", path, "--model", "fixed", env={"HERMES_MODEL": "echo"}).ok()
    assert [r.model for r in up.requests] == ["history", "echo", "fixed"]


@pytest.mark.parametrize("reference", ["${MY_KEY}", "${env:MY_KEY}", "os.environ/MY_KEY"])
def test_secrets_from_the_environment(hermes, up, reference):
    path = write(hermes, f"model:\n  default: echo\n  base_url: {up.base_url}\n"
                         f"  api_key: {reference}\n")
    result = hermes.chat("hi", "--config", path, env={"MY_KEY": up.api_key})
    assert result.ok().text == "echo: hi\n"
    shown = hermes.run("config", "show", "--config", path, env={"MY_KEY": up.api_key}).ok()
    assert up.api_key not in shown.text and "config.yaml" in shown.text


def test_an_unset_variable_is_named(hermes, up):
    path = write(hermes, f"model:\n  default: echo\n  base_url: {up.base_url}\n"
                         "  api_key: ${NO_SUCH_VARIABLE}\n")
    result = hermes.run("config", "check", "--config", path)
    assert "NO_SUCH_VARIABLE" in result.text + result.notes and result.code == 1


@pytest.mark.parametrize("names", [
    ("OPENAI_API_KEY", "OPENAI_BASE_URL"), ("OPENAI_API_KEY", "OPENAI_API_BASE"),
    ("OPENROUTER_API_KEY", "OPENROUTER_BASE_URL")])
def test_the_environment_alone_is_enough(hermes, up, names):
    result = hermes.chat("hi", env={names[0]: up.api_key, names[1]: up.base_url,
                                    "HERMES_MODEL": "echo"})
    assert result.ok().text == "echo: hi\n"


def test_a_base_url_without_a_key(hermes):
    """Ollama and llama.cpp want none."""
    from openai_upstream import Upstream
    with Upstream(api_key=None) as up:
        result = hermes.chat("hi", env={"OPENAI_BASE_URL": up.base_url, "HERMES_MODEL": "echo"})
        assert result.ok().text == "echo: hi\n"
        assert up.requests[0].headers.get("authorization", "Bearer x").startswith("Bearer ")


def test_two_keys_do_not_get_mixed_up(hermes, up):
    """An OpenRouter key must never be sent to somebody else's base URL."""
    env = {"OPENAI_BASE_URL": up.base_url, "OPENAI_API_KEY": up.api_key,
           "OPENROUTER_API_KEY": "sk-or-v1-not-for-this-host", "HERMES_MODEL": "echo",
           "OPENROUTER_BASE_URL": "http://127.0.0.1:9/v1"}
    hermes.limits(connect=2).chat("hi", env=env)
    assert all("sk-or-v1" not in str(r.fields) for r in up.requests)


@pytest.mark.parametrize("value", ["key with space", "key\nX-Evil: 1", "key\r\nX-Evil: 1",
                                   "schlüssel", "k" * 20000])
def test_a_key_that_cannot_be_one(hermes, up, value):
    result = hermes.chat("hi", env={"OPENAI_BASE_URL": up.base_url, "HERMES_MODEL": "echo",
                                    "OPENAI_API_KEY": value})
    assert result.code == 1 and all("x-evil" not in r.headers for r in up.requests)
    result.sentence("key|header|401")
    up.rejected.clear()


def test_a_trailing_newline_of_a_key_is_no_part_of_it(hermes, up):
    """Keys from `$(cat file)` with CRLF, or from a Kubernetes secret made with echo."""
    for end in ("\n", "\r\n", " "):
        result = hermes.chat("hi", env={"OPENAI_BASE_URL": up.base_url, "HERMES_MODEL": "echo",
                                        "OPENAI_API_KEY": up.api_key + end})
        if result.code:
            result.failed("key", "line break|newline|space|white")
        else:
            assert result.text == "echo: hi\n"


# -- mistakes -------------------------------------------------------------------------------------

def test_a_typo_is_named_with_its_place_and_the_nearest_key(hermes):
    path = write(hermes, "# first line\nmodle:\n  default: offline\n")
    result = hermes.run("config", "check", "--config", path)
    text = result.text + result.notes
    assert re.search(r"config\.yaml:2", text) and "modle" in text and re.search(r"\bmodel\b", text)


def test_a_typo_deeper_down(hermes):
    path = write(hermes, "model:\n  default: offline\n  base_ulr: http://127.0.0.1:9/v1\n")
    text = (lambda r: r.text + r.notes)(hermes.run("config", "check", "--config", path))
    assert re.search(r"config\.yaml:3", text) and "base_ulr" in text and "base_url" in text


def test_a_typo_in_chat_is_a_sentence(hermes):
    """It is said with its place, the question is answered, and nothing is overwritten."""
    path = write(hermes, "modle:\n  default: offline\n")
    before = path.read_bytes()
    result = hermes.chat("hi", "--config", path).ok()
    result.sentence(r'warning: .*config\.yaml:1:1: .*"modle".*"model"')
    assert path.read_bytes() == before


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in zip("abcdefghi", "bcdefghij"))
BROKEN = {  # the file, the place of the mistake, and what is said of it
    "tab": ("model:\n\tdefault: x\n", "2:1", "tab"),
    "unclosed": ("model: {default: x\n", "2:1", "mapping that begins on line 1"),
    "quote": ('model: "x\n', "2:1", "quoted scalar that begins on line 1"),
    "indent": ("model:\n    default: x\n  base_url: y\n", "3:3", "expected key"),
    "list": ("- a\n- b\n", "1:1", "key: value"),
    "scalar": ("hello\n", "1:1", "key: value"),
    "twice": ("model: {default: a}\nmodel: {default: b}\n", "2:1", 'already given on line 1'),
    "anchor": ("model: *nowhere\n", "1:8", "anchor"),
    "two documents": ("model: {default: x}\n---\nmodel: {default: y}\n", "2:1", "second document"),
    "bad utf-8": (b"model: {default: \xff\xfe}\n", "1:18", "UTF-8"),
    "nul": (b"model: {default: \x00}\n", "1:18", "control characters"),
    "wrong type": ("model: {default: [1, 2]}\n", "1:18", "model.default: .*a list"),
    "map for a string": ("model: {base_url: {a: b}}\n", "1:19", "model.base_url: .*a mapping"),
    "url": ("model: {default: echo, base_url: 'not a url'}\n", "1", "model.base_url: .*0x20"),
    "deep": ("a: " + "[" * 20000 + "]" * 20000, "1:67", "nests too deep"),
    "deep map": ("".join(" " * n + "a:\n" for n in range(1000)), "65:65", "nests too deep"),
    "laughs": (LAUGHS, "5:4", "more than 100000 values"),
}


@pytest.mark.release
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_its_line(hermes, name):
    """The check and the program say the same, and neither touches the file."""
    content, place, words = BROKEN[name]
    said = rf"error: {re.escape(str(hermes.directory))}/config\.yaml:{place}: .*{words}"
    path = write(hermes, content)
    before = path.read_bytes()
    check = hermes.run("config", "check", "--config", path, limit=10).exits(1)
    assert re.search(said, check.text) and ": 1 error, 0 other findings\n" in check.text, check
    chat = hermes.chat("hi", "--config", path, limit=10).failed(said)
    for result in (check, chat):
        hermes.memory_below(result, 48 * 1024)
    assert path.read_bytes() == before


FILE_MAX = 1 << 20  # bytes


@pytest.mark.release
@pytest.mark.parametrize("size", [FILE_MAX + 1, 1 << 40])
def test_a_huge_file_is_refused(hermes, size):
    """For its size, and not for its NULs: of a tebibyte, what is behind the limit is not read."""
    path = write(hermes, b"# comment\n")
    os.truncate(path, size)
    said = rf"error: .*config\.yaml is larger than {FILE_MAX} bytes"
    check = hermes.run("config", "check", "--config", path, limit=15).exits(1)
    assert re.search(said, check.text) and ": 1 error, 0 other findings\n" in check.text, check
    chat = hermes.chat("hi", "--config", path, limit=15).failed(said)
    for result in (check, chat):
        hermes.memory_below(result, 16 * 1024)


def test_the_largest_file_is_read(hermes):
    path = write(hermes, (b"#" * 63 + b"\n") * (FILE_MAX // 64))
    hermes.run("config", "check", "--config", path).ok()


@pytest.mark.parametrize("kind,words", [("missing", "No such file"),
                                        ("directory", "is a directory"),
                                        ("unreadable", "Permission denied")])
def test_a_file_that_was_asked_for_and_is_not_there(hermes, kind, words):
    path = hermes.directory / "wanted.yaml"
    if kind == "directory":
        path.mkdir()
    elif kind == "unreadable":
        hermes.put("wanted.yaml", "model: {default: offline}\n", mode=0, base=hermes.directory)
    for more in ({"env": {"HERMES_CONFIG": path}}, {}):
        args = ("--config", path) if not more else ()
        hermes.chat("hi", *args, **more).failed(rf"wanted\.yaml.*{words}")


@pytest.mark.parametrize("name", ["HERMES_API_TIMEOUT", "HERMES_API_CALL_STALE_TIMEOUT",
                                  "HERMES_STREAM_READ_TIMEOUT", "HERMES_CONNECT_TIMEOUT",
                                  "HERMES_MAX_ITERATIONS"])
@pytest.mark.parametrize("value", ["soon", "-5", "1e999", "0x10", "5 minutes", "nan"])
def test_a_limit_that_is_no_number(hermes, name, value):
    result = hermes.chat("hi", env={name: value}).failed(rf"{name}: .*{re.escape(value)}\W")
    assert result.out == b"" and not hermes.home.exists()


def test_an_empty_variable_is_not_set(hermes):
    env = {name: "" for name in ("HERMES_MODEL", "HERMES_CONFIG", "OPENROUTER_API_KEY",
                                 "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE",
                                 "SSL_CERT_FILE", "HERMES_API_TIMEOUT", "HERMES_MAX_ITERATIONS")}
    hermes.chat("hi", env=env).ok()


# -- commands -------------------------------------------------------------------------------------

def test_check_of_nothing_is_fine(hermes):
    hermes.run("config", "check").ok()


def test_show_says_where_each_value_comes_from(hermes, up):
    path = write(hermes, "model:\n  base_url: http://127.0.0.1:9/v1\n")
    text = hermes.run("config", "show", "--config", path, env={
        "HERMES_MODEL": "from-environment", "OPENAI_API_KEY": up.api_key}).ok().text
    assert re.search(r"from-environment.*HERMES_MODEL", text)
    assert re.search(r"127\.0\.0\.1:9/v1.*config\.yaml:2", text)
    assert up.api_key not in text and up.api_key[8:24] not in text


def test_path_is_one_line(hermes):
    path = write(hermes, "model: {default: offline}\n")
    assert hermes.run("config", "path", "--config", path).ok().text.strip() == str(path)
    nowhere = hermes.run("config", "path")
    assert len(nowhere.out.splitlines()) + len(nowhere.err.splitlines()) == 1


def test_a_config_file_does_not_operate_the_terminal(hermes, terminal):
    """Whoever sends one along chose its keys, its values and its name."""
    evil = '"a\u202eb\\u009b31mc\u2028d"'
    text = f'model: {{default: {evil}, base_url: "http://127.0.0.1:9/v1"}}\n"ke\u202ey": 1\n'
    path = write(hermes, text, "con\u202efig.yaml")
    for command in (["chat"], ["config", "check"], ["config", "show"], ["config", "path"]):
        with terminal(*command, "--config", path) as shown:
            if command == ["chat"]:
                shown.ready().send("\x04")
            shown.ends()
            assert "\ufffd" in shown.screen and not set("\u202e\u009b\u2028") & set(shown.screen)


def test_commands_about_the_config_write_nothing(hermes):
    for command in ("check", "show", "path"):
        hermes.run("config", command)
    assert not hermes.home.exists()


@pytest.mark.native
def test_doctor_says_what_to_do(hermes):
    text = hermes.run("doctor").ok().text
    for subject in ("config", "key", "kernel|landlock|seccomp", "disk|space", "clock|time"):
        assert re.search(subject, text, re.I), subject
    assert re.search("OPENROUTER_API_KEY|OPENAI_BASE_URL", text)


def test_doctor_asks_the_upstream(hermes, up):
    result = hermes.use(up, "echo").run("doctor")
    assert up.requests and up.api_key not in result.text
    assert re.search(r"ok\W+upstream.*replies", result.text), result


@pytest.mark.parametrize("model", ["401", "hang"])
def test_doctor_finds_a_bad_upstream(hermes, up, model):
    up.api_key, key = ("sk-another-key-0123456", up.api_key) if model == "401" else \
        (up.api_key, up.api_key)
    hermes.use(up, model, stale=1, api=2, connect=1)
    hermes.environment["OPENAI_API_KEY"] = key
    result = hermes.run("doctor", limit=15)
    if model == "401":
        assert result.code == 1 and re.search("401|key", result.text + result.notes)
