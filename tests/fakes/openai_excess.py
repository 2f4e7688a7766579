"""The upstream that sends too much, or bytes that nobody means to send.

Same registry as openai_scenarios; apart from it only so that each file can be read in one sitting.
"""

import gzip
import json

import openai_wire as wire
from http_conn import frame
from openai_scenarios import scenario

MEGABYTE = 1 << 20

# Unicode's Bidi_Control, which sets the order in which text is shown, and the two separators that
# end a line or a paragraph.
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"


# -- too much -------------------------------------------------------------------------------------

@scenario("ten-megabytes")
def ten_megabytes(turn):
    """Ten million bytes of answer (`:N` for N million), in deltas of a kilobyte."""
    size = turn.number(10) * 1000000
    line = "0123456789" * 99 + "abcdefghi\n"  # 1000 bytes, one newline
    if not turn.streams:
        turn.say(wire.Answer(line * (size // 1000)))
        return
    turn.begin_text()
    block = frame(turn.event(turn.dialect.chunk({"content": line}))) * 100
    for _ in range(size // 1000 // 100):
        turn.conn.write(block)
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("million-deltas")
def million_deltas(turn):
    """A million deltas (`:N` for N) of one character, each an HTTP chunk of its own."""
    turn.begin_text()
    count = turn.number(1000000)
    block = frame(turn.event(turn.dialect.chunk({"content": "x"}))) * 1000
    for _ in range(count // 1000):
        turn.conn.write(block)
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("endless")
def endless(turn):
    """As fast as it is read, for ever."""
    turn.begin_text()
    block = frame(turn.event(turn.dialect.chunk({"content": "x" * 1000}))) * 100
    while True:
        turn.conn.write(block)


@scenario("huge-line")
def huge_line(turn):
    """One SSE line of 64 MB."""
    turn.start()
    head, tail = turn.event(turn.dialect.chunk({"content": "SPLIT"})).split(b"SPLIT")
    turn.conn.send(head)
    for _ in range(turn.number(64)):
        turn.conn.send(b"a" * MEGABYTE)
    turn.conn.send(tail)
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("huge-json")
def huge_json(turn):
    """A JSON answer of 200 MB that announces no length."""
    turn.conn.start_chunked(kind="application/json")
    head, tail = wire.compact(turn.dialect.whole(wire.Answer("SPLIT"))).encode().split(b"SPLIT")
    turn.conn.send(head)
    for _ in range(turn.number(200)):
        turn.conn.send(b"a" * MEGABYTE)
    turn.conn.send(tail)
    turn.conn.end()


@scenario("huge-length")
def huge_length(turn):
    """Announces an exabyte: a client that allocates what it is told is gone."""
    turn.conn.head(200, [("Content-Type", "application/json"),
                         ("Content-Length", 1 << 60)])
    turn.conn.write(b'{"choices": [')
    turn.conn.cut()


@scenario("huge-header")
def huge_header(turn):
    turn.conn.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(turn.number(40)):
        turn.conn.write(b"X-Padding-%d: %s\r\n" % (number, b"p" * MEGABYTE))
    turn.conn.write(b"Content-Length: 0\r\n\r\n")


@scenario("many-headers")
def many_headers(turn):
    turn.conn.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(turn.number(1000000)):
        turn.conn.write(b"X-N-%d: 1\r\n" % number)
    turn.conn.write(b"Content-Length: 0\r\n\r\n")


@scenario("huge-arguments")
def huge_arguments(turn):
    """A tool call whose arguments never end."""
    turn.start()
    turn.send(turn.dialect.chunk({"tool_calls": [
        turn.dialect.call(wire.Call("write_file", ""), 0)]}))
    part = turn.dialect.chunk({"tool_calls": [{"index": 0, "function": {
        "arguments": "a" * 10000}}]})
    block = frame(turn.event(part)) * 10
    for _ in range(turn.number(200) * 10):
        turn.conn.write(block)
    turn.send(turn.dialect.chunk({}, "tool_calls"))
    turn.done()


@scenario("gzip-bomb")
def gzip_bomb(turn):
    """Compressed although nobody asked: half a megabyte on the wire, 128 MB behind it."""
    bomb = gzip.compress(b"a" * MEGABYTE, 1) * 128  # its members follow each other: RFC 1952, 2.2
    turn.conn.answer(200, bomb, fields=[("Content-Encoding", "gzip")])


# -- bytes that nobody means to send --------------------------------------------------------------

@scenario("deep-json")
def deep_json(turn):
    depth = turn.number(100000)
    text = '{"choices":' + "[" * depth + "]" * depth + "}"
    raw_text(turn, text.encode())


@scenario("deep-object")
def deep_object(turn):
    depth = turn.number(100000)
    raw_text(turn, b'{"a":' * depth + b"1" + b"}" * depth)


@scenario("nul-bytes")
def nul_bytes(turn):
    """NUL as a raw byte in the stream and as an escape in the text."""
    text = json.dumps(turn.dialect.chunk({"content": "before\x00after"}), ensure_ascii=True)
    if not turn.streams:
        turn.conn.answer(200, json.dumps(turn.dialect.whole(wire.Answer("before\x00after")),
                                         ensure_ascii=True))
        return
    turn.start()
    turn.conn.send(b": a comment with a \x00 in it\n\n")
    turn.send(text)
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("raw-nul")
def raw_nul(turn):
    raw_text(turn, b'{"choices":[{"index":0,"delta":{"content":"a\x00b"}}]}')


@scenario("bad-utf8")
def bad_utf8(turn):
    """Bytes that are no UTF-8 in the middle of a text, then a proper end."""
    value = wire.compact(turn.dialect.chunk({"content": "abcBAD"}) if turn.streams
                         else turn.dialect.whole(wire.Answer("abcBAD"))).encode()
    value = value.replace(b"BAD", b"\xff\xfe\xc3(\xed\xa0\x80")
    if not turn.streams:
        turn.conn.answer(200, value)
        return
    turn.start()
    turn.conn.send(b"data: " + value + b"\n\n")
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("lone-surrogate")
def lone_surrogate(turn):
    """Half a pair as an escape: legal JSON syntax, no text."""
    text = wire.compact(turn.dialect.chunk({"content": "aSPLITb"}) if turn.streams
                        else turn.dialect.whole(wire.Answer("aSPLITb")))
    text = text.replace("SPLIT", "\\ud83c")
    if not turn.streams:
        turn.conn.answer(200, text)
        return
    turn.start()
    turn.send(text)
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("terminal-escapes")
def terminal_escapes(turn):
    """An answer that would retitle the window, clear the screen, write the clipboard, and show its
    characters in another order or on another line than they stand."""
    turn.say(wire.Answer("safe\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x9b31m text "
                         f"a{'b'.join(BIDI)}c the end"))


@scenario("chunk-garbage")
def chunk_garbage(turn):
    turn.begin_text("one ")
    turn.conn.write(b"ZZZZ\r\nthis is no chunk\r\n0\r\n\r\n")
    turn.conn.cut()


@scenario("chunk-huge")
def chunk_huge(turn):
    turn.begin_text("one ")
    turn.conn.write(b"ffffffffffffffffff\r\nabc\r\n")
    turn.conn.cut()


@scenario("not-http")
def not_http(turn):
    turn.conn.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    turn.conn.cut()


@scenario("wrong-types")
def wrong_types(turn):
    """Valid JSON with every field of another type than agreed."""
    raw_text(turn, wire.compact({
        "id": 7, "object": [], "created": "now", "model": None, "usage": "much",
        "choices": [{"index": "0", "delta": "text", "message": 5, "finish_reason": {}},
                    "choice", None]}).encode())


@scenario("not-an-object")
def not_an_object(turn):
    raw_text(turn, b'"hello"')


@scenario("weird-usage")
def weird_usage(turn):
    """Numbers that no integer type holds."""
    answer = wire.Answer("counted")
    answer.usage = {"prompt_tokens": -5, "completion_tokens": 1e300, "total_tokens": "many",
                    "cost": "free", "completion_tokens_details": None}
    turn.say(answer)


def raw_text(turn, data):
    """Exactly these bytes as the body, or as the data of the only event before [DONE]."""
    if not turn.streams:
        turn.conn.answer(200, data)
        return
    turn.start()
    turn.conn.send(b"data: " + data + b"\n\n")
    turn.done()
