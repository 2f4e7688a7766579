"""A server that writes down what is said, as OpenAI's /audio/transcriptions, and can fail."""

import email.parser
import http.server
import json
import threading


class SpeechServer:
    """`answer` is the next answers' (status, body); what was asked stands in `asked`."""

    def __init__(self):
        self.asked, self.answer = [], (200, {"text": "Buy milk, please."})
        self.gate = threading.Event()  # answers wait for it
        self.gate.set()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.asked.append(owner.fields(self, body))
                owner.gate.wait(60)
                status, answer = owner.answer
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def fields(handler, body):
        """The form's fields, and of the file its name and bytes."""
        head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
        form = email.parser.BytesParser().parsebytes(head + body)
        found = {"path": handler.path, "key": handler.headers["Authorization"]}
        for part in form.get_payload():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            if part.get_filename():
                found["name"], found[name] = part.get_filename(), data
            else:
                found[name] = data.decode()
        return found
