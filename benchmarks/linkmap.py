"""Whose bytes are in a binary that was optimised as a whole.

Link-time optimisation throws all object files into one pot, so the map of the real link names
temporary files only, and a link without it would measure another program. So the binary's own link
command is run once more, into a temporary directory, with two additions: `-flto-partition=1to1`,
which inlines and drops exactly as before but then writes one object for each source file, and a
map. The few bytes by which that file differs from the shipped one are reported.

An object is known by the functions and variables in it: the map says at which addresses it lies,
the symbol table what stands there, and gcc-nm which archive defined a symbol of that name. Static
names occur in several files, so global ones decide, by majority. A function that was inlined
counts where it was inlined.
"""

import bisect
import collections
import os
import pathlib
import re
import shlex
import subprocess
import tempfile

from common import static_binary
from elf import Elf, SHF_ALLOC, SHT_NOBITS

INPUT = re.compile(r"^ (\*fill\*|\.\S+|COMMON)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)(?:\s+(\S.*))?$")
TABLES = re.compile(r"^\.(?:rela?|relr|got|plt|dyn|hash|gnu\.hash|dynamic)")
RELOCATIONS = re.compile(r"^\.(?:rela?|relr)\b")
GLOBAL = set("TDRBVWC")
SUFFIX = re.compile(r"\.(?:lto_priv|constprop|isra|part|cold|localalias)(?:\.\d+)*")
EMBEDDED = re.compile(r"\.\._(?:src_[a-z]+_)?(\w+)_data\.c\.o$")
OURS, DATA, LIBRARY, REST = "ours", "data", "library", "rest"
ORDER = (OURS, DATA, LIBRARY, REST)
FAMILIES = {"mbedtls": "mbedTLS", "mbedx509": "mbedTLS", "mbedcrypto": "mbedTLS", "c": "musl",
            "curl": "libcurl", "yaml": "libyaml", "cjson": "cJSON", "sqlite3": "SQLite",
            "seccomp": "libseccomp",
            "gcc": "libgcc and start files"}
PADDING, RELOCATED = (REST, "padding and headers"), (REST, "relocations")
LINKER, UNKNOWN = (REST, "linker's tables"), (REST, "not attributed")


def link_command(build):
    done = subprocess.run(["ninja", "-C", str(build), "--quiet", "-t", "commands", "hermes"],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks: ninja cannot tell how {build}/hermes was linked: "
                         f"{done.stderr.strip()}")
    return shlex.split(done.stdout.strip().splitlines()[-1])


def relink(command, build, directory):
    """The unstripped file and the map of the same link, cut by source file."""
    output, link_map = f"{directory}/hermes", f"{directory}/map"
    at = command.index("-o")
    again = [*command[:at + 1], output, *command[at + 2:],
             "-flto-partition=1to1", f"-Wl,-Map={link_map}"]
    done = subprocess.run(again, cwd=build, capture_output=True, text=True,
                          env={**os.environ, "TMPDIR": directory})
    if done.returncode:
        raise SystemExit(f"benchmarks: {build} cannot be linked again; build it anew with "
                         f"make static.\n{done.stderr[-2000:]}")
    return output, link_map


# -- who defined a name ---------------------------------------------------------------------------

def owner_of(path, member):
    """(group, name) of an object file or an archive's member."""
    embedded = EMBEDDED.search(member)
    if embedded:
        return DATA, embedded.group(1)
    parts = pathlib.PurePath(path).parts
    if parts[0] == "hermes.p":
        return OURS, "daemon"
    if parts[0] == "src":
        return OURS, parts[1]
    if parts[0] == "linker stubs":
        return LINKER
    name = re.sub(r"^lib|\.a$", "", parts[-1])
    return LIBRARY, FAMILIES.get(name, FAMILIES["gcc"] if name.endswith(".o") else name)


