"""The fake Bot API is looked at with a client that adds nothing, and with a small bot."""

import contextlib
import http.client
import json
import pathlib
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import telegram_faults as faults  # noqa: E402
from telegram_api import TOKEN, TelegramApi  # noqa: E402
from telegram_chats import EDITS_PER_MINUTE, SENDS_BURST  # noqa: E402
from telegram_markdown import CannotParse, parse, trimmed, units  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
CHAT = 42


@pytest.fixture
def api():
    with TelegramApi() as server:
        yield server


def post(api, method, params=None, token=None, timeout=10, form=False, data=None, kind=None):
    """(status, parsed body) of one call on a connection of its own."""
    if data is None:
        data = urllib.parse.urlencode(params or {}) if form else json.dumps(params or {})
        kind = "application/x-www-form-urlencoded" if form else "application/json"
    conn = http.client.HTTPConnection("127.0.0.1", api.port, timeout=timeout)
    try:
        conn.request("POST", f"/bot{token or api.token}/{method}", data, {"Content-Type": kind})
        answer = conn.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        conn.close()


def good(api, method, **params):
    status, body = post(api, method, params)
    assert (status, body["ok"]) == (200, True), body
    return body["result"]


def refused(api, method, **params):
    """The description of a refusal, whose code stands in both places."""
    status, body = post(api, method, params)
    assert body["ok"] is False and body["error_code"] == status and status >= 400
    return body["description"]


def ids(updates):
    return [u["update_id"] for u in updates]


class Later(threading.Thread):
    """A call that is not waited for."""

    def __init__(self, api, method, **params):
        super().__init__(daemon=True)
        self.call, self.answer, self.problem = (api, method, params), None, None
        self.start()

    def run(self):
        try:
            self.answer = post(*self.call)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            self.problem = problem

    def wait(self, seconds=5):
        self.join(seconds)
        assert not self.is_alive(), "still held"
        return self.answer


# -- who is asked ---------------------------------------------------------------------------------

def test_the_token_counts(api):
    assert good(api, "getMe")["username"] == "hermes_fake_bot"
    assert post(api, "getMe", token="1:wrong")[0] == 401 and api.knocks == ["1:wrong"]


def test_what_is_not_a_method(api):
    assert refused(api, "sendLove") == "Not Found: method not found"
    assert not api.violations  # to try whether a method exists is nobody's fault


def test_slips_are_recorded(api):
    api.user_says(CHAT, "x")
    good(api, "sendMessage", chat_id=CHAT, text="a", pars_mode="MarkdownV2")
    post(api, "getMe", data="{", kind="application/json")
    post(api, "getMe", data="x", kind="text/plain")
    assert len(api.violations) == 3 and "pars_mode" in api.violations[0]


def test_forms_are_taken_too(api):
    api.user_says(CHAT, "x")
    status, _ = post(api, "sendMessage", {"chat_id": CHAT, "text": "a b&c=ü"}, form=True)
    assert status == 200 and api.texts(CHAT) == ["a b&c=ü"]


# -- getUpdates -----------------------------------------------------------------------------------

def test_updates_stay_until_they_are_confirmed(api):
    first = api.user_says(CHAT, "one")
    second = api.user_says(CHAT, "two")
    assert good(api, "getUpdates") == good(api, "getUpdates") == [first, second]
    assert good(api, "getUpdates", offset=second["update_id"]) == [second]
    assert good(api, "getUpdates") == [second]
    assert good(api, "getUpdates", offset=second["update_id"] + 1) == []
    assert api.offsets[-1] == second["update_id"] + 1


def test_an_offset_of_another_time_confirms_nothing(api):
    updates = api.flood(CHAT, 2)
    assert good(api, "getUpdates", offset=updates[-1]["update_id"] + 1000) == updates


def test_negative_offsets_and_limits(api):
    updates = api.flood(CHAT, 5)
    assert good(api, "getUpdates", limit=2) == updates[:2]
    assert good(api, "getUpdates", offset=-2) == updates[3:]
    assert good(api, "getUpdates") == updates[3:]


