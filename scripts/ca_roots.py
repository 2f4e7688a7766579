#!/usr/bin/python3
"""Embeds the certificate authorities that Mozilla trusts, as Debian ships them.

    ca_roots.py OUTPUT.c [PEM_FILE]          a C file for net/ca_roots.c
    ca_roots.py --pem OUTPUT.pem [PEM_FILE]  the same roots as PEM, for tests and curious people

Without PEM_FILE the roots are Debian's ca-certificates/mozilla files, one by one, and not the
bundle in /etc/ssl/certs: that one also holds what was added to the machine that builds.

What is trusted is a name and a key (RFC 5280 section 6.1.1 d), so a root is reduced to them and its
validity: three elements that stand side by side in every certificate. net/ca_roots.c wraps them
into a version 1 certificate with a one-letter issuer and no signature. mbedTLS takes a version 1
certificate for an authority only where it is locally trusted, and never looks at the signature or
the issuer of one that is. It also makes roots usable whose own signature is SHA-1, which mbedTLS
is built without.

Nothing that limits a root gets lost: one with a path length becomes a version 3 certificate with
its basic constraints and key usage; one with name constraints, or with any critical extension that
is not one of these two, is kept whole. One that is no authority, or has expired, is left out.

Roots are sorted by their subject with letters in lower case and UTF8String written as
PrintableString, byte for byte, because that is how mbedTLS compares names.
"""

import base64
import datetime
import glob
import os
import re
import sys

MOZILLA = "/usr/share/ca-certificates/mozilla/*.crt"

SEQUENCE, SET, OID, INTEGER, BIT_STRING, BOOLEAN, UTF8_STRING = 0x30, 0x31, 6, 2, 3, 1, 12
BASIC_CONSTRAINTS, KEY_USAGE, NAME_CONSTRAINTS = b"\x55\x1d\x13", b"\x55\x1d\x0f", b"\x55\x1d\x1e"
COMMON_NAME = b"\x55\x04\x03"
ECDSA_WITH_SHA256 = b"\x2a\x86\x48\xce\x3d\x04\x03\x02"  # the shortest that mbedTLS knows
KEY_CERT_SIGN = 0x04  # in the first byte of a key usage

FOLD = bytes(0x13 if b == 0x0C else b + 32 if 65 <= b <= 90 else b for b in range(256))


class Bad(Exception):
    pass


def read(der, at=0):
    """One element at `at`: tag, content, offset behind it."""
    if len(der) < at + 2:
        raise Bad("it is cut short")
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[at : at + count], "big")
        at += count
    if at + length > len(der):
        raise Bad("it is cut short")
    return tag, der[at : at + length], at + length


def elements(content):
    at = 0
    while at < len(content):
        begin = at
        tag, value, at = read(content, at)
        yield tag, value, content[begin:at]


def write(tag, *contents):
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def read_time(tag, text):
    """RFC 5280 section 4.1.2.5: a UTCTime of 50 and later is of the last century."""
    text = text.decode("ascii")
    if tag == 0x17:
        text = ("19" if text >= "50" else "20") + text
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc)


class Root:
    def __init__(self, der, source):
        self.der, self.source = der, source
        certificate = list(elements(read(der)[1]))
        fields = list(elements(certificate[0][1]))
        self.version = 1
        if fields[0][0] == 0xA0:
            self.version = read(fields.pop(0)[1])[1][0] + 1
        self.validity, self.subject, self.key = (fields[i][2] for i in (3, 4, 5))
        self.not_after = read_time(*list(elements(fields[3][1]))[1][:2])
        self.extensions = {}
        for tag, value, _ in fields[6:]:
            if tag == 0xA3:
                self.read_extensions(read(value)[1])

    def read_extensions(self, content):
        for _, extension, whole in elements(content):
            parts = list(elements(extension))
            critical = parts[1][0] == BOOLEAN and parts[1][1] != b"\0"
            self.extensions[parts[0][1]] = (critical, parts[-1][1], whole)

    def is_authority(self):
        if self.version < 3:
            return True
        constraints = self.extensions.get(BASIC_CONSTRAINTS)
        usage = self.extensions.get(KEY_USAGE)
        is_ca = constraints and any(
            tag == BOOLEAN and value != b"\0" for tag, value, _ in elements(read(constraints[1])[1])
        )
        return bool(is_ca) and (usage is None or bool(read(usage[1])[1][1] & KEY_CERT_SIGN))

    def has_path_length(self):
        constraints = self.extensions.get(BASIC_CONSTRAINTS)
        return bool(constraints) and any(
            tag == INTEGER for tag, _, _ in elements(read(constraints[1])[1])
        )

    def must_stay_whole(self):
        return any(
            oid == NAME_CONSTRAINTS or (critical and oid not in (BASIC_CONSTRAINTS, KEY_USAGE))
            for oid, (critical, _, _) in self.extensions.items()
        )

    def is_plain(self):
        return not self.must_stay_whole() and not self.has_path_length()

    def core(self):
        return self.validity + self.subject + self.key

    def reduced(self):
        """As a certificate; net/ca_roots.c does the same for a plain one."""
        if self.must_stay_whole():
            return self.der
        algorithm = write(SEQUENCE, write(OID, ECDSA_WITH_SHA256))
        name = write(SEQUENCE, write(OID, COMMON_NAME), write(UTF8_STRING, b"-"))
        issuer = write(SEQUENCE, write(SET, name))
        version = extensions = b""
        if self.has_path_length():
            version = write(0xA0, write(INTEGER, b"\2"))
            kept = [self.extensions[oid][2] for oid in (BASIC_CONSTRAINTS, KEY_USAGE)
                    if oid in self.extensions]
            extensions = write(0xA3, write(SEQUENCE, *kept))
        body = write(SEQUENCE, version, write(INTEGER, b"\1"), algorithm, issuer, self.core(),
                     extensions)
        return write(SEQUENCE, body, algorithm, write(BIT_STRING, b"\0"))

    def embedded(self):
        return self.core() if self.is_plain() else self.reduced()

    def name(self):
        values = []
        for _, rdn, _ in elements(read(self.subject)[1]):
            for _, pair, _ in elements(rdn):
                values.append(list(elements(pair))[1][1].decode("utf-8", "replace"))
        return values[-1] if values else self.source


