"""Files that the agent made, on their way to the person, and what no bad day changes."""

import contextlib
import hashlib
import json
import os
import pathlib
import re

import pytest
from harness import comes_true
from proxies import Proxy

import telegram_models  # noqa: F401  registers its scenarios
from telegram_api import TelegramApi
from telegram_files import image
from telegram_owner import OWNER, PATIENCE, settled

LARGE, MEGABYTE = 40_000_000, 1_000_000
KEY = "a-key-of-the-tests"
REPORT = b"%PDF-1.4\r\n--\r\n\0" + bytes(range(256)) * 40


def send(path, caption=None, note="look"):
    arguments = {"path": path} | ({"caption": caption} if caption else {})
    return f"{note}\ncall call_tool " + json.dumps({"name": "send_file", "arguments": arguments})


class Desk:
    def __init__(self, hermes, api, up, service):
        self.hermes, self.api, self.up, self.service = hermes, api, up, service

    def start(self, model="chain"):
        self.hermes.use_telegram(self.api)
        self.hermes.use(self.up, model)
        self.hermes.put("config.yaml", "streaming: {enabled: false}\n")
        return self.service()

    @property
    def workspace(self):
        path = self.hermes.home / "workspace"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, name, data):
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def files(self):
        return [(m.params["kind"], m.file.name, m.file.data, m.text)
                for m in self.api.messages(OWNER) if m.file]

    def results(self):
        """What the model read of its calls."""
        return [m["content"] for m in self.up.requests[-1].messages if m["role"] == "tool"]


@pytest.fixture
def desk(hermes, api, up, service):
    return Desk(hermes, api, up, service)


# -- it arrives ---------------------------------------------------------------------------------

@pytest.mark.release
def test_a_document_comes_before_the_answer(desk, api):
    desk.start()
    desk.put("out/report 1.pdf", REPORT)
    api.user_says(OWNER, send("out/report 1.pdf", "The *report*, ü"))
    assert settled(api, 2) == ["The *report*, ü", "done with look"]
    assert desk.files() == [("document", "report 1.pdf", REPORT, "The *report*, ü")]
    assert desk.results() == [f"{len(REPORT)} bytes go to the person: out/report 1.pdf"]
    assert not api.violations


def test_an_image_is_a_photo_and_a_large_one_a_document(desk, api):
    desk.start()
    small, large = image(), image(10_000_001)
    desk.put("a.png", small)
    desk.put("b.png", large)
    api.user_says(OWNER, send("a.png") + "\n" + send("b.png", note=""))
    settled(api, 3)
    assert desk.files() == [("photo", "a.png", small, ""), ("document", "b.png", large, "")]


def test_what_is_no_photo_for_telegram_is_a_document(desk, api):
    desk.start()
    photo = image()
    desk.put("thin.png", photo)
    api.fault("sendPhoto", "400", text="PHOTO_INVALID_DIMENSIONS")
    api.user_says(OWNER, send("thin.png"))
    settled(api, 2)
    assert desk.files() == [("document", "thin.png", photo, "")]
    assert len(api.of("sendPhoto")) == 1


def test_into_the_topic_that_asked(desk, api):
    desk.start()
    desk.put("a.txt", b"x")
    api.user_says(OWNER, send("a.txt"), message_thread_id=7, is_topic_message=True)
    settled(api, 2)
    assert [m.params["message_thread_id"] for m in api.messages(OWNER)] == [7, 7]


def test_replies_keep_their_order_around_it(desk, api):
    desk.start()
    desk.put("a.txt", b"x" * 100)
    fault = api.fault("sendDocument", "429", times=2, retry_after=1)
    api.user_says(OWNER, send("a.txt", "file"))
    assert api.wait_for(lambda: fault.struck)
    api.user_says(OWNER, "second")
    assert settled(api, 3) == ["file", "done with look", "done with second"]


# -- it is large ----------------------------------------------------------------------------------

