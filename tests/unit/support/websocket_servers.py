#!/usr/bin/python3
"""The servers and proxies of tests/unit/test_net_websocket.c, in one process with one authority.

Prints their ports and the authority's file on one line: WebSocket, the same over TLS, an HTTP
proxy, the same over TLS. Then come the lines of websocket_server.py. Each line of standard input is
answered with the first lines of what the proxies were asked; at its end it ends.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "fakes"))

import proxies  # noqa: E402
import tls_files  # noqa: E402
import websocket_server  # noqa: E402

USER = "me:secret"


def main():
    ports = [websocket_server.Front(0, tls).port for tls in (None, "good")]
    with proxies.Proxy(user=USER) as plain, proxies.Proxy(user=USER, tls="good") as secure:
        print(*ports, plain.port, secure.port, tls_files.ca_file(), flush=True)
        for _ in sys.stdin:
            print(*(head.split("\r\n")[0] for head in plain.heads + secure.heads), flush=True)


if __name__ == "__main__":
    main()
