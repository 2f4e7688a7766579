"""Ports for programs that cannot be asked to choose one themselves."""

import errno
import random
import socket

HOST = "127.0.0.1"
# Below what Linux gives to outgoing connections and to listeners that ask for any port, above what
# Kubernetes and its like listen on: nobody gets such a port by accident before it is used.
FIRST, PAST_LAST = 12000, 30000


def free_port():
    """One of the loopback that nobody holds; who connects to it is refused until somebody does."""
    for port in random.sample(range(FIRST, PAST_LAST), 100):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, port))
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise RuntimeError(f"of 100 ports between {FIRST} and {PAST_LAST} none was free")