def anonymous(pid):
    """Bytes of its memory that are not of files."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+) kB", text).group(1))


def is_open(pid, path):
    links = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(fd))
    return any(str(path) in link for link in links)


def in_mid_upload(api, do, after=LARGE // 2):
    """do() is called when so much of a form is here, and the rest has still to come."""
    def before_body(conn, headers):
        if int(headers.get("content-length", 0)) > after:
            begun = conn._read_exactly(after)
            do()
            conn.buffer = begun + conn.buffer
    api.before_body = before_body


@contextlib.contextmanager
def by_way(way, hermes, api):
    """(server, proxy or None): to the first over HTTP, or TLS, or TLS in the tunnel of the other"""
    if way == "http":
        yield api, None
        return
    with TelegramApi(tls=True) as secure, Proxy() as proxy:
        if way == "tunnel":
            hermes.environment["https_proxy"] = f"http://127.0.0.1:{proxy.port}"
        yield secure, proxy if way == "tunnel" else None


@pytest.mark.parametrize("way", ["http", "tls", "tunnel"])
def test_a_large_file_is_in_no_memory(desk, hermes, api, way):
    """The daemon grows by less than a fifth of it, and it may be deleted meanwhile."""
    with by_way(way, hermes, api) as (server, proxy):
        desk.api = server
        daemon = desk.start()
        data, found, opened = os.urandom(MEGABYTE) * (LARGE // MEGABYTE), [], []
        server.user_says(OWNER, "hi")  # what any first message costs was paid before
        settled(server, 1)
        path = desk.put("large.bin", data)

        def look():
            found.append(anonymous(daemon.process.pid))
            opened.append(is_open(daemon.process.pid, path))
            path.unlink(missing_ok=True)
        found.append(anonymous(daemon.process.pid))
        in_mid_upload(server, look)
        server.user_says(OWNER, send("large.bin"))
        settled(server, 3, seconds=180)
        found.append(anonymous(daemon.process.pid))
        (kind, name, sent, _), = desk.files()
        assert (kind, name, len(sent)) == ("document", "large.bin", LARGE)
        assert hashlib.sha256(sent).digest() == hashlib.sha256(data).digest()
        print(f"bytes before, in the middle, and after: {found}")
        assert len(found) == 3 and max(found) - found[0] < LARGE / 5, found
        assert not proxy or len(proxy.heads) >= 1
        assert opened == [True] and comes_true(lambda: not is_open(daemon.process.pid, path))


def test_one_that_becomes_shorter_meanwhile_is_told(desk, api):
    daemon = desk.start()
    path = desk.put("a.bin", b"x" * LARGE)
    in_mid_upload(api, lambda: os.truncate(path, LARGE - 7), MEGABYTE)
    api.user_says(OWNER, send("a.bin"))
    first, second = settled(api, 2)
    assert first.startswith("⚠️ a.bin could not be sent: the file became shorter")
    assert f"of {LARGE} bytes {LARGE - 7} are left" in first
    assert second == "done with look" and not desk.files() and not api.of("sendDocument")
    assert not is_open(daemon.process.pid, path)


def test_one_that_grows_meanwhile_is_sent_as_it_was(desk, api):
    desk.start()
    path = desk.put("a.bin", b"x" * LARGE)

    def grow():
        with path.open("ab") as file:
            file.write(b"y" * MEGABYTE)
    in_mid_upload(api, grow, MEGABYTE)
    api.user_says(OWNER, send("a.bin"))
    settled(api, 2)
    (_, _, sent, _), = desk.files()
    assert sent == b"x" * LARGE


def test_metrics_name_the_method(desk, hermes, api):
    hermes.environment["HERMES_ADMIN_KEY"] = KEY
    daemon = desk.start()
    desk.put("a.png", image())
    desk.put("a.pdf", REPORT)
    api.fault("sendDocument", "502", times=1)
    api.user_says(OWNER, send("a.png") + "\n" + send("a.pdf", note=""))
    settled(api, 3)
    _, page = daemon.get("/metrics", Authorization=f"Bearer {KEY}")
    counted = dict(re.findall(r"^hermes_telegram_sends_total\{(.*)\} (\d+)$", page, re.M))
    assert counted == {'method="sendPhoto",result="ok"': "1",
                       'method="sendDocument",result="unavailable"': "1",
                       'method="sendDocument",result="ok"': "1",
                       'method="sendMessage",result="ok"': "1"}


# -- bad days -----------------------------------------------------------------------------------

@pytest.mark.parametrize("fault", ["429", "502", "500", "reset-before"])
def test_it_is_tried_until_it_arrives_and_sent_once(desk, api, fault):
    desk.start()
    desk.put("a.pdf", REPORT)
    struck = api.fault("sendDocument", fault, times=2)
    api.user_says(OWNER, send("a.pdf"))
    settled(api, 2)
    assert desk.files() == [("document", "a.pdf", REPORT, "")] and struck.struck == 2


def test_a_connection_that_is_cut_in_mid_upload(desk, api):
    desk.start()
    data = os.urandom(3_000_000)
    desk.put("a.bin", data)
    api.cut_upload = 500_000
    api.user_says(OWNER, send("a.bin"))
    settled(api, 2)
    assert desk.files() == [("document", "a.bin", data, "")] and api.cut_upload is None


def test_413_is_told_and_not_tried_again(desk, api):
    desk.start()
    desk.put("a.bin", b"x" * 1000)
    api.fault("sendDocument", "413", times=9)
    api.user_says(OWNER, send("a.bin"))
    first, second = settled(api, 2)
    assert first.startswith("⚠️ a.bin could not be sent: ") and "413" in first
    assert second == "done with look" and len(api.of("sendDocument")) == 1


@pytest.mark.release
@pytest.mark.parametrize("change, why", [
    (lambda path: path.unlink(), "does not exist"),
    (lambda path: path.write_bytes(b"other"), "it has changed: it had 10000 bytes and has 5"),
    (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "leads out of the workspace"),
])
def test_a_file_that_is_another_by_then_is_told(desk, api, change, why):
    desk.start()
    path = desk.put("a.bin", b"x" * 10000)
    struck = api.fault("sendDocument", "502", times=1)
    struck_at = lambda: struck.struck  # noqa: E731
    api.user_says(OWNER, send("a.bin"))
    assert comes_true(struck_at)
    change(path)
    first, second = settled(api, 2)
    assert first.startswith("⚠️ a.bin could not be sent: ") and why in first
    assert second == "done with look" and not desk.files()


@pytest.mark.release
def test_a_kill_before_it_went(desk, api):
    daemon = desk.start()
    desk.put("a.pdf", REPORT)
    struck = api.fault("sendDocument", "429", times=1, retry_after=3)
    api.user_says(OWNER, send("a.pdf", "the file"))
    assert comes_true(lambda: struck.struck)
    api.wait_quiet(0.5)
    daemon.kill()
    daemon.start()
    assert settled(api, 2) == ["the file", "done with look"]
    assert desk.files() == [("document", "a.pdf", REPORT, "the file")]


def test_a_kill_between_the_call_and_its_answer(desk, api, up):
    """The model is asked again; the row of the file is there once."""
    daemon = desk.start("gate-after")
    desk.put("a.pdf", REPORT)
    api.user_says(OWNER, send("a.pdf"))
    assert comes_true(lambda: len(up.requests) == 2, PATIENCE)
    daemon.kill()
    up.release.set()
    daemon.start()
    settled(api, 2)
    assert desk.files() == [("document", "a.pdf", REPORT, "")]


# -- what is refused ----------------------------------------------------------------------------

@pytest.mark.parametrize("path, why", [
    ("none.txt", "does not exist"), ("../config.yaml", "leads out of the workspace"),
    ("/etc/passwd", "leads out of the workspace"), (".", "is a directory"),
    ("empty", "is empty"), ("huge", "has 50000001 bytes, and a bot may send 50 MB"),
    ("link", "leads out of the workspace"), ("pipe", "is not a regular file"),
    ("a\nb", "line break"),
])
def test_the_model_reads_why_not(desk, api, path, why):
    desk.start()
    desk.put("empty", b"")
    with open(desk.put("huge", b""), "r+b") as file:
        file.truncate(50_000_001)
    (desk.workspace / "link").symlink_to("/etc/passwd")
    os.mkfifo(desk.workspace / "pipe")
    api.user_says(OWNER, send(path))
    assert settled(api, 1) == ["done with look"]
    result, = desk.results()
    assert result.startswith("error: ") and why in result and not desk.files()


def test_at_the_console_the_path_is_told(desk, hermes, up):
    hermes.use(up, "two-steps")
    written = 'call write_file {"path": "out/a.txt", "content": "x"}\n'
    told = hermes.chat(written + send("out/a.txt")).ok().out.decode()
    assert "Tell the person where the file is: out/a.txt, in " in told and \
        str(desk.workspace) in told