def test_no_more_than_a_hundred_at_once(api):
    api.flood(CHAT, 130)
    assert len(good(api, "getUpdates", limit=1000)) == 100


def test_a_poll_is_held_until_something_comes(api):
    begin = time.monotonic()
    later = Later(api, "getUpdates", timeout=50)
    assert api.wait_for(lambda: api.polling)
    time.sleep(0.2)
    update = api.user_says(CHAT, "there")
    assert later.wait()[1]["result"] == [update]
    assert 0.2 <= time.monotonic() - begin < 40


def test_a_poll_ends_with_nothing(api):
    begin = time.monotonic()
    assert good(api, "getUpdates", timeout=1) == []
    assert time.monotonic() - begin >= 0.9


def test_a_second_poll_ends_the_first(api):
    first = Later(api, "getUpdates", timeout=5)
    assert api.wait_for(lambda: api.polling)
    second = Later(api, "getUpdates", timeout=5)
    status, body = first.wait()
    assert status == 409 and "terminated by other getUpdates" in body["description"]
    api.user_says(CHAT, "x")
    assert second.wait()[0] == 200


def test_a_poll_that_was_left_is_no_conflict(api):
    with contextlib.suppress(TimeoutError):
        post(api, "getUpdates", {"timeout": 30}, timeout=0.2)
    assert api.wait_for(lambda: not api.polling)
    api.user_says(CHAT, "x")
    assert len(good(api, "getUpdates", timeout=5)) == 1


def test_a_webhook_is_in_the_way(api):
    api.webhook = True
    assert "webhook is active" in refused(api, "getUpdates")
    good(api, "deleteWebhook")
    assert good(api, "getUpdates") == [] and not api.violations
    good(api, "deleteWebhook", drop_pending_updates=True)
    assert api.violations


def test_repeated_and_shuffled_updates(api):
    update = api.user_says(CHAT, "one")
    assert good(api, "getUpdates", offset=update["update_id"] + 1) == []
    api.repeat(update, update)
    assert good(api, "getUpdates", offset=update["update_id"] + 1) == [update, update]
    assert good(api, "getUpdates", offset=update["update_id"] + 1) == []
    found = ids(api.shuffled(CHAT, "a", "b", "c"))
    assert found == [max(found), min(found), sorted(found)[1]]
    assert ids(good(api, "getUpdates")) == found


def test_an_update_looks_like_one(api):
    message = api.user_says(CHAT, "/new now", user=7)["message"]
    assert message["from"]["id"] == 7 and message["chat"] == {
        "id": CHAT, "type": "private", "first_name": "Tester", "username": f"user{CHAT}"}
    assert message["entities"] == [{"type": "bot_command", "offset": 0, "length": 4}]


def test_long_texts_come_in_pieces(api):
    pieces = api.user_says_long(CHAT, "😀" * 3000)
    assert [units(p["message"]["text"]) for p in pieces] == [4096, 1904]


# -- messages -------------------------------------------------------------------------------------

def test_sending_and_editing(api):
    assert refused(api, "sendMessage", chat_id=CHAT, text="x") == "Bad Request: chat not found"
    theirs = api.user_says(CHAT, "hello")["message"]["message_id"]
    sent = good(api, "sendMessage", chat_id=CHAT, text="  one ")
    assert sent["text"] == "one" and sent["message_id"] > theirs
    edit = {"chat_id": CHAT, "message_id": sent["message_id"]}
    good(api, "editMessageText", **edit, text="two")
    assert "message is not modified" in refused(api, "editMessageText", **edit, text="two ")
    assert "message to edit not found" in refused(api, "editMessageText", chat_id=CHAT,
                                                  message_id=5, text="x")
    assert "can't be edited" in refused(api, "editMessageText", chat_id=CHAT, message_id=theirs,
                                        text="x")
    message, = api.messages(CHAT)
    assert message.text == "two" and message.edits == 1
    assert [text for _, text in message.history] == ["one", "two"] and not api.violations


