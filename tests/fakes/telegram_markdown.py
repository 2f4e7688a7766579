"""MarkdownV2 as Telegram reads it: text and entities, or the sentence with which it refuses.

Follows the Bot API's "MarkdownV2 style" and the order in which the real server looks at things, so
that the byte offsets and names in the errors are the ones that a bot sees in production. An empty
entity is dropped without a word by the real server; it is told apart here (`empties`), because a
bot that writes one has misunderstood its own text.
"""

import re

RESERVED = "_*[]()~`>#+-=|{}.!"
NAMES = {"bold": "Bold", "italic": "Italic", "underline": "Underline", "code": "Code",
         "strikethrough": "Strikethrough", "spoiler": "Spoiler", "pre": "Pre",
         "text_link": "TextUrl", "blockquote": "BlockQuote", "custom_emoji": "CustomEmoji"}
LINK = re.compile(r"(?:https?://|tg://|ftp://|mailto:)?[^\s/]+\.?[^\s]*\Z")


class CannotParse(Exception):
    """The text of the error without its "Bad Request: can't parse entities: "."""


def units(text):
    """UTF-16 code units, which is how Telegram counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class _Open:
    def __init__(self, kind, byte_offset, offset, position, more):
        self.kind, self.byte_offset, self.offset = kind, byte_offset, offset
        self.position, self.more = position, more


class Parser:
    def __init__(self, source):
        self.source, self.at = source, 0
        self.out, self.offset = [], 0  # `offset` in code units
        self.open, self.entities, self.empties = [], [], []
        self.line_begins = True

    def parse(self):
        while self.at < len(self.source):
            self._one()
        if self.open and self.open[-1].kind == "blockquote":
            self._close(self.open[-1])
        if self.open:
            last = self.open[-1]
            raise CannotParse(f"Can't find end of {NAMES[last.kind]} entity at byte offset "
                              f"{last.byte_offset}")
        return "".join(self.out), sorted(self.entities,
                                         key=lambda e: (e["offset"], -e["length"]))

    def _follows(self, text, ahead=0):
        return self.source.startswith(text, self.at + ahead)

    def _put(self, char):
        self.out.append(char)
        self.offset += units(char)
        self.line_begins = char == "\n"

    def _one(self):
        char = self.source[self.at]
        after = self.source[self.at + 1:self.at + 2]
        if char == "\\" and after and 0 < ord(after) <= 126:
            self._put(after)
            self.line_begins = False
            self.at += 2
            return
        kind = self.open[-1].kind if self.open else None
        if kind in ("code", "pre") and char != "`":
            self._put(char)
            self.at += 1
        elif self.open and self._ends(kind, char):
            self._end(self.open[-1])
        elif char in RESERVED:
            self._begin(char)
        else:
            if char == "\n":
                self._end_of_line()
            self._put(char)
            self.at += 1

    def _end_of_line(self):
        """A quote ends where the next line does not begin with '>'."""
        if self.open and self.open[-1].kind == "blockquote" and not self._follows(">", 1):
            self._close(self.open[-1])
        elif any(e.kind == "blockquote" for e in self.open) and not self._follows(">", 1):
            last = self.open[-1]
            raise CannotParse(f"Can't find end of {NAMES[last.kind]} entity at byte offset "
                              f"{last.byte_offset}")

    def _ends(self, kind, char):
        return {"bold": char == "*", "italic": char == "_" and not self._follows("__"),
                "underline": self._follows("__"), "strikethrough": char == "~",
                "spoiler": self._follows("||"), "code": char == "`", "pre": self._follows("```"),
                "text_link": char == "]", "custom_emoji": char == "]"}.get(kind, False)

    # -- beginnings -------------------------------------------------------------------------------

    def _begin(self, char):
        begin, more = self.at, {}
        if char == ">" and self.line_begins:
            self.at += 1
            self.line_begins = False
            if any(e.kind == "blockquote" for e in self.open):
                return  # a further line of the same quote
            kind = "blockquote"
        elif self._follows("```"):
            kind, more = "pre", self._language()
        elif self._follows("||"):
            if self.open and self.open[-1].kind == "blockquote" and \
                    (self._follows("\n", 2) or self.at + 2 == len(self.source)):
                self.at += 2  # the mark of an expandable quote
                return
            kind = "spoiler"
            self.at += 2
        elif self._follows("__"):
            kind = "underline"
            self.at += 2
        elif self._follows("!["):
            kind = "custom_emoji"
            self.at += 2
        elif char in "_*~[`":
            kind = {"_": "italic", "*": "bold", "~": "strikethrough", "[": "text_link",
                    "`": "code"}[char]
            self.at += 1
        else:
            raise CannotParse(f"Character '{char}' is reserved and must be escaped with the "
                              "preceding '\\'")
        byte_offset = len(self.source[:begin].encode("utf-8"))
        self.open.append(_Open(kind, byte_offset, self.offset, len(self.out), more))

    def _language(self):
        self.at += 3
        found = re.compile(r"[^\s`]*").match(self.source, self.at)
        more = {}
        if found.group() and found.end() < len(self.source) and self.source[found.end()] != "`":
            more["language"] = found.group()
            self.at = found.end()
        newline = re.compile(r"\r\n|\n\r|\n|\r").match(self.source, self.at)
        if newline:
            self.at = newline.end()
        return more

    # -- ends -------------------------------------------------------------------------------------

    def _end(self, opened):
        self.at += {"underline": 2, "spoiler": 2, "pre": 3}.get(opened.kind, 1)
        if opened.kind == "text_link":
            url = self._url() if self._follows("(") else "".join(self.out[opened.position:])
            if not LINK.match(url):
                self.empties.append(f"a link to {url!r}")
                self.open.pop()
                return
            opened.more["url"] = url
        elif opened.kind == "custom_emoji":
            if not self._follows("(") or not self._url().startswith("tg://emoji?id="):
                raise CannotParse("Custom emoji entity must contain a tg://emoji URL")
        self._close(opened)

    def _url(self):
        self.at += 1
        begin, url = self.at, ""
        while self.at < len(self.source) and self.source[self.at] != ")":
            if self.source[self.at] == "\\" and self.at + 1 < len(self.source) \
                    and ord(self.source[self.at + 1]) <= 126:
                self.at += 1
            url += self.source[self.at]
            self.at += 1
        if self.at >= len(self.source):
            raise CannotParse("Can't find end of a URL at byte offset "
                              f"{len(self.source[:begin].encode('utf-8'))}")
        self.at += 1
        return url

    def _close(self, opened):
        self.open.pop()
        length = self.offset - opened.offset
        if length == 0:
            self.empties.append(f"{NAMES[opened.kind]} at byte offset {opened.byte_offset}")
            return
        self.entities.append({"type": opened.kind, "offset": opened.offset, "length": length,
                              **opened.more})


def parse(source):
    """(text, entities, what was empty)."""
    parser = Parser(source)
    text, entities = parser.parse()
    return text, entities, parser.empties


def trimmed(text, entities):
    """As Telegram stores it: without blanks at either end, entities moved along."""
    kept = text.rstrip()
    lead = len(kept) - len(kept.lstrip())
    shift, end = units(kept[:lead]), units(kept)
    moved = []
    for entity in entities:
        begin = max(entity["offset"], shift)
        stop = min(entity["offset"] + entity["length"], end)
        if stop > begin:
            moved.append({**entity, "offset": begin - shift, "length": stop - begin})
    return kept[lead:], moved
