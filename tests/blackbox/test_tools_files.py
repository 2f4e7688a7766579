"""The file tools: nothing outside the workspace is read, listed, searched or written.

An escape counts only if the same user reaches the same file without the tools; each test of one
says so first.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest
from harness import IS_ROOT, SOON, as_test_user, give

pytestmark = pytest.mark.release

SECRET = "the-secret-outside-the-workspace"
REFUSED = (r"outside|escape|not allowed|refused|beneath|workspace|invalid|permitted|link|regular|"
           r"not a path")


@pytest.fixture
def tool(hermes, up):
    """tool("read_file", path="a.txt") → what the model is told. `within` is in seconds."""
    hermes.use(up, "tools")
    hermes.mkdir(hermes.workspace)

    def call(name, within=20, **arguments):
        begin = len(up.requests)
        result = hermes.chat(f"call {name} {json.dumps(arguments, ensure_ascii=False)}",
                             limit=within)
        result.ok()
        call.last = result
        messages = [m for m in up.requests[-1].messages if m["role"] == "tool"]
        assert len(up.requests) == begin + 2 and len(messages) == 1
        return messages[0]["content"]
    return call


@pytest.fixture
def outside(hermes):
    """A directory that the test user may read, beside the home."""
    secret = hermes.put("outside/secret.txt", SECRET + "\n", mode=0o644, base=hermes.directory)
    shown = subprocess.run(["cat", secret], capture_output=True, text=True, **as_test_user())
    assert SECRET in shown.stdout, "without the tools the file can be read"
    return secret.parent


def link(hermes, name, target):
    path = hermes.workspace / name
    path.symlink_to(target)
    give(path)


# -- what they are for ----------------------------------------------------------------------------

def test_write_then_read(tool, hermes):
    text = "Grüße\n\ttabs, \"quotes\", \\ and 🌍\nno newline at the end"
    tool("write_file", path="a.txt", content=text)
    assert (hermes.workspace / "a.txt").read_text() == text
    assert "Grüße" in tool("read_file", path="a.txt")
    assert "no newline at the end" in tool("read_file", path="a.txt")


def test_the_workspace_is_private(tool, hermes):
    tool("write_file", path="a.txt", content="x")
    assert (hermes.home.stat().st_mode & 0o077) == 0
    assert ((hermes.workspace / "a.txt").stat().st_mode & 0o022) == 0


def test_overwrite_replaces_the_whole(tool, hermes):
    hermes.put("workspace/a.txt", "a long text that was here before\n" * 100)
    tool("write_file", path="a.txt", content="short")
    assert (hermes.workspace / "a.txt").read_text() == "short"


def test_an_empty_file(tool, hermes):
    tool("write_file", path="empty.txt", content="")
    assert (hermes.workspace / "empty.txt").read_bytes() == b""
    assert re.search("empty|0 (bytes|lines)", tool("read_file", path="empty.txt"), re.I)


def test_directories_are_made_or_refused_with_words(tool, hermes):
    said = tool("write_file", path="deep/er/a.txt", content="x")
    assert (hermes.workspace / "deep/er/a.txt").is_file() or re.search("deep", said)


@pytest.mark.parametrize("path", ["a.txt", "./a.txt", "sub/../a.txt", "sub//../a.txt"])
def test_spellings_of_a_path(tool, hermes, path):
    hermes.put("workspace/a.txt", "contents of a\n")
    hermes.mkdir("workspace/sub")
    assert "contents of a" in tool("read_file", path=path)


def test_offset_and_limit_count_lines(tool, hermes):
    hermes.put("workspace/n.txt", "".join(f"line {n}\n" for n in range(1, 1001)))
    text = tool("read_file", path="n.txt", offset=500, limit=3)
    assert [int(n) for n in re.findall(r"line (\d+)", text)] in ([500, 501, 502], [501, 502, 503])


@pytest.mark.parametrize("offset,limit", [(-1, 5), (0, 0), (10**9, 5), (1, -1), (1, 10**15),
                                          (2**63, 1), (1.5, 2), ("1", "2")])
def test_odd_offsets_and_limits(tool, hermes, offset, limit):
    hermes.put("workspace/n.txt", "one\ntwo\nthree\n")
    assert tool("read_file", path="n.txt", offset=offset, limit=limit)


def test_a_long_file_is_cut_and_says_so(tool, hermes):
    hermes.put("workspace/long.txt", "".join(f"line {n}\n" for n in range(1000000)))
    text = tool("read_file", path="long.txt")
    assert len(text) <= 128 * 1024 and "line 0\n" in text
    assert re.search("offset|more|trunc|cut|of 1000000|lines", text[-400:] + text[:400], re.I)
    hermes.memory_below(tool.last, 32 * 1024)


def test_a_long_line_is_cut_and_says_so(tool, hermes):
    hermes.put("workspace/line.txt", "x" * 5000000)
    text = tool("read_file", path="line.txt")
    assert len(text) <= 128 * 1024 and re.search("offset|more|trunc|cut|long", text, re.I)


def test_listing(tool, hermes):
    hermes.put("workspace/b.txt", "x")
    hermes.put("workspace/sub/c.txt", "x")
    listed = tool("list_files", path=".")
    assert "b.txt" in listed and "sub" in listed
    assert "c.txt" in tool("list_files", path="sub")


def test_a_listing_of_very_many_files_is_cut_and_says_so(tool, hermes):
    hermes.mkdir("workspace/many")
    for number in range(20000):
        (hermes.workspace / f"many/file-with-quite-a-long-name-{number:06d}").touch()
    text = tool("list_files", path="many", within=40)
    assert len(text) <= 128 * 1024 and re.search("more|trunc|cut|20000", text, re.I)


def test_searching(tool, hermes):
    hermes.put("workspace/a.txt", "the pump runs\nat noon\n")
    hermes.put("workspace/sub/b.md", "no PUMP here\n")
    text = tool("search_files", pattern="pump|noon")
    assert re.search(r"a\.txt\W+1\b", text) and re.search(r"a\.txt\W+2\b", text)
    assert "b.md" not in text
    assert "b.md" in tool("search_files", pattern="PUMP", path="sub", file_glob="*.md")
    assert "b.md" not in tool("search_files", pattern="PUMP", file_glob="*.txt")
    assert re.search("no |nothing|0 ", tool("search_files", pattern="submarine"), re.I)


def test_a_search_is_limited_and_says_so(tool, hermes):
    hermes.put("workspace/a.txt", "match me\n" * 100000)
    text = tool("search_files", pattern="match", limit=5)
    assert len(re.findall("match me", text)) == 5
    assert re.search("more|limit|trunc|first", text, re.I)
    assert len(tool("search_files", pattern="match")) <= 128 * 1024


@pytest.mark.parametrize("pattern", ["(", "[", "*", "a{99999}", "(?<x", "\\", "((((((((((((((((a",
                                     "x" * 100000])
def test_a_bad_pattern_is_said(tool, hermes, pattern):
    hermes.put("workspace/a.txt", "some text\n")
    assert tool("search_files", pattern=pattern)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "(a*)*(a*)*(a*)*b",
                                     "^(([a-z])+.)+[A-Z]$"])
def test_a_pattern_that_never_ends_ends(tool, hermes, pattern):
    hermes.put("workspace/a.txt", "a" * 2000 + "!\n")
    tool("search_files", pattern=pattern)
    assert tool.last.seconds < 15


@pytest.mark.parametrize("mode,shown", [("content", "b.md:1: two"), ("files_only", "b.md"),
                                        ("count", "b.md:1")])
def test_what_a_search_shows(tool, hermes, mode, shown):
    hermes.put("workspace/a.txt", "one\n")
    hermes.put("workspace/sub/b.md", "two\nthree\n")
    assert tool("search_files", pattern="two", output_mode=mode) == f"sub/{shown}\n"
    assert tool("search_files", pattern="*.md", target="files") == "sub/b.md\n"
    assert "b.md-2- three" in tool("search_files", pattern="two", context=1)


# -- changing text files --------------------------------------------------------------------------

BEGIN, END = "*** Begin Patch\n", "*** End Patch\n"


def test_replacing_in_a_file(tool, hermes):
    path = hermes.put("workspace/a.py", "def f():\n    return 1\n\ndef g():\n    return 2\n")
    said = tool("patch", mode="replace", path="a.py", old_string="return 1",
                new_string="return 10")
    assert "\n-    return 1\n+    return 10\n" in said
    assert "return 10\n" in path.read_text()
    before = path.read_text()
    said = tool("patch", path="a.py", old_string="return", new_string="yield")
    assert "lines 2 and 5" in said and path.read_text() == before
    tool("patch", path="a.py", old_string="return", new_string="yield", replace_all=True)
    assert path.read_text().count("yield") == 2 and "return" not in path.read_text()


def test_what_is_not_there_is_shown_as_it_is(tool, hermes):
    path = hermes.put("workspace/a.txt", "".join(f"line {n}\n" for n in range(100)))
    before = path.read_text()
    said = tool("patch", mode="replace", path="a.txt", old_string="line 41\nlien 42\n",
                new_string="x\n")
    assert "not in the file" in said and "\n42|line 41\n43|line 42" in said
    assert path.read_text() == before


def test_a_patch_of_several_files(tool, hermes):
    a = hermes.put("workspace/a.txt", "one\r\ntwo\r\nthree")
    b = hermes.put("workspace/sub/b.txt", "x\n")
    said = tool("patch", mode="patch", patch=(
        f"{BEGIN}*** Update File: a.txt\n@@\n-two\n+2\n three\n+four\n"
        f"*** Add File: new/c.txt\n+c\n*** Delete File: sub/b.txt\n{END}"))
    assert "added new/c.txt" in said and "deleted sub/b.txt" in said
    assert a.read_bytes() == b"one\r\n2\r\nthree\r\nfour"
    assert (hermes.workspace / "new/c.txt").read_text() == "c\n"
    assert not b.exists()
    assert "is not in the file" in tool("patch", patch=(
        "--- a/a.txt\n+++ b/a.txt\n@@ -1,1 +1,1 @@\n-one\n+1\n"
        "--- a/new/c.txt\n+++ b/new/c.txt\n@@ -1 +1 @@\n-d\n+D\n"))
    assert a.read_bytes().startswith(b"one"), "a failed hunk changes nothing"


@pytest.mark.parametrize("number", range(0, 19, 3))
def test_patching_does_not_escape(tool, hermes, traps, number):
    path = escapes(hermes)[number]
    before = sorted(str(p) for p in hermes.directory.rglob("*") if hermes.home not in p.parents)
    assert SECRET not in tool("patch", path=path, old_string=SECRET, new_string="overwritten")
    assert SECRET not in tool("patch", patch=f"{BEGIN}*** Update File: {path}\n-{SECRET}\n+x\n"
                                             f"{END}").replace(f"-{SECRET}", "")
    tool("patch", patch=f"{BEGIN}*** Delete File: {path}\n{END}")
    tool("patch", patch=f"{BEGIN}*** Add File: {path}.new\n+x\n{END}")
    assert (traps / "secret.txt").read_text() == SECRET + "\n"
    after = sorted(str(p) for p in hermes.directory.rglob("*") if hermes.home not in p.parents)
    assert before == after, "nothing new or gone outside"


def test_large_files_are_patched_within_the_limits(tool, hermes):
    """As much as one call may hold at once; in its own process, whose memory is limited."""
    half = "some line of it\n" * (2 * 1024 * 1024 // 16 - 8)
    paths = [hermes.put(f"workspace/{name}.txt", f"{half}{name}\n") for name in "ab"]
    text = "".join(f"*** Update File: {n}.txt\n@@\n-{n}\n+{n * 2}\n" for n in "ab")
    said = tool("patch", mode="patch", patch=f"{BEGIN}{text}{END}")
    assert "\n-b\n+bb\n" in said
    assert [path.read_text()[-3:] for path in paths] == ["aa\n", "bb\n"]
    whole = hermes.put("workspace/whole.txt", "ab" + "yz\n" * (4 * 1024 * 1024 // 3 - 2))
    said = tool("patch", mode="replace", path="whole.txt", old_string="ab", new_string="ABC")
    assert "+ABCyz" in said and whole.read_text().startswith("ABCyz\n")
    said = tool("patch", mode="replace", path="whole.txt", old_string="yz", new_string="zy",
                replace_all=True)
    assert "more than 16384 times" in said


# -- escapes --------------------------------------------------------------------------------------

def escapes(hermes):
    """Spellings of a path to the secret."""
    base = hermes.directory
    return ["../../outside/secret.txt",
            "../../../../../../../.." + str(base) + "/outside/secret.txt",
            str(base / "outside/secret.txt"), "/" + str(base / "outside/secret.txt"),
            "sub/../../../outside/secret.txt", "./../../outside/./secret.txt",
            "link/secret.txt", "filelink", "chain/secret.txt", "sub/uplink/outside/secret.txt",
            "/proc/self/root" + str(base / "outside/secret.txt"),
            "proc/root" + str(base / "outside/secret.txt"), "proc/cwd/outside/secret.txt",
            "~/outside/secret.txt", "$HOME/outside/secret.txt", "file://" + str(base) +
            "/outside/secret.txt", "..\\..\\outside\\secret.txt",
            "%2e%2e/%2e%2e/outside/secret.txt",
            "a.txt\u0000../../outside/secret.txt"]


@pytest.fixture
def traps(hermes, outside):
    hermes.mkdir("workspace/sub")
    link(hermes, "link", outside)
    link(hermes, "filelink", outside / "secret.txt")
    link(hermes, "chain", "link")
    link(hermes, "sub/uplink", "../../..")
    link(hermes, "proc", "/proc/self")
    link(hermes, "relative", "../../outside")
    for name in ("link/secret.txt", "filelink", "chain/secret.txt", "sub/uplink/outside/secret.txt",
                 "relative/secret.txt"):
        assert SECRET in (hermes.workspace / name).read_text(), "the trap leads there"
    return outside


@pytest.mark.parametrize("number", range(19))
def test_reading_does_not_escape(tool, hermes, traps, number):
    path = escapes(hermes)[number]
    said = tool("read_file", path=path)
    assert SECRET not in said, path
    assert re.search(REFUSED + "|no such|not found|does not exist|name", said, re.I), said


@pytest.mark.parametrize("number", range(19))
def test_writing_does_not_escape(tool, hermes, traps, number):
    before = sorted(str(p) for p in hermes.directory.rglob("*") if hermes.home not in p.parents)
    tool("write_file", path=escapes(hermes)[number], content="overwritten")
    assert (traps / "secret.txt").read_text() == SECRET + "\n"
    after = sorted(str(p) for p in hermes.directory.rglob("*") if hermes.home not in p.parents)
    assert before == after, "nothing new outside"


@pytest.mark.parametrize("path", ["..", "../..", "/", "/etc", "link", "chain", "sub/uplink",
                                  "relative", "proc", "proc/fd", "/proc/self/fd", "../../outside",
                                  "sub/../.."])
def test_listing_and_searching_do_not_escape(tool, hermes, traps, path):
    assert "secret.txt" not in tool("list_files", path=path)
    assert SECRET not in tool("search_files", pattern="the-secret", path=path)
    assert "root:x" not in tool("search_files", pattern="root:x", path=path)


def test_a_search_from_above_does_not_follow_links(tool, hermes, traps):
    assert SECRET not in tool("search_files", pattern="the-secret")


def test_the_rest_of_the_home_is_outside_too(tool, hermes):
    hermes.put("SOUL.md", SECRET)
    hermes.put("config.yaml", f"# {SECRET}\n")
    for path in ("../SOUL.md", "../config.yaml", "../state.db", "../../home/SOUL.md"):
        assert SECRET not in tool("read_file", path=path)
        tool("write_file", path=path, content="overwritten")
    assert (hermes.home / "SOUL.md").read_text() == SECRET


@pytest.mark.parametrize("path", [
    "/proc/self/environ", "/proc/self/mem", "/proc/self/maps", "/proc/self/cmdline",
    "proc/environ", "/dev/stdin", "/dev/fd/0", "/proc/1/environ", "/etc/passwd"])
def test_the_process_itself_is_not_read(tool, hermes, up, traps, path):
    said = tool("read_file", path=path)
    assert up.api_key not in said and "HERMES_HOME=" not in said and "root:x" not in said


def test_a_link_within_the_workspace(tool, hermes):
    """Refused or followed, but never half: what it names stays beneath."""
    hermes.put("workspace/a.txt", "contents of a\n")
    link(hermes, "inner", "a.txt")
    said = tool("read_file", path="inner")
    assert "contents of a" in said or re.search(REFUSED, said, re.I)


def test_writing_over_a_link_does_not_follow_it_out(tool, hermes, outside):
    link(hermes, "out.txt", outside / "new.txt")
    tool("write_file", path="out.txt", content="x")
    assert not (outside / "new.txt").exists()


def test_a_workspace_that_is_a_link(tool, hermes, up, outside):
    """Made by hand by a user it may be allowed; what lies beside its target is outside still."""
    hermes.workspace.rmdir()
    target = hermes.directory / "elsewhere"
    target.mkdir()
    give(target)
    hermes.workspace.symlink_to(target)
    result = hermes.chat('call read_file {"path":"../outside/secret.txt"}')
    assert SECRET not in result.text + result.notes
    assert all(SECRET.encode() not in r.body for r in up.requests)


def test_a_directory_swapped_for_a_link_meanwhile(hermes, up, outside):
    """The race between looking and opening: 60 reads in a turn, and a path that changes all the
    time."""
    import ctypes
    hermes.put("workspace/d/secret.txt", "the harmless one\n")
    link(hermes, "other", outside)
    libc, stop = ctypes.CDLL(None, use_errno=True), threading.Event()
    paths = [str(hermes.workspace / name).encode() for name in ("d", "other")]

    def swap():
        while not stop.is_set():
            libc.renameat2(-100, paths[0], -100, paths[1], 2)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        text = "\n".join(['call read_file {"path":"d/secret.txt"}'] * 60)
        for _ in range(5):
            result = hermes.use(up, "parallel-tools").chat(text)
            assert SECRET not in result.text
    finally:
        stop.set()
        thread.join()
    assert all(SECRET.encode() not in request.body for request in up.requests)


# -- what is no file ------------------------------------------------------------------------------

def test_a_fifo_is_not_waited_for(tool, hermes):
    os.mkfifo(hermes.workspace / "pipe", 0o666)
    give(hermes.workspace / "pipe")
    for name, more in (("read_file", {}), ("write_file", {"content": "x"})):
        said = tool(name, path="pipe", within=10, **more)
        assert tool.last.seconds < SOON
        if name == "read_file":
            assert re.search("regular|pipe|fifo|not a", said, re.I), said
    tool("search_files", pattern="x")
    assert tool.last.seconds < SOON


def test_a_socket_and_a_directory_are_named_as_such(tool, hermes):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(hermes.workspace / "sock"))
    give(hermes.workspace / "sock")
    hermes.mkdir("workspace/dir")
    assert re.search("regular|socket|not a|no such device", tool("read_file", path="sock"), re.I)
    assert re.search("directory", tool("read_file", path="dir"), re.I)
    assert re.search("directory", tool("write_file", path="dir", content="x"), re.I)
    assert (hermes.workspace / "dir").is_dir()
    listener.close()


@pytest.mark.parametrize("major,minor", [(1, 5), (1, 9)])  # zero, urandom
def test_device_files_are_refused(tool, hermes, major, minor):
    path = hermes.workspace / "device"
    if IS_ROOT:
        os.mknod(path, 0o666 | 0o020000, os.makedev(major, minor))
        give(path)
    else:
        path.symlink_to("/dev/zero")
    said = tool("read_file", path="device", within=10)
    assert tool.last.seconds < SOON and re.search(REFUSED + "|device|not a", said, re.I)
    hermes.memory_below(tool.last, 32 * 1024)


def test_a_sparse_file_of_5_gigabytes(tool, hermes):
    path = hermes.put("workspace/sparse", "begin\n")
    with path.open("r+b") as file:
        file.truncate(5 << 30)
    said = tool("read_file", path="sparse")
    assert len(said) <= 128 * 1024
    hermes.memory_below(tool.last, 32 * 1024)
    tool("search_files", pattern="begin", within=30)
    assert tool.last.seconds < 20
    hermes.memory_below(tool.last, 32 * 1024)


def test_a_binary_file(tool, hermes):
    hermes.put("workspace/program", pathlib.Path("/bin/true").read_bytes())
    said = tool("read_file", path="program")
    assert "\0" not in said and re.search("binary|not text|UTF-8", said, re.I)


@pytest.mark.parametrize("data", [b"caf\xe9 latin\n", b"\xef\xbb\xbfwith a mark\n", b"cr\r\nlf\r\n",
                                  "Grüße\n".encode("utf-16"), b"ok\n\xff\xff\xff\n"])
def test_other_encodings(tool, hermes, data):
    hermes.put("workspace/odd.txt", data)
    assert tool("read_file", path="odd.txt")  # and the fake has checked that it was UTF-8


@pytest.mark.parametrize("name", [
    b"new\nline.txt", b"tab\t.txt", b"esc\x1b[2J.txt", b"bad\xff.txt", b'quote".txt', b"-rf", b" ",
    b"\xe2\x80\xaeevil.txt", b"*", b"..."])
def test_odd_names_are_listed_without_harm(tool, hermes, name):
    path = os.path.join(os.fsencode(hermes.workspace), name)
    with open(path, "wb") as file:
        file.write(b"the content\n")
    give(path)
    hermes.put("workspace/plain.txt", "x")
    listed = tool("list_files", path=".")
    assert "plain.txt" in listed and "\x1b" not in listed
    assert not [line for line in listed.splitlines() if "line.txt" in line and "new" not in line]
    tool("search_files", pattern="content")


@pytest.mark.parametrize("path", ["", ".", "/", "a.txt/", "a.txt/b", "x" * 300, "d/" * 3000 + "x",
                                  "a\nb", "a\u0000b", "\u202e", " "])
def test_odd_paths_are_answered(tool, hermes, path):
    hermes.put("workspace/a.txt", "contents\n")
    assert tool("read_file", path=path)
    assert tool("write_file", path=path, content="x")
    assert tool("list_files", path=path)
    assert (hermes.workspace / "a.txt").read_text() in ("contents\n", "x")


def test_missing_arguments_are_named(tool):
    assert "path" in tool("read_file")
    assert "content" in tool("write_file", path="a.txt")
    assert "pattern" in tool("search_files")


def test_an_unreadable_file_is_said(tool, hermes):
    hermes.put("workspace/closed.txt", "x", mode=0o000)
    assert re.search("permi|denied|access", tool("read_file", path="closed.txt"), re.I)


def test_link_loops_end(tool, hermes):
    link(hermes, "loop", "loop")
    link(hermes, "up", "..")
    link(hermes, "here", ".")
    assert tool("read_file", path="loop")
    tool("search_files", pattern="anything")
    assert tool.last.seconds < SOON


def test_a_very_deep_tree(tool, hermes):
    path = hermes.workspace
    for _ in range(400):
        path = path / "d"
        path.mkdir()
        give(path)
    hermes.put(path / "deep.txt", "needle\n")
    assert tool("search_files", pattern="needle")


# -- all or nothing -------------------------------------------------------------------------------

def test_a_reader_never_sees_half_a_file(hermes, up):
    old, new = "o" * 300000, "n" * 300000
    path = hermes.put("workspace/a.txt", old)
    seen, stop = set(), threading.Event()

    def watch():
        while not stop.is_set():
            data = path.read_bytes()
            seen.add((len(data), data[:1], data.strip(data[:1]) == b""))

    thread = threading.Thread(target=watch)
    thread.start()
    hermes.use(up, "tools")
    try:
        for content in (new, old, new):
            hermes.run("chat", stdin="call write_file " + json.dumps(
                {"path": "a.txt", "content": content})).ok()
    finally:
        stop.set()
        thread.join()
    assert seen <= {(300000, b"o", True), (300000, b"n", True)}, seen
    assert path.read_text() == new


def test_kill_in_the_middle_of_writes(hermes, up):
    old, new = "o" * 700000, "n" * 700000
    path = hermes.put("workspace/a.txt", old)
    hermes.use(up, "tools")
    text = "call write_file " + json.dumps({"path": "a.txt", "content": new})
    for step in range(12):
        with hermes.start("chat", stdin=text) as process:
            up.wait_for(lambda: len(up.requests) > step, 5)
            threading.Event().wait(step * 0.002)
            process.kill()
        data = path.read_text()
        assert data in (old, new), f"half a file of {len(data)} bytes"
        up.requests[:] = up.requests[:step + 1]


# -- many at once ---------------------------------------------------------------------------------

PROCESSES_MAX = 48 // 12  # the budget and what one may take, in MiB; src/tools/tool_process.h
PRUNING = 1  # the process that looks after results/, 10 s after the start


def processes(pid):
    """How many processes run tools for `pid`."""
    found = 0
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                found += b"\0process\0" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
    return found


def search_often(hermes, up, count):
    """(the results, most processes at a time)"""
    hermes.use(up, "tools")
    calls = 'call search_files {"pattern": "needle|(x+y?)+z"}\n' * count
    lines = 1000 if hermes.binary.sanitized or hermes.binary.emulated else 50000
    hermes.put("workspace/a.txt", "x" * 10 * lines + "\n" + "a line of text\n" * lines)
    hermes.put("workspace/needle.txt", "a needle\n")
    most = 0
    process = hermes.start("chat", "-q", calls, limit=300)
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while os.waitid(os.P_PID, process.pid, ended) is None:
        most = max(most, processes(process.pid))
    process.finish().ok()
    return [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"], most


def test_many_searches_stay_within_the_budget(hermes, up):
    results, most = search_often(hermes, up, 64)
    assert len(results) == 64 and all("needle.txt:1: a needle" in r for r in results), results
    assert most <= PROCESSES_MAX + PRUNING


@pytest.mark.parametrize("setting", ["sandbox:\n  memory", "tools:\n  memory_budget"])
def test_the_budget_is_configured(hermes, up, setting):
    hermes.put("config.yaml", f"{setting}: 16Mi\n")
    results, most = search_often(hermes, up, 6)
    assert len(results) == 6 and most <= 1 + PRUNING
