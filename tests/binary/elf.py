"""Reads what the checks and the measurements need of an ELF64 little-endian file.

No readelf: its output is for people and differs between releases, and one reader serves the
binaries of every architecture.
"""

import collections
import pathlib
import struct

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
PF_X, PF_W, PF_R = 1, 2, 4
SHT_SYMTAB, SHT_NOBITS, SHF_ALLOC = 2, 8, 2
DT_NEEDED, DT_TEXTREL, DT_BIND_NOW, DT_FLAGS, DT_FLAGS_1 = 1, 22, 24, 30, 0x6FFFFFFB
DF_TEXTREL, DF_BIND_NOW, DF_1_NOW, DF_1_PIE = 4, 8, 1, 0x08000000
ET_EXEC, ET_DYN = 2, 3
MACHINES = {62: "x86_64", 183: "aarch64"}

Segment = collections.namedtuple("Segment", "type flags offset address physical filesz memsz align")
Section = collections.namedtuple(
    "Section", "name_at type flags address offset size link info align entsize name")
Symbol = collections.namedtuple("Symbol", "name type section address size")


class Elf:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.data = self.path.read_bytes()
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is not a 64-bit little-endian ELF file")
        head = struct.unpack_from("<HHIQQQIHHHHHH", self.data, 16)
        self.type, self.machine = head[0], MACHINES.get(head[1], str(head[1]))
        self.segments = [Segment(kind, flags, *rest) for kind, flags, *rest in
                         self._table(head[4], head[9], "<IIQQQQQQ")]
        self.sections = self._sections(head[5], head[11], head[12])

    def _table(self, offset, count, layout):
        step = struct.calcsize(layout)
        return [struct.unpack_from(layout, self.data, offset + i * step) for i in range(count)]

    def _sections(self, offset, count, names):
        raw = self._table(offset, count, "<IIQQQQIIQQ")
        start = raw[names][4] if raw else 0
        return [Section(*entry, self._text(start + entry[0])) for entry in raw]

    def _text(self, offset):
        return self.data[offset:self.data.index(b"\0", offset)].decode()

    def segments_of(self, kind):
        return [segment for segment in self.segments if segment.type == kind]

    def dynamic(self):
        """{tag: [values]}"""
        found = collections.defaultdict(list)
        for segment in self.segments_of(PT_DYNAMIC):
            for tag, value in self._table(segment.offset, segment.filesz // 16, "<QQ"):
                if tag == 0:
                    break
                found[tag].append(value)
        return dict(found)

    def symbols(self):
        """Those of the symbol table, which a stripped file has not."""
        for table in (s for s in self.sections if s.type == SHT_SYMTAB):
            strings = self.sections[table.link].offset
            for name, info, _, section, address, size in self._table(
                    table.offset, table.size // 24, "<IBBHQQ"):
                yield Symbol(self._text(strings + name), info & 15, section, address, size)

    def is_pie(self):
        return self.type == ET_DYN

    def binds_now(self):
        dynamic = self.dynamic()
        return bool(DT_BIND_NOW in dynamic or dynamic.get(DT_FLAGS, [0])[0] & DF_BIND_NOW
                    or dynamic.get(DT_FLAGS_1, [0])[0] & DF_1_NOW)

    def section_at(self, name):
        return next((section for section in self.sections if section.name == name), None)
