"""An MCP server behind OAuth, and the authorization server that lets clients in, on one port.

The page needs nobody: whoever asks for it is sent on with a code. Attributes make it misbehave;
what happened stands in `story` (one word and its details each), what was called in `calls`.
"""

import base64
import hashlib
import http.client
import http.server
import json
import secrets
import threading
import time
import urllib.parse

TOOLS = [
    {"name": "echo", "description": "Says it again", "annotations": {"readOnlyHint": True},
     "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}},
    {"name": "note", "description": "Writes something down",
     "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}},
]


class Protected:
    def __init__(self):
        self.issuer_said = None  # in the metadata and with the code
        self.pkce = True
        self.resource_said = None
        self.lifetime = 3600  # seconds of an access token
        self.refuses_refresh = False
        self.refresh_status = None  # an outage of the token endpoint
        self.rotates = True  # a refresh token is good once; a second use ends all of its family
        self.endless_403 = False
        self.slow_401 = 0  # seconds that each refusal takes longer than the one before
        self.silent = False  # says nothing about itself
        self.static_key = None  # let in as well
        self.story, self.calls, self.secrets = [], [], []
        self.clients, self.codes, self.access, self.refresh = {}, {}, {}, {}
        self.lock = threading.RLock()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                fake.get(self)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fake.post(self, body)

            def do_DELETE(self):
                answer(self, 200, {})

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.url = self.base + "/mcp"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def count(self, word):
        return sum(entry[0] == word for entry in self.story)

    def tell(self, *entry):
        with self.lock:
            self.story.append(entry)

    def make(self, kind):
        secret = f"{kind}-{secrets.token_urlsafe(24)}"
        self.secrets.append(secret)
        return secret

    # -- the authorization server -----------------------------------------------------------------

    def get(self, request):
        path, _, query = request.path.partition("?")
        if self.silent:
            self.tell("silent")
            time.sleep(30)
        if path == "/.well-known/oauth-protected-resource/mcp":
            answer(request, 200, {"resource": self.resource_said or self.url,
                                  "authorization_servers": [self.base],
                                  "scopes_supported": ["tools"]})
        elif path == "/.well-known/oauth-authorization-server":
            self.tell("metadata")
            answer(request, 200, {
                "issuer": self.issuer_said or self.base,
                "authorization_endpoint": self.base + "/authorize",
                "token_endpoint": self.base + "/token",
                "registration_endpoint": self.base + "/register",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "scopes_supported": ["tools", "offline_access"],
                **({"code_challenge_methods_supported": ["S256"]} if self.pkce else {})})
        elif path == "/authorize":
            self.authorize(request, dict(urllib.parse.parse_qsl(query)))
        else:
            answer(request, 404 if path != "/mcp" else 405, {})

    def authorize(self, request, asked):
        code = self.make("code")
        with self.lock:
            self.codes[code] = asked
        self.tell("authorize", asked.get("scope"))
        back = {"code": code, "state": asked["state"], "iss": self.base}
        request.send_response(302)
        request.send_header("Location", asked["redirect_uri"] + "?" + urllib.parse.urlencode(back))
        request.send_header("Content-Length", "0")
        request.end_headers()

    def post(self, request, body):
        if request.path == "/register":
            self.register(request, json.loads(body))
        elif request.path == "/token":
            self.token(request, dict(urllib.parse.parse_qsl(body.decode())))
        elif request.path == "/mcp":
            self.mcp(request, json.loads(body))
        else:
            answer(request, 404, {})

    def register(self, request, asked):
        with self.lock:
            client = f"client-{len(self.clients)}"
            self.clients[client] = self.make("secret")
        self.tell("register", asked["redirect_uris"])
        answer(request, 201, {"client_id": client, "client_secret": self.clients[client],
                              "token_endpoint_auth_method": "client_secret_post"})

    def token(self, request, asked):
        kind = asked["grant_type"]
        self.tell(kind, asked.get("resource"))
        if self.refresh_status and kind == "refresh_token":
            answer(request, self.refresh_status, {})
            return
        if self.clients.get(asked.get("client_id")) != asked.get("client_secret"):
            answer(request, 401, {"error": "invalid_client"})
            return
        with self.lock:
            family = self.code_family(asked) if kind == "authorization_code" else \
                self.refresh_family(asked)
            if family is None:
                answer(request, 400, {"error": "invalid_grant"})
                return
            access, refresh = self.make("access"), self.make("refresh")
            self.access[access] = time.monotonic() + self.lifetime
            self.refresh[refresh] = family
            if not self.rotates and kind == "refresh_token":
                self.refresh.pop(refresh)
                refresh = None
        answer(request, 200, {"access_token": access, "token_type": "Bearer",
                              "expires_in": self.lifetime, "scope": "tools",
                              **({"refresh_token": refresh} if refresh else {})})

    def code_family(self, asked):
        given = self.codes.pop(asked["code"], None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not given or given["code_challenge"] != challenge or \
                given["redirect_uri"] != asked["redirect_uri"]:
            return None
        return {"used": False, "revoked": False}

    def refresh_family(self, asked):
        family = self.refresh.get(asked["refresh_token"])
        if self.refuses_refresh or not family or family["revoked"]:
            return None
        if self.rotates and family["used"] == asked["refresh_token"]:
            self.tell("stolen")
            family["revoked"] = True
            return None
        family["used"] = asked["refresh_token"]
        return family

    def end_access(self):
        """Every access token is refused from now on, as by a server that was started anew."""
        with self.lock:
            self.access.clear()

    # -- the MCP server ---------------------------------------------------------------------------

    def mcp(self, request, message):
        given = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        known = given and (given == self.static_key or
                           self.access.get(given, 0) > time.monotonic())
        metadata = f'resource_metadata="{self.base}/.well-known/oauth-protected-resource/mcp"'
        if not known:
            self.tell("401", message.get("method"))
            time.sleep(self.slow_401 * self.count("401"))
            answer(request, 401, {}, {"WWW-Authenticate": f"Bearer {metadata}"})
        elif self.endless_403 and message.get("method") == "tools/call":
            self.tell("403")
            answer(request, 403, {}, {"WWW-Authenticate": 'Bearer error="insufficient_scope", '
                                                          f'scope="admin", {metadata}'})
        elif "id" not in message:
            answer(request, 202, None)
        else:
            answer(request, 200, {"jsonrpc": "2.0", "id": message["id"],
                                  **self.result(message, request.headers)})

    def result(self, message, headers):
        method, params = message["method"], message.get("params") or {}
        if method == "initialize":
            return {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                               "serverInfo": {"name": "protected", "version": "1"}}}
        if method == "tools/list":
            return {"result": {"tools": TOOLS}}
        if method == "tools/call":
            text = params.get("arguments", {}).get("text", "")
            self.calls.append((params["name"], text))
            if text == "headers":
                text = str(headers)
            return {"result": {"content": [{"type": "text", "text": text}]}}
        return {"error": {"code": -32601, "message": "Method not found"}}


def answer(request, status, body, headers=None):
    data = b"" if body is None else json.dumps(body).encode()
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    if data:
        request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


def fetch(url):
    """(status, Location, text) of a GET that follows nothing."""
    parts = urllib.parse.urlsplit(url)
    conn = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    conn.request("GET", parts.path + ("?" + parts.query if parts.query else ""))
    response = conn.getresponse()
    text = response.read().decode()
    conn.close()
    return response.status, response.getheader("Location"), text


def open_page(page):
    """What a browser does until it is sent back: the address it is sent to."""
    status, location, _ = fetch(page)
    assert status == 302, status
    return location
