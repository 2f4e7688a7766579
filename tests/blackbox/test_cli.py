"""The command line: what a person meets before any model is asked."""

import re
import subprocess

import pytest

COMMANDS = ["chat", "run", "status", "log", "sessions", "context", "pairing", "import", "config",
            "doctor", "sandbox", "version", "help", "completion"]
WORDS = {"sessions": {"list", "show", "export", "delete"}, "gateway": {"run", "status"},
         "pairing": {"list", "approve", "revoke", "clear-pending"},
         "completion": {"bash", "zsh", "fish"}, "help": {"gateway", "status"}}
COLOUR = re.compile(rb"\x1b\[")

pytestmark = pytest.mark.qemu_user


@pytest.mark.parametrize("args", [("version",), ("--version",)])
def test_version_is_one_line(hermes, args):
    result = hermes.run(*args).ok()
    assert re.match(r"hermes \d+\.\d+(\.\d+)?\b", result.text) and result.err == b""


def test_version_needs_no_home(hermes):
    hermes.run("--version", env={"HERMES_HOME": "/nonexistent/home", "HOME": None}).ok()
    hermes.run("--version", env={name: None for name in ("HERMES_HOME", "HOME", "PATH")}).ok()
    assert not hermes.home.exists()


def test_licenses_name_what_is_linked_in(hermes):
    text = hermes.run("version", "--licenses").ok().text
    for library in ("musl", "mbed ?TLS", "libcurl", "SQLite", "libyaml", "cJSON", "libseccomp",
                    "Apache"):
        assert re.search(library, text, re.I), library


@pytest.mark.parametrize("args", [("help",), ("--help",), ("-h",)])
def test_help_lists_every_command(hermes, args):
    text = hermes.run(*args).ok().text
    assert all(re.search(rf"^\s+{command}\b", text, re.M) for command in COMMANDS), text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(hermes, command):
    first = hermes.run(command, "--help").ok()
    second = hermes.run("help", command).ok()
    assert first.out == second.out and command in first.text and first.err == b""
    assert not hermes.home.exists(), "help makes no files"


def test_chat_help_names_its_options(hermes):
    text = hermes.run("chat", "--help").ok().text
    assert all(option in text for option in ("-q", "--model", "--config", "--home", "--no-stream"))


@pytest.mark.parametrize("typed,meant", [
    ("chta", "chat"), ("verison", "version"), ("docter", "doctor"), ("conifg", "config"),
    ("hlep", "help"), ("completions", "completion"), ("Chat", "chat")])
def test_an_unknown_command_suggests_the_nearest(hermes, typed, meant):
    hermes.run(typed).exits(2).sentence(typed, rf"\b{meant}\b")


def test_a_wild_command_suggests_nothing_wild(hermes):
    hermes.run("xyzzyplugh").exits(2).sentence("xyzzyplugh", "help")


@pytest.mark.parametrize("args,names", [
    (("chat", "--modle", "x"), "--modle"), (("chat", "-q"), "-q"), (("chat", "--model"), "--model"),
    (("chat", "stray"), "stray"), (("version", "--wrong"), "--wrong"),
    (("run", "--port", "many"), "port"), (("run", "--port", "70000"), "port"),
    (("run", "--port", "-1"), "port"), (("help", "nothing"), "nothing"),
    (("config", "frobnicate"), "frobnicate"), (("completion", "tcsh"), "tcsh"),
    (("completion",), "bash"), (("doctor", "extra"), "extra")])
def test_wrong_usage_is_status_2(hermes, args, names):
    result = hermes.run(*args).exits(2).sentence(re.escape(names))
    assert result.out == b""


def test_no_command_explains_itself(hermes):
    """Without a terminal, nothing to do and nothing read: say what there is."""
    assert hermes.run(stdin=None).ok().out == hermes.run("help").ok().out


def test_an_argument_with_control_bytes_is_not_echoed_raw(hermes):
    result = hermes.run("\x1b[2Jclear").exits(2)
    assert b"\x1b" not in result.out + result.err


def test_an_argument_that_is_not_utf8(hermes, up):
    hermes.run(b"\xff\xfe").exits(2).sentence(r'"\?\?"', "help")
    hermes.use(up, "echo").chat(b"say \xff\xfe").ok().sentence("not all UTF-8.*replaced", lines=1)
    assert up.requests[0].messages[-1]["content"] == "say \ufffd\ufffd"


def test_a_very_long_argument(hermes):
    hermes.run("x" * 100000).exits(2).sentence("help")


# -- completion -----------------------------------------------------------------------------------

