"""What Telegram keeps: chats as their users see them, the queue of updates, and the pace.

Nothing here knows of HTTP. Every method holds `lock`, so that a test may look on from its thread.
"""

import dataclasses
import threading
import time

import telegram_markdown as markdown
from telegram_markdown import units

TEXT_UNITS = 4096
FIRST_UPDATE = 700_000_001
FIRST_MESSAGE = 1001
AHEAD_MAX = 10  # an offset that is further beyond the last update is none of this queue
# What Telegram's FAQ allows in one chat: about a message a second with short bursts; edits are not
# spoken of, and what bots report is about twenty a minute.
SENDS_BURST, SENDS_PER_SECOND = 6, 1.0
EDITS_PER_MINUTE = 20


REACTIONS = "👍👎❤🔥👏😁🤔😢🎉👀"  # of those that Telegram knows


class Refused(Exception):
    """(code, description) of an {"ok": false}."""

    def __init__(self, code, description, **parameters):
        super().__init__(code, description)
        self.code, self.description, self.parameters = code, description, parameters


@dataclasses.dataclass
class Message:
    """A message as the user sees it now; `history` is [(time, text)] with the first text first."""

    id: int
    chat: int
    mine: bool  # the bot's
    text: str
    entities: list
    sent: float
    raw: str = ""  # as the bot wrote it
    parse_mode: str | None = None
    params: dict = dataclasses.field(default_factory=dict)
    history: list = dataclasses.field(default_factory=list)
    file: object = None  # of a document or a photo; the text is then its caption

    @property
    def edits(self):
        return len(self.history) - 1

    @property
    def keyboard(self):
        return keyboard(self.params)

    def marked(self, kind):
        """The texts that an entity of this kind covers."""
        data = self.text.encode("utf-16-le", "surrogatepass")
        return [data[2 * e["offset"]:2 * (e["offset"] + e["length"])].decode("utf-16-le")
                for e in self.entities if e["type"] == kind]


def keyboard(params):
    """The rows of buttons; Refused when Telegram would not take them."""
    rows = ((params or {}).get("reply_markup") or {}).get("inline_keyboard", [])
    if sum(map(len, rows)) > 100 or any(not 1 <= len(row) <= 8 for row in rows):
        raise Refused(400, "Bad Request: reply markup is too long")
    for button in (b for row in rows for b in row):
        if not 1 <= len(button["callback_data"].encode()) <= 64:
            raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
    return rows


def readable(text, parse_mode, entities):
    """(text, entities, what was empty) as Telegram understands the parameters; or Refused."""
    empties = []
    if parse_mode == "MarkdownV2":
        try:
            text, entities, empties = markdown.parse(text)
        except markdown.CannotParse as problem:
            raise Refused(400, f"Bad Request: can't parse entities: {problem}") from problem
    elif parse_mode:
        raise Refused(400, "Bad Request: unsupported parse_mode")
    text, entities = markdown.trimmed(text, entities or [])
    if not text:
        raise Refused(400, "Bad Request: message text is empty")
    if units(text) > TEXT_UNITS:
        raise Refused(400, "Bad Request: message is too long")
    return text, entities, empties


