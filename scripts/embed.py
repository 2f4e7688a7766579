#!/usr/bin/env python3
"""Turns a file into a C array: embed.py INPUT OUTPUT.c NAME gives NAME[] and NAME_len."""
import sys

PER_LINE = 20  # bytes


def main():
    source, target, name = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    rows = [", ".join(f"{byte}" for byte in data[at:at + PER_LINE])
            for at in range(0, len(data), PER_LINE)]
    with open(target, "w") as out:
        out.write("#include <stddef.h>\n\n")
        out.write(f"extern const char {name}[];\nextern const size_t {name}_len;\n\n")
        out.write(f"const char {name}[] = {{\n    " + ",\n    ".join(rows) + ",\n    0};\n")
        out.write(f"const size_t {name}_len = {len(data)};\n")


main()
