"""Files that users send: what their updates say of them, getFile, and the server that has them.

Downloads are calls of the method "download", whose faults are those of the Bot API and these:
"short" (less than Telegram said, with a clean end), "cut" (in the middle), "page" (HTML in its
place).
"""

import dataclasses
import os

from telegram_faults import GATEWAY_PAGE, error
from telegram_chats import Refused

PNG = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass
class File:
    id: str
    path: str
    data: bytes

    def as_object(self, **more):
        return {"file_id": self.id, "file_unique_id": "u" + self.id[-12:],
                "file_size": len(self.data), **more}


def image(size=2000):
    """An image as far as anybody looks, each with other bytes."""
    return PNG + os.urandom(size - len(PNG))


class Files:
    """Part of TelegramApi."""

    def keep(self, data, path="photos/file_{}.jpg"):
        with self._lock:
            number = len(self.files) + 1
            file = File(f"AgACAgIAAxkBAAI{number:012d}", path.format(number), data)
            self.files[file.id] = file
            return file

    def user_sends_photo(self, chat, data, caption=None, sizes=(), **more):
        """`sizes`: smaller ones of the same photo, which come before it."""
        kept = [self.keep(each) for each in (*sizes, data)]
        photo = [file.as_object(width=90 * (n + 1), height=90 * (n + 1))
                 for n, file in enumerate(kept)]
        return self._sends(chat, caption, photo=photo, **more)

    def user_sends_album(self, chat, all_data, caption=None, group="13370001"):
        return [self.user_sends_photo(chat, data, None if n else caption, media_group_id=group)
                for n, data in enumerate(all_data)]

    def user_sends_voice(self, chat, data, caption=None, kind="voice", **more):
        file = self.keep(data, "voice/file_{}.oga")
        return self._sends(chat, caption, **{kind: file.as_object(
            duration=3, mime_type="audio/ogg")}, **more)

    def user_sends_document(self, chat, data, name, caption=None, size=None, **more):
        file = self.keep(data, "documents/file_{}.bin")
        found = file.as_object(mime_type="application/octet-stream")
        found |= {"file_name": name} if name is not None else {}
        found |= {"file_size": size} if size is not None else {}
        return self._sends(chat, caption, document=found, **more)

    def _sends(self, chat, caption, **more):
        if caption is not None:
            more["caption"] = caption
        return self.user_says(chat, None, **more)

    def _getFile(self, call):
        file = self.files.get(call.params.get("file_id"))
        if not file:
            raise Refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(file.data) > 20 << 20:
            raise Refused(400, "Bad Request: file is too big")
        return file.as_object(file_path=file.path)

    def _download(self, call, fault):
        file = next((f for f in self.files.values() if f.path == call.params["path"]), None)
        if not file:
            call.answer(*error(404, "Not Found"))
            return
        kind = fault.kind if fault else None
        data = file.data
        if kind == "page":
            call.conn.answer(200, GATEWAY_PAGE, kind="text/html")
            return
        length = len(data) // 2 if kind == "short" else len(data)
        call.conn.head(200, [("Content-Type", "application/octet-stream"),
                             ("Content-Length", length)])
        call.conn.write(data[:len(data) // 2] if kind in ("short", "cut") else data)
        if kind == "cut":
            call.conn.cut()
        call.status = 200