class Chats:
    def __init__(self, bot):
        self.bot = bot  # the User object of the bot
        self.lock = threading.RLock()
        self.all = {}  # chat: [Message]
        self.blocked = set()
        self.gone_topics = set()  # (chat, thread)
        self.violations = []
        self.pace = "note"  # None: not looked at; "enforce": answered with 429
        self.actions = []  # (time, chat, action)
        self.reactions = {}  # message: [emoji or ""]
        self.presses = {}  # id: whether it was answered
        self.pending, self.stale = [], []
        self.confirmed = 0  # updates below this were confirmed
        self.next_update, self.next_message = FIRST_UPDATE, FIRST_MESSAGE
        self._sends, self._edits = {}, {}

    # -- what users do ----------------------------------------------------------------------------

    def incoming(self, chat, text, user=None, date=None, update_id=None, message_id=None,
                 name="Tester", kind="private", **more):
        """Queues the update of a message and returns it."""
        with self.lock:
            user = chat if user is None else user
            message = {
                "message_id": self._message_id() if message_id is None else message_id,
                "from": self.person(user, name), "chat": self.chat_object(chat, kind, name),
                "date": int(time.time()) if date is None else date, **more}
            if text is not None:
                message["text"] = text
            text = text or more.get("caption", "")
            if text.startswith("/") and text[1:2].isalpha():
                message["entities"] = [{"type": "bot_command", "offset": 0,
                                        "length": units(text.split()[0])}]
            self.all.setdefault(chat, []).append(Message(
                message["message_id"], chat, False, text, [], time.monotonic(), text))
            return self._queue({"message": message}, update_id)

    def pressed(self, message, text, user=None):
        """Queues the update of a press of that message's button."""
        with self.lock:
            button = next(b for row in message.keyboard for b in row if b["text"] == text)
            number = str(4_000_000_000 + len(self.presses))
            self.presses[number] = False
            return self._queue({"callback_query": {
                "id": number, "from": self.person(message.chat if user is None else user),
                "message": self.as_object(message), "chat_instance": "1",
                "data": button["callback_data"]}})

    def edited(self, update, text):
        with self.lock:
            which = "text" if "text" in update["message"] else "caption"
            return self._queue({"edited_message": {**update["message"], which: text,
                                                   "edit_date": int(time.time())}})

    def _queue(self, what, number=None):
        number = self.next_update if number is None else number
        self.next_update = max(self.next_update, number) + 1
        update = {"update_id": number, **what}
        self.pending.append(update)
        return update

    @staticmethod
    def person(user, name="Tester"):
        return {"id": user, "is_bot": False, "first_name": name, "language_code": "en",
                "username": f"user{user}"}

    def _message_id(self):
        self.next_message += 1
        return self.next_message - 1

    def chat_object(self, chat, kind="private", name="Tester"):
        if kind == "private":
            return {"id": chat, "type": kind, "first_name": name, "username": f"user{chat}"}
        return {"id": chat, "type": kind, "title": "A group"}

    # -- updates ----------------------------------------------------------------------------------

    def confirm(self, offset):
        with self.lock:
            if offset < 0:  # counted from the end; what is before is forgotten
                self.pending = self.pending[offset:]
            elif 0 < offset <= self.next_update + AHEAD_MAX:
                self.confirmed = max(self.confirmed, offset)
                self.pending = [u for u in self.pending if u["update_id"] >= offset]

    def take(self, limit):
        """The updates of one answer: repeated ones once, the others until they are confirmed."""
        with self.lock:
            found = (self.stale + self.pending)[:limit]
            self.stale = self.stale[limit:]
            return found

    # -- what the bot does ------------------------------------------------------------------------

    def _known(self, chat):
        if chat not in self.all:
            raise Refused(400, "Bad Request: chat not found")
        if chat in self.blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")

    def _paced(self, what, chat, problem):
        if not problem or self.pace is None:
            return
        self.violations.append(f"{what} in chat {chat}: {problem}")
        if self.pace == "enforce":
            raise Refused(429, "Too Many Requests: retry after 2", retry_after=2)

    def _send_pace(self, chat):
        now = time.monotonic()
        level, then = self._sends.get(chat, (SENDS_BURST, now))
        level = min(SENDS_BURST, level + (now - then) * SENDS_PER_SECOND)
        self._sends[chat] = (max(0, level - 1), now)
        return None if level >= 1 else "more than a message a second"

    def _edit_pace(self, chat):
        now = time.monotonic()
        recent = [t for t in self._edits.get(chat, []) if t > now - 60] + [now]
        self._edits[chat] = recent
        return f"{len(recent)} edits in a minute" if len(recent) > EDITS_PER_MINUTE else None

    def send(self, chat, text, parse_mode=None, entities=None, params=None):
        with self.lock:
            self._known(chat)
            if (chat, (params or {}).get("message_thread_id")) in self.gone_topics:
                raise Refused(400, "Bad Request: message thread not found")
            shown, marks, empties = readable(text, parse_mode, entities)
            keyboard(params)
            self._paced("sendMessage", chat, self._send_pace(chat))
            self.violations += [f"sendMessage: empty entity: {e}" for e in empties]
            now = time.monotonic()
            message = Message(self._message_id(), chat, True, shown, marks, now, text, parse_mode,
                              params or {}, [(now, shown)])
            self.all[chat].append(message)
            return self.as_object(message)

    def send_file(self, chat, kind, upload, caption, params):
        with self.lock:
            self._known(chat)
            if (chat, params.get("message_thread_id")) in self.gone_topics:
                raise Refused(400, "Bad Request: message thread not found")
            self._paced("a file", chat, self._send_pace(chat))
            now = time.monotonic()
            message = Message(self._message_id(), chat, True, caption, [], now, caption, None,
                              {**params, "kind": kind}, [(now, caption)], upload)
            self.all[chat].append(message)
            return self.as_object(message)

    def edit(self, chat, message_id, text, parse_mode=None, entities=None, params=None):
        with self.lock:
            message = self._own(chat, message_id)
            shown, marks, empties = readable(text, parse_mode, entities)
            before = (message.text, message.entities, message.keyboard)
            if (shown, marks, keyboard(params)) == before:
                from telegram_faults import NOT_MODIFIED
                raise Refused(400, NOT_MODIFIED)
            self._paced("editMessageText", chat, self._edit_pace(chat))
            self.violations += [f"editMessageText: empty entity: {e}" for e in empties]
            message.text, message.entities, message.raw = shown, marks, text
            message.parse_mode, message.params = parse_mode, params or {}
            message.history.append((time.monotonic(), shown))
            return {**self.as_object(message), "edit_date": int(time.time())}

    def mark(self, chat, message_id, markup):
        with self.lock:
            message = self._own(chat, message_id)
            message.params = {**message.params, "reply_markup": markup}
            return self.as_object(message)

    def _own(self, chat, message_id):
        self._known(chat)
        message = next((m for m in self.all[chat] if m.id == message_id), None)
        if message is None:
            raise Refused(400, "Bad Request: message to edit not found")
        if not message.mine:
            raise Refused(400, "Bad Request: message can't be edited")
        return message

    def answer(self, press):
        with self.lock:
            if self.presses.get(press) is not False:
                raise Refused(400, "Bad Request: query is too old and response timeout expired or "
                                   "query ID is invalid")
            self.presses[press] = True
            return True

    def react(self, chat, message_id, reaction):
        """A bot has one reaction at most; `reactions` is what each message has had."""
        with self.lock:
            self._known(chat)
            if not any(m.id == message_id for m in self.all[chat]):
                raise Refused(400, "Bad Request: message to react not found")
            if len(reaction) > 1:
                raise Refused(400, "Bad Request: REACTIONS_TOO_MANY")
            if any(r["type"] != "emoji" or r["emoji"] not in REACTIONS for r in reaction):
                raise Refused(400, "Bad Request: REACTION_INVALID")
            self.reactions.setdefault(message_id, []).append(
                reaction[0]["emoji"] if reaction else "")
            return True

    def act(self, chat, action):
        with self.lock:
            self._known(chat)
            self.actions.append((time.monotonic(), chat, action))
            return True

    def as_object(self, message):
        found = {"message_id": message.id, "from": self.bot,
                 "chat": self.chat_object(message.chat), "date": int(time.time()),
                 "text": message.text}
        if message.entities:
            found["entities"] = message.entities
        if message.keyboard:
            found["reply_markup"] = {"inline_keyboard": message.keyboard}
        return found