def read_pem(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    pattern = "-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----"
    for block in re.findall(pattern, text, re.DOTALL):
        try:
            yield Root(base64.b64decode(block), path)
        except (Bad, IndexError, ValueError) as problem:
            raise Bad(f"a certificate in {path} cannot be read: {problem}") from problem


def now():
    """A build that is to be repeated bit by bit says when it takes place."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    utc = datetime.timezone.utc
    return datetime.datetime.fromtimestamp(int(epoch), utc) if epoch else datetime.datetime.now(utc)


def choose(paths):
    roots, seen, dropped = [], set(), []
    for root in (root for path in sorted(paths) for root in read_pem(path)):
        if root.der in seen:
            continue
        seen.add(root.der)
        if root.not_after < now():
            dropped.append(f"{root.name()} (expired {root.not_after:%Y-%m-%d})")
        elif not root.is_authority():
            dropped.append(f"{root.name()} (no authority)")
        else:
            roots.append(root)
    roots.sort(key=lambda root: (root.subject.translate(FOLD), root.der))
    return roots, dropped


def as_c(roots, source):
    blob, index = b"", []
    for root in roots:
        der = root.embedded()
        where = der.index(root.core()) + len(root.validity)
        index.append((len(blob), int(not root.is_plain()), where, len(root.subject), root.name()))
        blob += der
    lines = [
        f"// Made by scripts/ca_roots.py from {source}: {len(roots)} roots, {len(blob)} bytes.",
        '#include "net/ca_roots_table.h"',
        "",
        f"const size_t ca_roots_table_len = {len(roots)};",
        "const struct ca_root ca_roots_table[] = {",
    ]
    for offset, whole, subject_at, subject_len, name in index:
        plain = re.sub(r"[^ -~]|[\\?]|\*/", ".", name)
        lines.append(f"    {{{offset}, {whole}, {subject_at}, {subject_len}}}, // {plain}")
    lines += [f"    {{{len(blob)}, 0, 0, 0}}, // where the last one ends", "};", "",
              "const unsigned char ca_roots_der[] = {"]
    for at in range(0, len(blob), 20):
        lines.append("    " + ",".join(str(byte) for byte in blob[at : at + 20]) + ",")
    return "\n".join(lines + ["};", ""])


def as_pem(roots):
    blocks = []
    for root in roots:
        text = base64.b64encode(root.reduced()).decode()
        rows = [text[at : at + 64] for at in range(0, len(text), 64)]
        blocks.append("\n".join(["-----BEGIN CERTIFICATE-----", *rows,
                                 "-----END CERTIFICATE-----", ""]))
    return "".join(blocks)


def report(roots, dropped):
    whole = sum(len(root.der) for root in roots)
    embedded = sum(len(root.embedded()) for root in roots)
    kept = [root.name() for root in roots if root.must_stay_whole()]
    print(f"ca_roots: {len(roots)} roots, {embedded} bytes (whole: {whole})")
    if kept:
        print("ca_roots: kept whole, for their constraints: " + ", ".join(kept))
    if dropped:
        print("ca_roots: left out: " + ", ".join(dropped))


def write_if_new(path, text):
    """Was it written? A file that stays as it is, is not compiled again."""
    if os.path.exists(path) and open(path, encoding="ascii").read() == text:
        return False
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return True


def main(arguments):
    make_pem = arguments[:1] == ["--pem"]
    arguments = arguments[make_pem:]
    if len(arguments) not in (1, 2) or arguments[0].startswith("-"):
        sys.exit("usage: ca_roots.py [--pem] OUTPUT [PEM_FILE]")
    paths = arguments[1:] or glob.glob(MOZILLA)
    if not paths:
        sys.exit(f"ca_roots: no {MOZILLA} here. Run: apt-get install ca-certificates")
    try:
        roots, dropped = choose(paths)
    except (Bad, OSError) as problem:
        sys.exit(f"ca_roots: {problem}")
    if not roots:
        sys.exit(f"ca_roots: {paths[0]} holds no authority that is still valid")
    source = os.path.basename(paths[0]) if arguments[1:] else "Debian's ca-certificates"
    text = as_pem(roots) if make_pem else as_c(roots, source)
    if write_if_new(arguments[0], text):
        report(roots, dropped)


main(sys.argv[1:])