@pytest.mark.parametrize("text", ["", " \n ", "\t"])
def test_nothing_is_not_sent(api, text):
    api.user_says(CHAT, "x")
    assert refused(api, "sendMessage", chat_id=CHAT, text=text) == \
        "Bad Request: message text is empty"


def test_length_is_counted_after_the_markup(api):
    api.user_says(CHAT, "x")
    send = {"chat_id": CHAT, "parse_mode": "MarkdownV2"}
    good(api, "sendMessage", **send, text="*" + "😀" * 2048 + "*")
    good(api, "sendMessage", **send, text="\\." * 4096)
    assert refused(api, "sendMessage", **send, text="a" * 4097) == \
        "Bad Request: message is too long"
    assert "too long" in refused(api, "sendMessage", **send, text="😀" * 2049)


def test_only_the_present_markdown(api):
    api.user_says(CHAT, "x")
    assert "unsupported parse_mode" in refused(api, "sendMessage", chat_id=CHAT, text="x",
                                               parse_mode="Markdown2")
    good(api, "sendMessage", chat_id=CHAT, text="**bold**", parse_mode="MarkdownV2")
    assert "empty entity" in api.violations[0]


def test_who_blocked_the_bot(api):
    api.user_says(CHAT, "x")
    api.block(CHAT)
    assert refused(api, "sendMessage", chat_id=CHAT, text="x").startswith("Forbidden: bot was bl")
    assert "Forbidden" in refused(api, "sendChatAction", chat_id=CHAT, action="typing")
    api.block(CHAT, False)
    good(api, "sendChatAction", chat_id=CHAT, action="typing")
    assert [(chat, what) for _, chat, what in api.chats.actions] == [(CHAT, "typing")]
    assert "wrong parameter" in refused(api, "sendChatAction", chat_id=CHAT, action="dancing")


def test_commands(api):
    good(api, "setMyCommands", commands=[{"command": "new", "description": "Begin anew"}])
    assert api.commands == ["new"]
    for bad in ({"command": "New", "description": "x"}, {"command": "new", "description": ""}):
        assert "INVALID" in refused(api, "setMyCommands", commands=[bad])


def test_the_pace_of_messages(api):
    api.user_says(CHAT, "x")
    for number in range(SENDS_BURST):
        good(api, "sendMessage", chat_id=CHAT, text=str(number))
    assert not api.violations
    good(api, "sendMessage", chat_id=CHAT, text="one too many")
    assert "more than a message a second" in api.violations[0]
    api.chats.pace = "enforce"
    status, body = post(api, "sendMessage", {"chat_id": CHAT, "text": "refused"})
    assert status == 429 and body["parameters"] == {"retry_after": 2}
    assert len(api.messages(CHAT)) == SENDS_BURST + 1


def test_the_pace_of_edits(api):
    api.user_says(CHAT, "x")
    number = good(api, "sendMessage", chat_id=CHAT, text="x")["message_id"]
    for n in range(EDITS_PER_MINUTE + 1):
        assert not api.violations
        good(api, "editMessageText", chat_id=CHAT, message_id=number, text=f"text {n}")
    assert "edits in a minute" in api.violations[0]


# -- MarkdownV2 -----------------------------------------------------------------------------------

@pytest.mark.parametrize("source,text,kinds", [
    ("plain", "plain", []),
    (r"a\.b\_c\\d", r"a.b_c\d", []),
    ("*b* _i_ __u__ ~s~ ||p||", "b i u s p",
     ["bold", "italic", "underline", "strikethrough", "spoiler"]),
    ("*a _b_ c*", "a b c", ["bold", "italic"]),
    ("`a.*_[`", "a.*_[", ["code"]),
    (r"`a\`b\\`", "a`b\\", ["code"]),
    ("```py\nx = a.b()\n```", "x = a.b()\n", ["pre"]),
    ("```\nx```", "x", ["pre"]),
    (r"[t\.x](https://e.x/a_b?c=(d\))", "t.x", ["text_link"]),
    (">one\n>two\nthree", "one\ntwo\nthree", ["blockquote"]),
    (">one *b*", "one b", ["blockquote", "bold"]),
    ("ä😀*ö*", "ä😀ö", ["bold"]),
])
def test_markdown_that_is_fine(source, text, kinds):
    shown, entities, empties = parse(source)
    assert (shown, [e["type"] for e in entities], empties) == (text, kinds, [])


