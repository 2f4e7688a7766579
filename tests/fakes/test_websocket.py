"""The WebSocket server of the tests is looked at with Debian's own client."""

import asyncio
import json
import pathlib
import subprocess
import sys

import pytest
import websockets

HERE = pathlib.Path(__file__).resolve().parent
ANSWER = "The answer is 42."


@pytest.fixture(scope="module")
def server():
    with subprocess.Popen([sys.executable, "-B", HERE / "websocket_server.py", "--until-eof"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.port = int(process.stdout.readline())
        yield process
        process.stdin.close()
        assert process.wait(20) == 0, "it ends with its standard input"


def talk(server, path, *messages, expect=1):
    """(messages that came, close code) of one connection."""
    async def client():
        came = []
        async with websockets.connect(f"ws://127.0.0.1:{server.port}{path}", compression=None,
                                      max_size=1 << 20, close_timeout=2) as sock:
            try:
                for message in messages:
                    await sock.send(message)
                for _ in range(expect):
                    came.append(await asyncio.wait_for(sock.recv(), 20))
                await sock.close()
            except websockets.ConnectionClosed:
                pass
            return came, sock.close_code
    return asyncio.run(client())


@pytest.mark.parametrize("path,messages,expected", [
    ("/echo?v=10", ["é", b"\0\xff"], ["é", b"\0\xff"]),
    ("/big/100000", [], ["0123456789" * 10000]),
    ("/binary/300", [], [bytes(range(256)) + bytes(range(44))]),
    ("/burst/3", ["4"], ["0", "1", "2", "4"]),
    ("/fragments", ["a€b"], ["a€b"]),
    ("/ping", ["hi"], ["hi"]),
])
def test_the_real_server(server, path, messages, expected):
    assert talk(server, path, *messages, expect=len(expected)) == (expected, 1000)


def test_the_real_server_shows_the_head(server):
    head = json.loads(talk(server, "/head")[0][0])
    assert head["upgrade"].lower() == "websocket" and len(head["sec-websocket-key"]) == 24


@pytest.mark.parametrize("path,code", [("/close/1008", 1008), ("/close/4000", 4000),
                                       ("/leave", 1001)])
def test_the_real_server_closes(server, path, code):
    assert talk(server, path, "hi") == ([], code)


@pytest.mark.parametrize("path,expected,code,end", [
    ("/head-frames", [ANSWER], 1000, "close 1000"),
    ("/any-case", [ANSWER], 1000, "close 1000"),
    ("/control-between", [ANSWER], 1000, "close 1000"),
    ("/utf8-split", ["5 €"], 1000, "close 1000"),
    ("/empty-fragments", [ANSWER], 1000, "close 1000"),
    ("/length-65536", ["a" * 65536], 1000, "close 1000"),
    ("/pings/50", [ANSWER], 1000, "close 1000"),
    ("/bytewise", ["first", "second", bytes(range(200))], 1000, "close 1000"),
    ("/close-empty", [], 1005, "close 1005"),
    ("/masked", [], 1006, "close 1002"),
    ("/utf8-cut", [], 1006, "close 1007"),
    ("/length-max", [], 1006, "close 1009"),
    ("/endless-message", [], 1006, "close 1009"),
    ("/endless-empty", [], 1006, "close 1002"),
    ("/cut/9", [], 1006, "fin"),
])
def test_the_misbehaving_server(server, path, expected, code, end):
    assert talk(server, path, expect=len(expected) + 1) == (expected, code)
    said = server.stdout.readline().strip()
    assert said.startswith(f"{path} ") and (said == f"{path} {end}" or code == 1006), said


@pytest.mark.parametrize("path", ["/refuse/429", "/wrong-accept", "/no-accept", "/no-upgrade",
                                  "/other-upgrade", "/no-connection", "/extension", "/subprotocol"])
def test_handshakes_that_are_to_be_refused(server, path):
    with pytest.raises(websockets.InvalidHandshake):
        talk(server, path)
    assert server.stdout.readline().startswith(f"{path} ")
