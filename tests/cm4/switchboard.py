"""Joins the guest's connections with fakes on the host's loopback.

QEMU's user network gives each forwarded connection to a process of its own. Those processes
inherit one another's sockets, so that with socat or nc in their place no connection ever ends as
long as another is open, and hundreds of streams mean hundreds of processes. So that process
(`relay`) only passes its socket on to here, over a Unix socket, and ends.

What the tests need kept: each direction ends by itself (a client may end its request and wait for
the answer), a slow reader slows the writer, and a reset is not turned into an orderly end.

usage: switchboard.py FOLDER; listens on FOLDER/board, reads the host's port for the guest's port N
from FOLDER/forward.N for each connection, and ends when standard input does.
"""
import asyncio
import os
import pathlib
import socket
import struct
import sys

CHUNK_BYTES = 64 * 1024
BACKLOG = 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def copy(reader, writer):
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def reset(writer):
    """Closes at once; a TCP peer sees a reset."""
    sock = writer.get_extra_info("socket")
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


async def join(guest_socket, target):
    guest_reader, guest_writer = await asyncio.open_connection(sock=guest_socket)
    try:
        host_reader, host_writer = await asyncio.open_connection("127.0.0.1", target)
    except OSError:
        reset(guest_writer)
        return
    copies = [asyncio.ensure_future(copy(guest_reader, host_writer)),
              asyncio.ensure_future(copy(host_reader, guest_writer))]
    try:
        await asyncio.gather(*copies)
        guest_writer.close()
        host_writer.close()
    except OSError:
        for task in copies:
            task.cancel()
        reset(guest_writer)
        reset(host_writer)


def accept(listener, folder, running):
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        port, fds, _, _ = socket.recv_fds(connection, 16, 1)
    guest_socket = socket.socket(fileno=fds[0])
    guest_socket.setblocking(False)
    target = int((folder / f"forward.{int(port)}").read_text())
    task = asyncio.ensure_future(join(guest_socket, target))
    running.add(task)
    task.add_done_callback(running.discard)


async def main(folder):
    running = set()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(0, lambda: os.read(0, 1) or ended.set())
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / "board"))
    listener.listen(BACKLOG)
    loop.add_reader(listener.fileno(), accept, listener, folder, running)
    print("ready", flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1])))
