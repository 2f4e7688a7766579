"""How long `hermes run` takes to be ready, and a home with a large past.

The past is written with SQL of our own into a database that the binary itself has made, so that
the schema is the real one, and filling it takes seconds instead of the days of real use.
"""

import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import time

from ports import free_port

MEGABYTE = 1_000_000
SESSIONS = 200
TURNS_AT_ONCE = 2000
TEXT_BYTES = 1500  # of a message: a long answer now and then, and many short ones
OUTBOX_ROWS = 20
READY_SECONDS = 120
REQUEST = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Start:
    """One `hermes run`, from its start until /readyz says 200; `ms` is how long that took."""

    def __init__(self, command, environment, **more):
        port = free_port()
        began = time.perf_counter_ns()
        self.process = subprocess.Popen([*command, "run", "--port", str(port)], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **more)
        try:
            until = time.monotonic() + READY_SECONDS
            while not self._is_ready(port):
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"never ready; its end: {self.process.poll()}")
            self.ms = (time.perf_counter_ns() - began) / 1e6
            self.read_bytes = self._read_bytes()
        except BaseException:
            self.kill()
            raise

    @staticmethod
    def _is_ready(port):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)):
                return False
            try:
                sock.sendall(REQUEST)
                return sock.recv(64).startswith(b"HTTP/1.1 200 ")
            except ConnectionError:
                return False

    def _read_bytes(self):
        """All that it has read so far, from page cache or disk."""
        text = pathlib.Path(f"/proc/{self.process.pid}/io").read_text()
        return int(re.search(r"rchar: (\d+)", text).group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        if status:
            raise RuntimeError(f"it ended with {status}")
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        return self


def database(home):
    return pathlib.Path(home) / "state.db"


def fill(home, megabytes):
    """Sessions, turns and messages until the database has that size. Nothing runs on the home."""
    db = sqlite3.connect(database(home))
    db.execute("PRAGMA synchronous = OFF")
    db.executemany("INSERT INTO sessions(id, channel, chat, title, model, prompt, created_ms, "
                   "updated_ms) VALUES(?, 'telegram', ?, 'Of old', 'offline', 'Be kind.', 1, 1)",
                   [(f"past{n:028x}", str(1000 + n)) for n in range(SESSIONS)])
    first, = db.execute("SELECT min(number) FROM sessions WHERE id LIKE 'past%'").fetchone()
    count = 0
    while db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
                     ).fetchone()[0] < megabytes * MEGABYTE:
        add_turns(db, first, count)
        count += TURNS_AT_ONCE
        db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return count


def add_turns(db, session, past):
    words = "the pump runs at noon and the router is in the cellar; "
    text = (words * (TEXT_BYTES // len(words) + 1))[:TEXT_BYTES]
    numbers = range(past, past + TURNS_AT_ONCE)
    db.executemany("INSERT INTO turns(id, session, state, source, model, started_ms, ended_ms) "
                   "VALUES(?, ?, 'done', 'telegram', 'offline', 1, 2)",
                   [(f"{n:032x}", session + n % SESSIONS) for n in numbers])
    db.executemany("INSERT INTO messages(session, turn, role, content, created_ms) "
                   "VALUES(?, NULL, ?, ?, 1)",
                   [(session + n % SESSIONS, role, f"{n} {text}")
                    for n in numbers for role in ("user", "assistant")])
    db.executemany("INSERT INTO outbox(channel, chat, state, created_ms, changed_ms, text) "
                   "VALUES('telegram', ?, 'sent', 1, 2, '')",
                   [(str(1000 + n % SESSIONS),) for n in numbers])


def add_open_work(home):
    """What a kill leaves: a turn that has not ended, and replies that are not delivered."""
    db = sqlite3.connect(database(home))
    session, = db.execute("SELECT max(number) FROM sessions").fetchone()
    name = os.urandom(16).hex()
    number = db.execute("INSERT INTO turns(id, session, state, source, model, started_ms) "
                        "VALUES(?, ?, 'model', 'telegram', 'offline', 1)",
                        (name, session)).lastrowid
    db.execute("INSERT INTO messages(session, turn, role, content, created_ms) "
               "VALUES(?, ?, 'user', 'hi', 1)", (session, number))
    db.executemany("INSERT INTO outbox(channel, chat, state, created_ms, changed_ms, text) "
                   "VALUES('telegram', ?, 'pending', 1, 1, 'what was not said yet')",
                   [(str(1000 + n),) for n in range(OUTBOX_ROWS)])
    db.commit()
    db.close()
