"""What a program printed, beside what a document shows of it."""

import re

VARIABLE = [(r"[ \t]+", " "),
            (r"\b[0-9a-f]{8}-[0-9a-f]{3,4}(-[0-9a-f]{4}){0,2}(-[0-9a-f]{12})?\b", "ID"),
            (r"\b[0-9a-f]{32}\b", "ID"),
            (r"\b(?=\w*\d)[0-9a-f]{8,16}\b", "ID"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)?", "TIME"),
            (r"\d{4}-\d\d-\d\d", "DAY"), (r"\b[A-Z][a-z]+day\b", "WEEKDAY"),
            (r"\bpid \d+", "pid N"), (r"\bpid=\d+", "pid=N"),
            (r"\d+\.\d+ (s|MiB)\b", r"N \1"), (r"\b(ms|message)=\d+", r"\1=N"),
            (r"up \d+ s", "up N s"), (r"\d+ of \d+ MiB free", "N of N MiB free"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r'("\w+_(?:ms|bytes|s)"):\d+', r"\1:N"), (r'"pid":\d+', '"pid":N'),
            (r"(?m)^(process_\w+) \S+$", r"\1 N")]


def steady(text):
    for pattern, word in VARIABLE:
        text = re.sub(pattern, word, text)
    return text.strip()


def same(wanted, found):
    """Do the texts agree, line for line, with `...` for anything?"""
    lines = [re.escape(steady(line)) for line in wanted.strip().splitlines()]
    pattern = "\n".join(lines).replace(re.escape("..."), r"[\s\S]*?")
    shown = "\n".join(steady(line) for line in found.strip().splitlines())
    return re.fullmatch(pattern, shown)


def shown_commands(block):
    """[(command, what it is shown to print)] of a console block; `\\` and `|` join lines."""
    parts = re.split(r"(?m)^\$ ((?:.*[\\|]\n)*.*)\n", block.text)
    return list(zip(parts[1::2], parts[2::2]))
