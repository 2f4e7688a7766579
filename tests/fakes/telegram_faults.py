"""The Bot API that fails: what it answers instead, or how it breaks the wire.

A fault is a function of (call, fault). `call.process()` does the work and returns the answer, so
that a fault decides whether the message is delivered although nobody learns of it. Descriptions are
the real API's.
"""

import dataclasses
import json

from http_conn import ClientLeft

PATIENCE = 600.0  # seconds that a hung call holds on
FAULTS = {}
CONFLICT = ("Conflict: terminated by other getUpdates request; make sure that only one bot "
            "instance is running")
PARSE_ENTITIES = ("Bad Request: can't parse entities: Character '.' is reserved and must be "
                  "escaped with the preceding '\\'")
NOT_MODIFIED = ("Bad Request: message is not modified: specified new message content and reply "
                "markup are exactly the same as a current content and reply markup of the message")
GATEWAY_PAGE = ("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502"
                " Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n"
                "</html>\r\n")


@dataclasses.dataclass
class Fault:
    """`nth`: only that call of the method, counted from 1 since the fault was asked for."""

    method: str  # "*": every one
    kind: str
    times: int  # how often it strikes; 0: it has done its work
    nth: int | None
    chat: int | None
    more: dict
    seen: int = 0
    struck: int = 0

    def strikes(self, method, chat):
        if self.times == 0 or self.method not in ("*", method) or self.chat not in (None, chat):
            return False
        self.seen += 1
        if self.nth is not None and self.seen != self.nth:
            return False
        self.times -= 1
        self.struck += 1
        return True


def fault(*names):
    def register(function):
        for name in names:
            FAULTS[name] = function
        return function
    return register


def error(code, description, **parameters):
    body = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return code, body


# -- refusals, without doing anything -------------------------------------------------------------

@fault("409")
def conflict(call, _fault):
    call.answer(*error(409, CONFLICT))


@fault("429")
def too_many(call, fault):
    seconds = fault.more.get("retry_after", 1)
    call.answer(*error(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds))


@fault("401")
def unauthorized(call, _fault):
    call.answer(*error(401, "Unauthorized"))


@fault("403")
def blocked(call, _fault):
    call.answer(*error(403, "Forbidden: bot was blocked by the user"))


@fault("400")
def bad_request(call, fault):
    call.answer(*error(400, "Bad Request: " + fault.more.get("text", "chat not found")))


@fault("413")
def too_large(call, _fault):
    """As a proxy in between says it, which has never heard of the Bot API."""
    call.conn.answer(413, "<html><h1>413 Request Entity Too Large</h1></html>", kind="text/html")


@fault("500")
def internal(call, _fault):
    call.answer(*error(500, "Internal Server Error"))


@fault("502")
def gateway_page(call, _fault):
    call.conn.answer(502, GATEWAY_PAGE, kind="text/html")


@fault("not-ok")
def not_ok_in_200(call, _fault):
    call.conn.answer(200, {"ok": False, "error_code": 500, "description": "Internal Server Error"})


@fault("not-modified")
def not_modified(call, _fault):
    """As to an edit that arrived before and whose answer was lost: the message shows the text."""
    call.process()
    call.answer(*error(400, NOT_MODIFIED))


@fault("no-markdown")
def no_markdown(call, _fault):
    """Refuses markup, whatever it is; what has none is taken."""
    if call.params.get("parse_mode") or call.params.get("entities"):
        call.answer(*error(400, PARSE_ENTITIES))
    else:
        call.answer(*call.process())


# -- the wire ------------------------------------------------------------------------------------

@fault("cut-before")
def cut_before(call, _fault):
    call.conn.cut()


@fault("reset-before")
def reset_before(call, _fault):
    call.conn.reset()


@fault("cut-after")
def cut_after(call, _fault):
    """Delivered, and nobody learns of it."""
    call.process()
    call.conn.cut()


@fault("cut-mid")
def cut_mid(call, _fault):
    status, body = call.process()
    data = json.dumps(body).encode()
    call.conn.head(status, [("Content-Type", "application/json"), ("Content-Length", len(data))])
    call.conn.write(data[:len(data) // 2])
    call.conn.cut()


@fault("hang")
def hang(call, _fault):
    call.conn.wait(PATIENCE, call.api.release)
    raise ClientLeft


@fault("hang-after")
def hang_after(call, _fault):
    call.process()
    call.conn.wait(PATIENCE, call.api.release)
    raise ClientLeft


@fault("delay")
def delay(call, fault):
    call.conn.wait(fault.more.get("seconds", 1.0))
    call.answer(*call.process())


@fault("drip")
def drip(call, fault):
    """The right answer, a few bytes at a time."""
    status, body = call.process()
    data = json.dumps(body).encode()
    call.conn.head(status, [("Content-Type", "application/json"), ("Content-Length", len(data))])
    step = fault.more.get("bytes", 7)
    for at in range(0, len(data), step):
        call.conn.write(data[at:at + step])
        call.conn.wait(fault.more.get("seconds", 0.02))


@fault("huge")
def huge(call, fault):
    """A body that no answer of the API could have."""
    call.process()
    size = fault.more.get("megabytes", 64) << 20
    call.conn.head(200, [("Content-Type", "application/json"), ("Content-Length", size + 22)])
    call.conn.write(b'{"ok":true,"result":"')
    for _ in range(size >> 20):
        call.conn.write(b"x" * (1 << 20))
    call.conn.write(b'"')


@fault("malformed")
def malformed(call, _fault):
    call.process()
    call.conn.answer(200, b'{"ok":true,"result":{"message_id":')


@fault("empty")
def empty(call, _fault):
    call.process()
    call.conn.answer(200, b"")


@fault("wrong-types")
def wrong_types(call, _fault):
    call.process()
    call.conn.answer(200, {"ok": "yes", "result": [1, {"message_id": "x"}, None]})