@pytest.mark.parametrize("source,sentence", [
    *[(c, f"Character '{c}' is reserved and must be escaped with the preceding '\\'")
      for c in "()#+-=|{}.!]"],
    ("a > b", "Character '>' is reserved"), ("ä*bold", "Can't find end of Bold entity at byte "
                                                       "offset 2"),
    ("_it", "Can't find end of Italic entity at byte offset 0"),
    ("`code", "Can't find end of Code entity at byte offset 0"),
    ("x ```code``", "Can't find end of"),
    ("[text", "Can't find end of TextUrl entity at byte offset 0"),
    ("[text](http://x", "Can't find end of a URL at byte offset 7"),
    ("*a _b* c_", "Can't find end of"), ("snake_case", "Can't find end of Italic"),
    ("_a___b__", "Can't find end of Underline"),  # "__" is read greedily
    ("2*3", "Can't find end of Bold"), ("![x](http://y)", "Custom emoji"),
])
def test_markdown_that_is_refused(api, source, sentence):
    with pytest.raises(CannotParse) as problem:
        parse(source)
    assert str(problem.value).startswith(sentence)
    api.user_says(CHAT, "x")
    assert refused(api, "sendMessage", chat_id=CHAT, text=source, parse_mode="MarkdownV2") \
        .startswith("Bad Request: can't parse entities: " + sentence)


def test_entities_count_code_units():
    text, entities, _ = parse("😀 *b* ")
    assert entities == [{"type": "bold", "offset": 3, "length": 1}]
    assert trimmed("  " + text, [{"type": "bold", "offset": 0, "length": 7}]) == \
        ("😀 b", [{"type": "bold", "offset": 0, "length": 4}])


def test_what_an_entity_covers(api):
    api.user_says(CHAT, "x")
    good(api, "sendMessage", chat_id=CHAT, text="😀 *bold* `co.de`", parse_mode="MarkdownV2")
    message, = api.messages(CHAT)
    assert message.marked("bold") == ["bold"] and message.marked("code") == ["co.de"]


# -- misbehaviour ---------------------------------------------------------------------------------

def send(api, text="x", **more):
    return post(api, "sendMessage", {"chat_id": CHAT, "text": text}, **more)


@pytest.mark.parametrize("kind,status", [("409", 409), ("429", 429), ("401", 401), ("403", 403),
                                         ("400", 400), ("500", 500)])
def test_refusals(api, kind, status):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", kind, retry_after=7)
    found, body = send(api)
    assert (found, body["ok"], body["error_code"]) == (status, False, status)
    assert body.get("parameters") == ({"retry_after": 7} if kind == "429" else None)
    assert api.messages(CHAT) == [] and send(api)[0] == 200


def test_an_edit_that_was_made_and_is_said_to_change_nothing(api):
    api.user_says(CHAT, "x")
    sent = good(api, "sendMessage", chat_id=CHAT, text="before")
    api.fault("editMessageText", "not-modified")
    said = refused(api, "editMessageText", chat_id=CHAT, message_id=sent["message_id"], text="now")
    assert "not modified" in said and api.texts(CHAT) == ["now"]


def test_a_fault_can_wait_for_its_turn(api):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", "500", nth=2)
    assert [send(api, str(n))[0] for n in range(3)] == [200, 500, 200]
    assert api.texts(CHAT) == ["0", "2"]
    assert [c.fault for c in api.of("sendMessage")] == [None, "500", None]


