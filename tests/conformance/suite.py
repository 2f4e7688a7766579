"""Runs the suite, and says which scenarios passed."""

import http.client
import http.server
import json
import os
import platform
import re
import subprocess
import tempfile
import threading

MINUTES = 60  # seconds


class Suite:
    def __init__(self, modules):
        machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
        self.node = modules / f"node-linux-{machine}/bin/node"
        self.package = modules / "@modelcontextprotocol/conformance"

    def required(self, side, revision):
        """The scenarios of "server" or "client" that count."""
        text = (self.package / f"requirements/{revision}.yaml").read_text()
        return re.findall(r"^  - (\S+)$", re.search(rf"^{side}:\n((?:  - .*\n)+)", text, re.M)[1],
                          re.M)

    def run(self, *words):
        """{scenario: [the checks of it that are no success]}, of those that had any checks."""
        with tempfile.TemporaryDirectory(prefix="conformance-") as out:
            done = subprocess.run([self.node, self.package / "dist/index.js", *words, "-o", out],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=10 * MINUTES, env={**os.environ, "NO_COLOR": "1"})
            found = {}
            for folder in os.scandir(out):
                name = re.sub(r"^(server-|client-)?(.*)-\d{4}-\d\d-\d\dT.*$", r"\2", folder.name)
                with open(f"{folder.path}/checks.json", encoding="utf-8") as file:
                    checks = json.load(file)
                found[name] = [f"{check['id']}: {check.get('errorMessage')}" for check in checks
                               if check["status"] in ("FAILURE", "WARNING")]
            assert found, done.stdout
            return found


class KeyProxy:
    """A server of a key for a client that has none."""

    def __init__(self, port, key):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"  # the answer ends with its connection

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                there = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                there.putrequest(self.command, self.path, skip_host=True,
                                 skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                        there.putheader(name, value)
                there.putheader("Authorization", f"Bearer {key}")
                there.putheader("Content-Length", str(len(body)))
                there.endheaders(body)
                answer = there.getresponse()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.end_headers()
                try:
                    while piece := answer.read1(65536):
                        self.wfile.write(piece)
                        self.wfile.flush()
                except (OSError, http.client.HTTPException):  # one of them has left
                    pass
                there.close()

            do_GET = do_POST = do_DELETE = do_any

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/mcp"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.server.server_close()
