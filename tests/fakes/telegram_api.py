#!/usr/bin/env python3
"""The Telegram Bot API, as strict as the real one, and as unreliable as the way to it.

    with TelegramApi() as api:
        run_bot(token=api.token, base=api.base_url)
        api.user_says(42, "hello")
        assert api.wait_reply(42).text == "Hello yourself"
        assert not api.violations

A test plays the user (`user_says`, `repeat`, `block`), scripts misbehaviour per method (`fault`,
see telegram_faults.py), takes the server away (`down`, `up`), and looks at the chats as their users
see them (`messages`), at every call (`calls`, `of`) and at what the real server would resent
(`violations`). As a program: `telegram_api.py [--port N] [--tls]` prints its URL and token; each
line on standard input is said by user 42, and what the bot says is printed.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import select
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import telegram_faults as faults  # noqa: E402
import tls_files  # noqa: E402
from http_conn import ClientLeft, Stopped  # noqa: E402
from openai_upstream import Upstream  # noqa: E402
from telegram_chats import Chats, Refused  # noqa: E402
from telegram_files import Files  # noqa: E402
from telegram_forms import Forms, fields_of, is_form  # noqa: E402
from telegram_markdown import units  # noqa: E402

TOKEN = "7000000001:AAFakeFakeFakeFakeFakeFakeFakeFake42"
POLL_SECONDS_MAX = 50
LIMIT_MAX = 100
# Parameters that a method knows; anything else is a slip that the real server keeps silent about.
OPTIONAL = {
    "getMe": set(),
    "getUpdates": {"offset", "limit", "timeout", "allowed_updates"},
    "sendMessage": {"chat_id", "text", "parse_mode", "entities", "link_preview_options",
                    "disable_notification", "protect_content", "reply_parameters", "reply_markup",
                    "message_thread_id"},
    "editMessageText": {"chat_id", "message_id", "text", "parse_mode", "entities",
                        "link_preview_options", "reply_markup"},
    "sendChatAction": {"chat_id", "action", "message_thread_id"},
    "editMessageReplyMarkup": {"chat_id", "message_id", "reply_markup"},
    "answerCallbackQuery": {"callback_query_id", "text", "show_alert"},
    "getFile": {"file_id"},
    "setMessageReaction": {"chat_id", "message_id", "reaction", "is_big"},
    "sendDocument": {"chat_id", "document", "caption", "message_thread_id"},
    "sendPhoto": {"chat_id", "photo", "caption", "message_thread_id"},
    "setMyCommands": {"commands", "scope", "language_code"},
    "deleteWebhook": {"drop_pending_updates"},
}
FILE_FAULTS = {"short", "cut", "page"}
ACTIONS = {"typing", "upload_photo", "upload_document"}


@dataclasses.dataclass
class Call:
    """One call of a method, and what came of it."""

    api: object
    conn: object
    method: str
    params: dict
    time: float
    status: int | None = None  # None: no answer was sent
    result: object = None
    description: str | None = None
    fault: str | None = None
    ended: float | None = None

    def process(self):
        """(status, body) after doing what was asked for."""
        try:
            self.result = self.api.do(self)
            self.status = 200
            return 200, {"ok": True, "result": self.result}
        except Refused as problem:
            self.status, self.description = problem.code, problem.description
            return faults.error(problem.code, problem.description, **problem.parameters)

    def answer(self, status, body):
        self.status, self.description = status, body.get("description")
        self.conn.answer(status, body)


class TelegramApi(Files, Forms, Upstream):
    """The server, in threads of this process. It shares with the other fake what is below HTTP:
    connections, TLS, and the end."""

    def __init__(self, tls=False, port=0, token=TOKEN):
        super().__init__(tls, port, api_key=token, prefix="")
        self.token = token
        self.bot = {"id": int(token.split(":")[0]), "is_bot": True, "first_name": "Hermes",
                    "username": "hermes_fake_bot", "can_join_groups": True,
                    "can_read_all_group_messages": False, "supports_inline_queries": False}
        self.chats = Chats({k: self.bot[k] for k in ("id", "is_bot", "first_name", "username")})
        self.calls, self.knocks, self.commands = [], [], []
        self.webhook = False
        self.on_call = None  # called with each Call before anything is done about it
        self._faults, self._poll = [], None
        self.files = {}  # by id

    # -- the user's side --------------------------------------------------------------------------

    def user_says(self, chat, text, **more):
        """A message to the bot; the update. `more`: user, date, update_id, message_id, name, kind,
        or further fields of the message."""
        update = self.chats.incoming(chat, text, **more)
        self._wake()
        return update

    def user_presses(self, message, text, user=None):
        """The button of that text under a message of the bot; the update."""
        update = self.chats.pressed(message, text, user)
        self._wake()
        return update

    def user_edits(self, update, text):
        """The message of an earlier update says this now; the new update."""
        update = self.chats.edited(update, text)
        self._wake()
        return update

    def user_says_long(self, chat, text, **more):
        """As Telegram's own clients do: more than 4096 units go out in pieces."""
        pieces = []
        while text:
            size = min(len(text), 4096)
            while units(text[:size]) > 4096:
                size -= 1
            pieces.append(self.chats.incoming(chat, text[:size], **more))
            text = text[size:]
        self._wake()
        return pieces

    def flood(self, chat, count, text="message {}", **more):
        """`count` messages that are there at once."""
        updates = [self.chats.incoming(chat, text.format(n), **more) for n in range(count)]
        self._wake()
        return updates

    def repeat(self, *updates):
        """These updates come once more, whatever was confirmed."""
        with self.chats.lock:
            self.chats.stale += updates
        self._wake()

    def shuffled(self, chat, *texts):
        """Messages whose update ids come in the wrong order: highest, lowest, then the rest."""
        with self.chats.lock:
            updates = [self.chats.incoming(chat, text) for text in texts]
            ids = sorted(u["update_id"] for u in updates)
            ids = [ids[-1], ids[0], *ids[1:-1]]
            for update, number in zip(updates, ids):
                update["update_id"] = number
        self._wake()
        return updates

    def block(self, chat, blocked=True):
        (self.chats.blocked.add if blocked else self.chats.blocked.discard)(chat)

    # -- misbehaviour -----------------------------------------------------------------------------

    def fault(self, method, kind, times=1, nth=None, chat=None, **more):
        """The next `times` calls of the method (or its nth call from now on) go wrong."""
        if kind not in faults.FAULTS and kind not in FILE_FAULTS:
            raise ValueError(f"no such fault: {kind}; there are {', '.join(sorted(faults.FAULTS))}")
        made = faults.Fault(method, kind, times if nth is None else 1, nth, chat, more)
        with self._lock:
            self._faults.append(made)
        return made

    def heal(self):
        """No fault strikes any more, and what hangs goes on."""
        with self._lock:
            self._faults.clear()
        self.release.set()

    def down(self):
        """The server is gone; chats and updates stay."""
        self.stop()

    def up(self):
        """It is there again, at the same address."""
        self.wanted_port = self.port
        self.release.clear()
        return self.start()

    # -- looking on -------------------------------------------------------------------------------

    def messages(self, chat):
        """The bot's messages in a chat, as they stand now."""
        with self.chats.lock:
            return [m for m in self.chats.all.get(chat, []) if m.mine]

    def texts(self, chat):
        return [m.text for m in self.messages(chat)]

    def of(self, method, chat=None):
        """The calls of a method so far."""
        with self._lock:
            return [c for c in self.calls if c.method == method
                    and chat in (None, c.params.get("chat_id"))]

    @property
    def offsets(self):
        """The offset of each getUpdates."""
        return [c.params.get("offset", 0) for c in self.of("getUpdates")]

    @property
    def violations(self):
        return self.chats.violations + self.rejected

    @property
    def polling(self):
        """A getUpdates is being held."""
        with self._lock:
            return self._poll is not None

    def wait_messages(self, chat, count, seconds=60):
        """The bot's messages once there are so many."""
        if not self.wait_for(lambda: len(self.messages(chat)) >= count, seconds):
            raise AssertionError(f"{len(self.messages(chat))} of {count} messages after {seconds} "
                                 f"s: {self.texts(chat)}; {self.story()}")
        return self.messages(chat)

    def wait_text(self, chat, text, seconds=60):
        """The first message of the bot that holds `text`."""
        def found():
            return next((m for m in self.messages(chat) if text in m.text), None)
        if not self.wait_for(found, seconds):
            raise AssertionError(f"no {text!r} after {seconds} s in {self.texts(chat)}; "
                                 f"{self.story()}")
        return found()

    def wait_quiet(self, seconds=0.7, limit=60):
        """Until nothing but polling happened for a while."""
        until = time.monotonic() + limit

        def last():
            with self._lock:
                times = [c.time for c in self.calls if c.method != "getUpdates"]
            return max(times, default=0)
        since = time.monotonic()
        while time.monotonic() < max(last(), since) + seconds:
            assert time.monotonic() < until, f"never quiet: {self.story()}"
            time.sleep(0.02)

    def story(self, most=40):
        """The last calls, for a failed test."""
        with self._lock:
            calls = self.calls[-most:]
        lines = [f"{c.time - calls[0].time:7.2f} {c.method} "
                 f"{json.dumps(c.params, ensure_ascii=False, default=lambda f: f.name)[:150]} -> "
                 f"{c.fault or ''} {c.status} "
                 f"{c.description or ''}" for c in calls]
        return "calls:\n" + "\n".join(lines)

    # -- requests ---------------------------------------------------------------------------------

    def _answer(self, conn, request):
        path = urllib.parse.urlsplit(request.path)
        if path.path.startswith(f"/file/bot{self.token}/"):
            self._handle(Call(self, conn, "download", {
                "path": urllib.parse.unquote(path.path.split("/", 3)[3])}, time.monotonic()))
            return
        found, _, method = path.path.removeprefix("/bot").rpartition("/")
        if not path.path.startswith("/bot") or not found:
            self._slip(request, f"no such path: {request.path}")
            conn.answer(404, faults.error(404, "Not Found")[1])
            return
        if found != self.token:
            self.knocks.append(found)
            conn.answer(401, faults.error(401, "Unauthorized")[1])
            return
        call = Call(self, conn, method, self._params(request, path.query), time.monotonic())
        request.json = call.params
        self._handle(call)

    def _handle(self, call):
        fault = self._note(call)
        try:
            if self.on_call:
                self.on_call(call)
            if fault:
                call.fault = fault.kind
            if call.method == "download" and (not fault or fault.kind in FILE_FAULTS):
                self._download(call, fault)
            elif fault:
                faults.FAULTS[fault.kind](call, fault)
            else:
                call.answer(*call.process())
        finally:
            call.ended = time.monotonic()

    def _note(self, call):
        """Writes the call down; the fault that strikes it, or None."""
        chat = call.params.get("chat_id")
        with self._lock:
            self.calls.append(call)
            return next((f for f in self._faults if f.strikes(call.method, chat)), None)

    def _slip(self, request, sentence):
        request.problem = sentence
        self.rejected.append(sentence)

    def _params(self, request, query):
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        params = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if request.body and kind == "application/json":
            try:
                value = json.loads(request.body.decode("utf-8"))
                params.update(value)
            except (ValueError, TypeError) as problem:
                self._slip(request, f"{request.path}: a body that is not JSON: {problem}")
        elif request.body and kind == "application/x-www-form-urlencoded":
            form = urllib.parse.parse_qs(request.body.decode("utf-8"), keep_blank_values=True,
                                         errors="strict")
            params.update({name: values[-1] for name, values in form.items()})
        elif request.body and is_form(request.headers):
            params.update(fields_of(request.headers, request.body))
        elif request.body:
            self._slip(request, f"a body of type {kind!r}")
        return {name: self._value(name, value) for name, value in params.items()}

    @staticmethod
    def _value(name, value):
        """A form's text as the type that the parameter has."""
        numbers = {"chat_id", "message_id", "offset", "limit", "timeout", "message_thread_id"}
        objects = {"entities", "link_preview_options", "reply_parameters", "reply_markup",
                   "commands", "scope", "allowed_updates"}
        if isinstance(value, str) and name in numbers and value.lstrip("-").isdigit():
            return int(value)
        if isinstance(value, str) and name in objects:
            return json.loads(value)
        if isinstance(value, str) and name == "drop_pending_updates":
            return value.lower() == "true"
        return value

    # -- methods ----------------------------------------------------------------------------------

    def do(self, call):
        known = OPTIONAL.get(call.method)
        if known is None:
            raise Refused(404, "Not Found: method not found")
        for name in call.params.keys() - known:
            self.rejected.append(f"{call.method} has no parameter {name}")
        return getattr(self, "_" + call.method)(call)

    def _getMe(self, _call):
        return self.bot

    def _sendMessage(self, call):
        text, chat = self._text(call.params), self._chat(call.params)
        return self.chats.send(chat, text, call.params.get("parse_mode"),
                               call.params.get("entities"), call.params)

    def _editMessageText(self, call):
        text, chat = self._text(call.params), self._chat(call.params)
        message_id = call.params.get("message_id")
        if not isinstance(message_id, int):
            raise Refused(400, "Bad Request: message identifier is not specified")
        return self.chats.edit(chat, message_id, text, call.params.get("parse_mode"),
                               call.params.get("entities"), call.params)

    def _editMessageReplyMarkup(self, call):
        message_id, markup = call.params.get("message_id"), call.params.get("reply_markup")
        return self.chats.mark(self._chat(call.params), message_id, markup)

    def _answerCallbackQuery(self, call):
        return self.chats.answer(call.params.get("callback_query_id"))

    def _sendChatAction(self, call):
        if call.params.get("action") not in ACTIONS:
            raise Refused(400, "Bad Request: wrong parameter action in request")
        return self.chats.act(self._chat(call.params), call.params["action"])

    def _setMessageReaction(self, call):
        return self.chats.react(self._chat(call.params), call.params.get("message_id"),
                                call.params.get("reaction", []))

    def _setMyCommands(self, call):
        commands = call.params.get("commands")
        for command in commands or []:
            if not 1 <= len(command["command"]) <= 32 or \
                    command["command"] != command["command"].lower():
                raise Refused(400, "Bad Request: BOT_COMMAND_INVALID")
            if not 1 <= len(command["description"]) <= 256:
                raise Refused(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        if not isinstance(commands, list) or len(commands) > 100:
            raise Refused(400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
        self.commands = [c["command"] for c in commands]
        return True

    def _deleteWebhook(self, call):
        self.webhook = False
        if call.params.get("drop_pending_updates"):
            self.rejected.append("deleteWebhook dropped the messages of a downtime")
            with self.chats.lock:
                self.chats.pending.clear()
        return True

    @staticmethod
    def _chat(params):
        chat = params.get("chat_id")
        if chat is None or chat == "":
            raise Refused(400, "Bad Request: chat_id is empty")
        if not isinstance(chat, int):
            raise Refused(400, "Bad Request: chat not found")
        return chat

    @staticmethod
    def _text(params):
        text = params.get("text")
        if not isinstance(text, str) or not text:
            raise Refused(400, "Bad Request: message text is empty")
        if any(0xD800 <= ord(c) < 0xE000 for c in text):
            raise Refused(400, "Bad Request: strings must be encoded in UTF-8")
        return text

    # -- getUpdates -------------------------------------------------------------------------------

    def _wake(self):
        with self._lock:
            if self._poll:
                os.eventfd_write(self._poll[1], 1)

    def _getUpdates(self, call):
        """Held until there is something; a second one ends the first."""
        if self.webhook:
            raise Refused(409, "Conflict: can't use getUpdates method while webhook is active; use "
                               "deleteWebhook to delete the webhook first")
        limit = min(max(call.params.get("limit", LIMIT_MAX), 1), LIMIT_MAX)
        seconds = min(max(call.params.get("timeout", 0), 0), POLL_SECONDS_MAX)
        event = os.eventfd(0, os.EFD_NONBLOCK)
        mine = (object(), event)
        with self._lock:
            if self._poll:
                os.eventfd_write(self._poll[1], 1)
            self._poll = mine
        try:
            self.chats.confirm(call.params.get("offset", 0))
            return self._held(call.conn, mine, limit, time.monotonic() + seconds)
        finally:
            with self._lock:
                if self._poll is mine:
                    self._poll = None
                os.close(event)

    def _held(self, conn, mine, limit, until):
        while True:
            with self._lock:
                if self._poll is not mine:
                    raise Refused(409, faults.CONFLICT)
            found = self.chats.take(limit)
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            ready, _, _ = select.select([conn.sock, self._stop_read, mine[1]], [], [], left)
            if self._stop_read in ready:
                raise Stopped
            if mine[1] in ready:
                os.eventfd_read(mine[1])
            if conn.sock in ready:
                data = conn.sock.recv(1 << 16)
                if not data:
                    raise ClientLeft
                conn.buffer += data


def show_new(api, chat, shown):
    """Prints what changed in a chat since the last look."""
    for message in api.messages(chat):
        if shown.get(message.id) != message.text:
            print(f"[{message.id}] {message.text}", flush=True)
            shown[message.id] = message.text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    parser.add_argument("--tls", nargs="?", const="good", choices=tls_files.KINDS, default=False)
    options = parser.parse_args()
    with TelegramApi(options.tls, options.port) as api:
        print(f"TELEGRAM_API_BASE={api.base_url}\nTELEGRAM_BOT_TOKEN={api.token}")
        if api.ca_file:
            print(f"SSL_CERT_FILE={api.ca_file}")
        sys.stdout.flush()
        ended = threading.Event()

        def listen():
            for line in sys.stdin:
                if line.strip():
                    api.user_says(42, line.rstrip("\n"))
            ended.set()
        threading.Thread(target=listen, daemon=True).start()
        shown = {}
        try:
            while not ended.wait(0.1):
                show_new(api, 42, shown)
            api.wait_quiet(2.0)
            show_new(api, 42, shown)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