def test_bash_completion_loads_and_completes(hermes):
    script = hermes.run("completion", "bash").ok()
    assert script.err == b""
    shell = script.text + """
        complete -p hermes >/dev/null || exit 3
        words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"
                  COMP_POINT=${#COMP_LINE}; COMPREPLY=()
                  "$(complete -p hermes | sed 's/.*-F \\([^ ]*\\).*/\\1/')" hermes
                  printf '%s\\n' "${COMPREPLY[@]}"; }
        words hermes ""; echo --; words hermes ch; echo --; words hermes config ""
        echo --; words hermes chat --mo
    """ + "".join(f'echo --; words hermes {command} ""\n' for command in WORDS)
    done = subprocess.run(["bash", "--norc", "--noprofile", "-u"], input=shell, text=True,
                          capture_output=True, timeout=20)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    every, ch, config, model, *more = [set(part.split()) for part in
                                       re.split(r"^--\n", done.stdout, flags=re.M)]
    assert {*COMMANDS, "gateway"} <= every and ch == {"chat"}
    assert {"check", "show", "path"} <= config and model == {"--model"}
    for (command, words), offered in zip(WORDS.items(), more, strict=True):
        assert words <= offered and "ID" not in offered, command


def offered(hermes, *typed):
    """What bash offers for the last of the words."""
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-u", "-c", hermes.run("completion", "bash").ok().text
         + "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _hermes hermes;"
           "printf '%s\\n' \"${COMPREPLY[@]}\"", "bash", "hermes", *typed],
        text=True, capture_output=True, timeout=20, cwd=hermes.directory)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("before", [["-p", "work"], ["--profile", "work"],
                                    ["--profile", "=", "work"], ["--profile=work"]])
def test_bash_completion_goes_on_behind_a_profile(hermes, before):
    assert set(COMMANDS) <= set(offered(hermes, *before, ""))
    assert offered(hermes, *before, "cron", "pau") == ["pause"]
    if len(before) > 1:
        assert offered(hermes, *before[:-1], "c") == []


def test_bash_completion_of_what_takes_a_file(hermes):
    (hermes.directory / "record.json").touch()
    for command in ("import", "replay"):
        words = offered(hermes, command, "")
        assert "record.json" in words and "json" not in words, words
    assert "record.json" not in offered(hermes, "taint", "")
    assert offered(hermes, "taint", "li") == ["list", "lift"]


@pytest.mark.parametrize("shell,mark", [("zsh", "#compdef hermes"), ("fish", "complete -c hermes")])
def test_the_other_completions_have_every_command(hermes, shell, mark):
    text = hermes.run("completion", shell).ok().text
    assert mark in text and all(command in text for command in [*COMMANDS, "gateway"])
    assert "lift lift" not in text
    assert "list show export delete" in text and "approve revoke clear-pending" in text


# -- output that cannot be written ----------------------------------------------------------------

@pytest.mark.parametrize("args", [("--version",), ("help",), ("version", "--licenses"),
                                  ("completion", "bash"), ("chat", "-q", "hi")])
def test_a_full_output_is_an_error(hermes, args):
    with open("/dev/full", "wb") as full:
        process = hermes.start(*args, stdio=(subprocess.DEVNULL, full, subprocess.PIPE))
        result = process.finish()
    assert result.code == 1, result
    result.sentence("space|write|output", lines=4)


@pytest.mark.parametrize("args", [("version", "--licenses"), ("chat", "-q", "hi")])
def test_a_reader_that_left_is_no_crash(hermes, args):
    process = hermes.start(*args)
    process.popen.stdout.close()
    result = process.finish()
    assert result.code in (0, 1, -13, 141), result


def test_closed_standard_streams(hermes):
    """A daemon started with nothing on 0, 1 and 2 must not write its log into a database."""
    import os

    def close_all():
        for number in (0, 1, 2):
            os.close(number)

    process = hermes.start("chat", "-q", "remember the closed stream", before_exec=close_all,
                           stdio=(subprocess.DEVNULL,) * 3)
    process.finish()
    for path in hermes.home.rglob("*"):
        if path.is_file() and path.name.endswith(".db"):
            assert path.read_bytes()[:16] in (b"SQLite format 3\0", b"")


# -- colours --------------------------------------------------------------------------------------

def test_no_colours_into_a_pipe(hermes):
    for args in (("help",), ("doctor",), ("chat", "-q", "hi"), ("config", "show")):
        result = hermes.run(*args, env={"TERM": "xterm-256color"})
        assert not COLOUR.search(result.out + result.err), result


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_when_told_so(hermes, terminal, env):
    with terminal("doctor", env=env) as shown:
        shown.ends()
        assert not re.search(rb"\x1b\[[0-9;]*m", shown.raw), shown.raw


def test_an_empty_no_color_is_none(hermes, terminal):
    """The convention: present and not empty."""
    with terminal("doctor", env={"NO_COLOR": ""}) as coloured:
        coloured.ends()
    with terminal("doctor") as plain:
        plain.ends()
    assert bool(COLOUR.search(coloured.raw)) == bool(COLOUR.search(plain.raw))
