"""Forms with a file, as sendDocument and sendPhoto take them, and what Telegram keeps of them.

`api.cut_upload = N` cuts the connection of the next form after N bytes of its body, once.
"""

import dataclasses
import email.parser

from telegram_chats import Refused

DOCUMENT_MAX, PHOTO_MAX = 50_000_000, 10_000_000  # bytes
CAPTION_MAX = 1024


@dataclasses.dataclass
class Upload:
    name: str
    data: bytes


def is_form(headers):
    return headers.get("content-type", "").lower().startswith("multipart/form-data")


def fields_of(headers, body):
    """The parameters of a form; a file is an Upload."""
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    form = email.parser.BytesParser().parsebytes(head + body)
    found = {}
    for part in form.get_payload():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if part.get_filename() is not None:
            found[name] = Upload(part.get_filename(), data)
        else:
            found[name] = data.decode("utf-8")
    return found


class Forms:
    """Part of TelegramApi."""

    cut_upload = None

    def before_body(self, conn, headers):
        if not is_form(headers) or self.cut_upload is None:
            return
        wanted, self.cut_upload = self.cut_upload, None
        conn._read_exactly(min(wanted, int(headers["content-length"])))
        conn.reset()

    def _send_file(self, call, kind, most):
        upload, chat = call.params.get(kind), self._chat(call.params)
        caption = call.params.get("caption", "")
        if not isinstance(upload, Upload):
            raise Refused(400, f"Bad Request: there is no {kind} in the request")
        if not upload.data:
            raise Refused(400, "Bad Request: file must be non-empty")
        if len(upload.data) > most:
            raise Refused(413, "Request Entity Too Large")
        if len(caption) > CAPTION_MAX:
            raise Refused(400, "Bad Request: message caption is too long")
        return self.chats.send_file(chat, kind, upload, caption, call.params)

    def _sendDocument(self, call):
        return self._send_file(call, "document", DOCUMENT_MAX)

    def _sendPhoto(self, call):
        return self._send_file(call, "photo", PHOTO_MAX)
