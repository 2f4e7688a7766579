"""What the benchmarks share: where things are, and how a result is shown.

A result is a Table. What it claims is a ratio, a minimum or a count; an absolute time stands only
beside what it is compared to, measured in the same run, because a figure of another machine or of
a busier minute says nothing.
"""

import argparse
import json
import os
import pathlib
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "fakes"), str(ROOT / "tests" / "binary")]

HOST = os.uname().machine
ARCHES = ["aarch64"] if HOST == "aarch64" else [HOST, "aarch64"]
KIB = 1024


def number(value):
    return f"{value:,}"


def milliseconds(value):
    return f"{value:.3f}"


def ratio(value):
    return f"{value:.2f} x"


def percent(value):
    return f"{100 * value:.1f} %"


class Table:
    """`columns`: (key, heading, how a number is written; None for text)."""

    def __init__(self, name, title, columns, notes=()):
        self.name, self.title, self.columns = name, title, columns
        self.rows, self.notes = [], list(notes)

    def add(self, **row):
        self.rows.append(row)
        return self

    def note(self, text):
        self.notes.append(text)

    def _cells(self, row):
        for key, _, write in self.columns:
            value = row.get(key)
            yield "" if value is None else write(value) if write else str(value)

    def show(self, file=sys.stdout):
        lines = [[heading for _, heading, _ in self.columns]]
        lines += [list(self._cells(row)) for row in self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        print(self.title, file=file)
        for line in lines:
            cells = [cell.rjust(width) if write else cell.ljust(width)
                     for cell, width, (_, _, write) in zip(line, widths, self.columns)]
            print("  " + "  ".join(cells).rstrip(), file=file)
        for text in self.notes:
            print(f"  ({text})", file=file)
        print(file=file, flush=True)

    def data(self):
        return {"name": self.name, "title": self.title, "rows": self.rows, "notes": self.notes}


def static_binary(arch, name="hermes"):
    path = ROOT / "build" / f"{arch}-linux-musl" / name
    if not path.is_file():
        sys.exit(f"benchmarks: there is no {path.relative_to(ROOT)}; "
                 f"build it with: make static ARCH={arch}")
    return path


def bar(name):
    """What the tests hold us to, so that a table and a gate never disagree."""
    with open(ROOT / "tests" / "binary" / "bars.toml", "rb") as file:
        return tomllib.load(file)[name]["most"]


def say(text):
    """Progress, on stderr, so that a table or JSON can be kept."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)


def parser(what):
    options = argparse.ArgumentParser(description=what.split("\n\n", 1)[0])
    options.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return options


def publish(tables, options):
    if options.json:
        print(json.dumps([table.data() for table in tables], indent=2))
    else:
        for table in tables:
            table.show()