def post_file(api, kind, data, name="a b.bin", **fields):
    parts = [f'--xyz\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
             for key, value in {"chat_id": CHAT, **fields}.items()]
    parts.append(f'--xyz\r\nContent-Disposition: form-data; name="{kind}"; filename="{name}"\r\n'
                 "Content-Type: application/octet-stream\r\n\r\n")
    body = "".join(parts).encode() + data + b"\r\n--xyz--\r\n"
    return post(api, {"photo": "sendPhoto", "document": "sendDocument"}[kind], data=body,
                kind="multipart/form-data; boundary=xyz")


def test_files_arrive_as_they_are(api):
    api.user_says(CHAT, "x")
    data = bytes(range(256)) + b"\r\n--xy\r\n"
    assert post_file(api, "document", data, caption="ü")[0] == 200
    message, = api.messages(CHAT)
    assert (message.file.name, message.file.data, message.text) == ("a b.bin", data, "ü")
    assert post_file(api, "photo", b"")[1]["description"] == \
        "Bad Request: file must be non-empty"
    assert post_file(api, "photo", bytes(10_000_001))[0] == 413
    assert post_file(api, "photo", b"x", caption="x" * 1025)[0] == 400
    assert len(api.messages(CHAT)) == 1 and not api.violations


def test_a_form_that_is_cut_or_too_large(api):
    api.user_says(CHAT, "x")
    api.cut_upload = 10
    with pytest.raises(OSError):
        post_file(api, "document", bytes(100_000))
    api.fault("sendDocument", "413")
    with pytest.raises(ValueError):
        post_file(api, "document", b"x")
    assert not api.messages(CHAT) and post_file(api, "document", b"x")[0] == 200


def test_a_fault_of_every_method(api):
    api.fault("*", "502", times=2)
    api.user_says(CHAT, "x")
    for method in ("getUpdates", "sendMessage"):
        with pytest.raises(ValueError):
            post(api, method, {"chat_id": CHAT, "text": "x"})
    assert send(api)[0] == 200


def test_refused_markdown(api):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", "no-markdown", times=2)
    assert "can't parse entities" in refused(api, "sendMessage", chat_id=CHAT, text="*x*",
                                             parse_mode="MarkdownV2")
    assert send(api)[0] == 200


@pytest.mark.parametrize("kind,delivered", [
    ("cut-before", False), ("reset-before", False), ("cut-after", True), ("cut-mid", True),
    ("malformed", True), ("empty", True)])
def test_answers_that_are_lost(api, kind, delivered):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", kind)
    with pytest.raises((OSError, http.client.HTTPException, ValueError)):
        send(api)
    assert api.texts(CHAT) == (["x"] if delivered else [])


def test_not_ok_in_200(api):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", "not-ok")
    status, body = send(api)
    assert (status, body["ok"]) == (200, False) and api.texts(CHAT) == []


@pytest.mark.parametrize("kind,delivered", [("hang", False), ("hang-after", True)])
def test_silence(api, kind, delivered):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", kind)
    with pytest.raises(TimeoutError):
        send(api, timeout=0.3)
    assert api.texts(CHAT) == (["x"] if delivered else [])
    api.heal()


def test_slow_and_huge_bodies(api):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", "drip", seconds=0.01)
    begin = time.monotonic()
    assert send(api)[0] == 200 and time.monotonic() - begin > 0.2
    api.fault("sendMessage", "huge", megabytes=3)
    conn = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    conn.request("POST", f"/bot{TOKEN}/sendMessage", json.dumps({"chat_id": CHAT, "text": "y"}),
                 {"Content-Type": "application/json"})
    assert len(conn.getresponse().read()) == (3 << 20) + 22
    conn.close()


def test_every_fault_is_tried_here():
    here = pathlib.Path(__file__).read_text()
    assert [name for name in faults.FAULTS if f'"{name}"' not in here] == []


