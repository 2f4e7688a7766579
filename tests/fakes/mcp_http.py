#!/usr/bin/env python3
"""The server of mcp_stdio.py over Streamable HTTP: `mcp_http.py PORT --state DIR [modern]`.

A legacy one has sessions, knows none but its own, and answers with 404 what belongs to another.
`header.json` in the directory is [NAME, COUNT]: the next COUNT calls are refused (-32020), and
where it is negative all that have no header Mcp-Param-NAME. The tool "raw" shows headers as well.
"""

import http.server
import json
import sys
import uuid

import mcp_stdio

PORT = int(sys.argv[1])
SESSION = None if "modern" in sys.argv else uuid.uuid4().hex


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, value=None, **headers):
        body = b"" if value is None else json.dumps({"jsonrpc": "2.0", **value}).encode()
        self.send_response(status)
        for name, header in headers.items():
            self.send_header(name.replace("_", "-"), header)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def mismatches(self):
        path = mcp_stdio.STATE / "header.json"
        if not path.exists():
            return False
        name, count = json.loads(path.read_text())
        wrong = count and (count > 0 or not self.headers.get("Mcp-Param-" + name))
        if wrong and count > 0:
            path.write_text(json.dumps([name, count - 1]))
        if wrong:
            with open(mcp_stdio.STATE / "calls.log", "a") as log:
                log.write("mismatch\n")
        return wrong

    def do_POST(self):
        line = self.rfile.read(int(self.headers["Content-Length"])).decode()
        message = json.loads(line)
        method, given = message.get("method"), self.headers.get("Mcp-Session-Id")
        if SESSION and method == "server/discover":
            self.reply(400, {"id": None, "error": {"code": -32000, "message": "not initialized"}})
        elif SESSION and method != "initialize" and given != SESSION:
            self.reply(404, {"id": None, "error": {"code": -32001, "message": "no such session"}})
        elif method == "tools/call" and self.mismatches():
            self.reply(400, {"id": message["id"], "error": {
                "code": -32020, "message": "Header mismatch"}})
        elif "id" not in message:
            self.reply(202)
        else:
            answer = mcp_stdio.answer(message, f"{self.headers}{line}")
            session = {"Mcp_Session_Id": SESSION} if method == "initialize" else {}
            self.reply(200, {"id": message["id"], **answer}, **session)

    def do_GET(self):
        self.reply(405)

    def do_DELETE(self):
        self.reply(204)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