def definitions(command, build):
    """{symbol: owner} of the global names in everything that is optimised together."""
    nm = re.sub(r"gcc$", "gcc-nm", command[0])
    inputs = [word for word in command if word.endswith((".a", ".o"))]
    done = subprocess.run([nm, "-A", "--defined-only", *inputs], cwd=build, capture_output=True,
                          text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks: {nm} failed: {done.stderr.strip()}")
    found = {}
    for line in done.stdout.splitlines():
        if len(line.split()) != 3:
            continue  # an empty member
        where, kind, name = line.split()
        path, _, rest = where.partition(":")
        member = rest.partition(":")[0] if path.endswith(".a") else path
        if kind in GLOBAL:
            found[name] = owner_of(path, member)
    return found


# -- what lies where ------------------------------------------------------------------------------

def inputs_of(link_map):
    """(section, address, size, file) of every piece that the linker placed."""
    text = pathlib.Path(link_map).read_text()
    text = text[text.index("\nLinker script and memory map"):]
    text = re.sub(r"\n( \S+)\n\s{8,}(?=0x)", r"\n\1 ", text)  # long names break the line
    for line in text.splitlines():
        found = INPUT.match(line)
        if found:
            section, address, size, file = found.groups()
            yield section, int(address, 16), int(size, 16), file


class Symbols:
    """The owners of the symbols in a range of addresses."""

    def __init__(self, file, known):
        owned = sorted(((symbol.address, known.get(SUFFIX.sub("", symbol.name)))
                        for symbol in file.symbols()
                        if symbol.section and symbol.name and symbol.type in (1, 2)),
                       key=lambda pair: pair[0])
        self.addresses = [address for address, _ in owned]
        self.owners = [owner for _, owner in owned]

    def among(self, address, size):
        first = bisect.bisect_left(self.addresses, address)
        last = bisect.bisect_left(self.addresses, address + size)
        return [owner for owner in self.owners[first:last] if owner]


def by_object(pieces, symbols):
    """{temporary object: owner}, decided by the majority of the names in it."""
    votes = collections.defaultdict(collections.Counter)
    for _, address, size, file in pieces:
        if file and ".ltrans" in file:
            votes[file].update(symbols.among(address, size))
    return {file: count.most_common(1)[0][0] for file, count in votes.items() if count}


def owner_of_piece(section, file, objects):
    if section == "*fill*":
        return PADDING
    if TABLES.match(section):
        return RELOCATED if RELOCATIONS.match(section) else LINKER
    if not file:
        return LINKER
    if ".ltrans" in file:
        return objects.get(file, UNKNOWN)
    archive, _, member = file.partition("(")
    path = pathlib.PurePath(archive)
    return owner_of(path.name if path.is_absolute() else archive, member.rstrip(")"))


def clipped(pieces):
    """Equal strings are merged, and the map keeps the size of those that vanished in others: a
    piece ends where the next begins, and a string that several use counts for the first."""
    pieces = sorted(pieces, key=lambda piece: piece[1])
    ends = [piece[1] for piece in pieces[1:]] + [float("inf")]
    for (section, address, size, file), end in zip(pieces, ends):
        yield section, address, min(size, end - address), file


def in_file(file):
    """Is this address in the file, and not zeroed memory that costs nothing there."""
    ranges = [(s.address, s.address + s.size) for s in file.sections
              if s.flags & SHF_ALLOC and s.type != SHT_NOBITS and s.size]
    return lambda address: any(start <= address < end for start, end in ranges)


def stripped_size(command, output):
    strip = re.sub(r"gcc$", "strip", command[0])
    strip = "strip" if strip == command[0] else strip
    subprocess.run([strip, "-s", "-R", ".comment", output], check=True)
    return os.path.getsize(output)


def attribute(arch):
    """({(group, name): bytes}, size of the file they sum up to, size of the shipped file)."""
    shipped = static_binary(arch)
    build = shipped.parent
    command = link_command(build)
    known = definitions(command, build)
    with tempfile.TemporaryDirectory(prefix="hermes-size-") as directory:
        output, link_map = relink(command, build, directory)
        file = Elf(output)
        pieces, present = list(inputs_of(link_map)), in_file(file)
        placed = list(clipped(piece for piece in pieces if piece[2] and present(piece[1])))
        objects = by_object(placed, Symbols(file, known))
        sizes = collections.Counter()
        for section, _, size, name in placed:
            sizes[owner_of_piece(section, name, objects)] += size
        total = stripped_size(command, output)
    sizes[PADDING] += total - sum(sizes.values())
    return sizes, total, shipped.stat().st_size