@pytest.mark.parametrize("kind", ["delay", "wrong-types"])
def test_the_rest_of_the_faults(api, kind):
    api.user_says(CHAT, "x")
    api.fault("sendMessage", kind, seconds=0.2)
    begin = time.monotonic()
    status, body = send(api)
    if kind == "delay":
        assert time.monotonic() - begin >= 0.2 and body["ok"] is True
    else:
        assert body["ok"] == "yes" and api.texts(CHAT) == ["x"]


def test_an_unknown_fault_is_a_mistake_of_the_test(api):
    with pytest.raises(ValueError):
        api.fault("sendMessage", "418")


def test_down_and_up_again(api):
    port = api.port
    update = api.user_says(CHAT, "while it is up")
    later = Later(api, "getUpdates", timeout=30, offset=update["update_id"] + 1)
    assert api.wait_for(lambda: api.polling)
    api.down()
    later.wait()
    assert later.answer is None
    with pytest.raises(ConnectionRefusedError):
        send(api)
    api.user_says(CHAT, "while it is down")
    api.up()
    assert api.port == port and [u["message"]["text"] for u in good(api, "getUpdates")] == \
        ["while it is down"]


# -- a bot ----------------------------------------------------------------------------------------

class Bot(threading.Thread):
    """The simplest right bot: what came is answered in order, once."""

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api, self.offset, self.ended = api, 0, False
        self.start()

    def run(self):
        while not self.ended:
            try:
                updates = self._call("getUpdates", offset=self.offset, timeout=1)
                for update in updates:
                    self._answer(update["message"])
                    self.offset = max(self.offset, update["update_id"] + 1)
            except (OSError, http.client.HTTPException, ValueError, AssertionError):
                time.sleep(0.05)

    def _call(self, method, **params):
        status, body = post(self.api, method, params, timeout=3)
        assert status == 200
        return body["result"]

    def _answer(self, message):
        chat = message["chat"]["id"]
        sent = self._call("sendMessage", chat_id=chat, text="...")
        self._call("editMessageText", chat_id=chat, message_id=sent["message_id"],
                   text=f"*{message['text']}*", parse_mode="MarkdownV2")


def test_a_bot_lives_with_it(api):
    bot = Bot(api)
    api.fault("getUpdates", "502", nth=2)
    for text in ("one", "two", "three"):
        api.user_says(CHAT, text)
    messages = api.wait_messages(CHAT, 3)
    api.wait_quiet(0.3)
    bot.ended = True
    assert [m.text for m in messages] == ["one", "two", "three"]
    assert all(m.edits == 1 and m.marked("bold") == [m.text] for m in messages)
    assert not api.violations
    assert api.wait_text(CHAT, "two").id == messages[1].id and "sendMessage" in api.story()


def test_over_tls():
    with TelegramApi(tls=True) as api:
        context = ssl.create_default_context(cafile=api.ca_file)
        conn = http.client.HTTPSConnection("localhost", api.port, context=context, timeout=5)
        for _ in range(2):
            conn.request("GET", f"/bot{api.token}/getUpdates?timeout=1")
            assert json.loads(conn.getresponse().read()) == {"ok": True, "result": []}
        conn.close()


def test_as_a_program():
    child = subprocess.Popen([sys.executable, HERE / "telegram_api.py"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    base = child.stdout.readline().strip().partition("=")[2]
    assert child.stdout.readline().strip() == f"TELEGRAM_BOT_TOKEN={TOKEN}"
    child.stdin.write("hello\n")
    child.stdin.flush()
    conn = http.client.HTTPConnection(urllib.parse.urlsplit(base).netloc, timeout=5)
    conn.request("GET", f"/bot{TOKEN}/getUpdates?timeout=5")
    update, = json.loads(conn.getresponse().read())["result"]
    assert update["message"]["text"] == "hello"
    conn.request("GET", f"/bot{TOKEN}/sendMessage?chat_id=42&text=hi+there")
    conn.getresponse().read()
    conn.close()
    assert child.stdout.readline() == "[1002] hi there\n"
    child.stdin.close()
    assert child.wait(10) == 0
