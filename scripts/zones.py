#!/usr/bin/python3
"""Embeds the rules of the world's time zones, as Debian's tzdata has them.

    zones.py OUTPUT.c [ZONEINFO_DIRECTORY]    a C file for codec/zone.c

A compiled zone (RFC 8536) ends with the rule that holds from its last change on, a text of POSIX
like "CET-1CEST,M3.5.0,M10.5.0/3"; that is what is taken of it. Where a change since 2020 does not
follow from that rule (a country that left or took up daylight saving, or Morocco, which follows
the moon), what held before is written as a list beside it. codec/zone.h has the structures.

Zones with one rule and list share them. Debian 13 keeps old names (US/Eastern) in a package of
their own, tzdata-legacy; what is not there as a file is taken from the links in tzdata.zi.
"""

import bisect
import datetime
import os
import re
import struct
import sys

ZONEINFO = '/usr/share/zoneinfo'
NOT_ZONES = {'posix', 'right', 'Factory', 'localtime', 'posixrules'}
NEEDED = ['UTC', 'GMT', 'US/Eastern', 'Europe/Vienna']
BEGIN = int(datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc).timestamp())
QUARTER = 900
EPOCH = datetime.date(1970, 1, 1)

NAME = r'(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)'
TIME = r'[+-]?\d+(?::\d+){0,2}'
# A day is the w-th weekday d of month m. POSIX has two more forms, which no zone uses.
DAY = r'M(\d+)\.(\d)\.(\d)'
RULE = re.compile(rf'{NAME}({TIME})(?:{NAME}({TIME})?,{DAY}(?:/({TIME}))?,{DAY}(?:/({TIME}))?)?')


class Bad(Exception):
    pass


def read_time(text):
    sign = -1 if text.startswith('-') else 1
    parts = [int(part) for part in text.lstrip('+-').split(':')] + [0, 0]
    return sign * (parts[0] * 3600 + parts[1] * 60 + parts[2])


def change_day(day, year):
    """Days since 1970 of a change's date."""
    month, week, weekday = day
    first = datetime.date(year, month, 1)
    date = first + datetime.timedelta((weekday - first.isoweekday()) % 7 + 7 * (week - 1))
    while date.month != month:
        date -= datetime.timedelta(7)
    return (date - EPOCH).days


class Rule:
    """The changes of a rule, from 2019 to 2100; before the first one it is not asked."""

    def __init__(self, text):
        match = RULE.fullmatch(text)
        if not match:
            raise Bad(f'"{text}" is no rule')
        self.offset = self.daylight = -read_time(match[1])
        self.begins = self.ends = None
        self.changes = []
        if match[3]:
            self.read_changes(match)

    def read_changes(self, match):
        self.daylight = -read_time(match[2]) if match[2] else self.offset + 3600
        begins, ends = ([int(part) for part in match.group(at, at + 1, at + 2)] for at in (3, 7))
        # Of the clock before the change; what counts is the second of the day in UTC.
        begins_s = read_time(match[6] or '2') - self.offset
        ends_s = read_time(match[10] or '2') - self.daylight
        self.begins, self.ends = (*begins, begins_s), (*ends, ends_s)
        for year in range(2018, 2101):
            self.changes.append((change_day(begins, year) * 86400 + begins_s, 1, self.daylight))
            self.changes.append((change_day(ends, year) * 86400 + ends_s, 0, self.offset))
        self.changes.sort()

    def at(self, instant):
        index = bisect.bisect_right(self.changes, (instant, 2, 0))
        return self.changes[index - 1][2] if self.changes else self.offset

    def since(self, begin, end):
        """Its changes in (begin, end]."""
        return [change[0] for change in self.changes if begin < change[0] <= end]


def read_zone(data):
    """Offsets of a compiled zone since 2020, as [(from, offset)], and its rule."""
    if data[:4] != b'TZif' or data[4:5] < b'2':
        raise Bad('it is no zone of version 2 or later')
    counts = struct.unpack('>6l', data[20:44])
    ut, std, leaps, times, types, chars = counts
    at = 44 + times * 5 + types * 6 + chars + leaps * 8 + std + ut
    ut, std, leaps, times, types, chars = struct.unpack('>6l', data[at + 20:at + 44])
    at += 44
    instants = struct.unpack(f'>{times}q', data[at:at + times * 8])
    indices = data[at + times * 8:at + times * 9]
    at += times * 9
    offsets = [struct.unpack('>l', data[at + i * 6:at + i * 6 + 4])[0] for i in range(types)]
    rule = data[at + types * 6 + chars + leaps * 12 + std + ut:].strip(b'\n').decode('ascii')
    changes = [(instant, offsets[index]) for instant, index in zip(instants, indices)]
    before = [offset for instant, offset in changes if instant <= BEGIN]
    after = [change for change in changes if change[0] > BEGIN]
    # A file may end before 2020; its rule holds since then.
    if changes and before and changes[-1][0] <= BEGIN and rule:
        return [], rule
    return [(BEGIN, before[-1] if before else offsets[0]), *after] if changes else [], rule


def whole_quarters(offset):
    """As a list has it; a rule may have any second."""
    if offset % QUARTER:
        raise Bad(f'it is {offset} s from UTC, no whole quarters of an hour')
    return offset // QUARTER


def with_list(changes, rule):
    """The rule; what held before it and does not follow from it, as ((until, quarters), ...)."""
    if not rule:
        raise Bad('it has no rule')
    parsed, known, needed = Rule(rule), [], False
    spans = list(zip(changes, [begin for begin, _ in changes[1:]]))
    for (begin, offset), end in reversed(spans):
        follows = all(parsed.at(instant) == offset
                      for instant in [begin, end - 1, *parsed.since(begin, end - 1)])
        needed = needed or not follows
        if needed:
            known.append((end, whole_quarters(offset)))
    return rule, tuple(reversed(known))


def links(directory):
    """Names that tzdata.zi calls another name of a zone."""
    path = os.path.join(directory, 'tzdata.zi')
    if not os.path.exists(path):
        return
    with open(path, encoding='ascii') as file:
        for line in file:
            if line.startswith('L '):
                _, target, name = line.split()
                yield name, target


def read_all(directory):
    zones = {}
    for folder, folders, files in os.walk(directory):
        if folder == directory:
            folders[:] = [name for name in folders if name not in NOT_ZONES]
        for file in files:
            path = os.path.join(folder, file)
            name = os.path.relpath(path, directory)
            with open(path, 'rb') as opened:
                data = opened.read()
            if name in NOT_ZONES or not data.startswith(b'TZif'):
                continue
            try:
                zones[name] = with_list(*read_zone(data))
            except (Bad, IndexError, struct.error) as problem:
                raise Bad(f'{path} cannot be read: {problem}') from problem
    linked = {name: zones[target] for name, target in links(directory)
              if name not in zones and target in zones}
    zones.update(linked)
    return zones, len(linked)


def c_strings(texts):
    """A blob of strings, and where each begins."""
    places, lines, at = {}, [], 0
    for text in texts:
        places[text] = at
        at += len(text) + 1
        lines += [f'    "{text[i:i + 80]}"' for i in range(0, len(text), 80)]
        lines[-1] = lines[-1][:-1] + '\\0"'
    return places, lines, at


def change_as_c(change):
    return f'{{{", ".join(str(number) for number in change)}}}' if change else '{0}'


def zone_as_c(text, known, place):
    rule = Rule(text)
    begins, ends = change_as_c(rule.begins), change_as_c(rule.ends)
    known_at = f'known + {place}' if known else 'NULL'
    return [f'    {{{rule.offset}, {rule.daylight}, {begins}, {ends},',
            f'     {known_at}, {len(known)}}}, // {text}']


def as_c(zones):
    names = sorted(zones, key=str.lower)
    name_at, name_lines, name_bytes = c_strings(names)
    if name_bytes > 0xFFFF:
        raise Bad('the table outgrew the 16 bits of its offsets (codec/zone_table.h)')
    rules = sorted(set(zones.values()))
    known_lines, rule_lines = [], []
    for text, known in rules:
        rule_lines += zone_as_c(text, known, len(known_lines))
        known_lines += [f'    {{{until}, {quarters}}},' for until, quarters in known]
    lines = [
        "// Made by scripts/zones.py from Debian's tzdata.",
        '#include "codec/zone_table.h"',
        '',
        f'const size_t zone_table_len = {len(names)};',
        'const struct zone_entry zone_table[] = {',
        *(f'    {{{name_at[name]}, {rules.index(zones[name])}}},' for name in names),
        '};', '',
        'const char zone_table_names[] =', *name_lines, '    "";', '',
        'static const struct zone_known known[] = {', *known_lines, '};', '',
        'const struct zone zone_table_zones[] = {', *rule_lines, '};', '',
    ]
    return '\n'.join(lines), 4 * len(names) + name_bytes + 5 * len(known_lines) + 32 * len(rules)


def version(directory):
    try:
        with open(os.path.join(directory, 'tzdata.zi'), encoding='ascii') as file:
            return file.readline().removeprefix('#').strip()
    except OSError:
        return 'version unknown'


def main(arguments):
    if len(arguments) not in (1, 2) or arguments[0].startswith('-'):
        sys.exit('usage: zones.py OUTPUT.c [ZONEINFO_DIRECTORY]')
    directory = arguments[1] if arguments[1:] else ZONEINFO
    try:
        zones, linked = read_all(directory)
        lacking = [name for name in NEEDED if name not in zones]
        if lacking:
            raise Bad(f'{directory} has no {", ".join(lacking)}. Run: apt-get install tzdata')
        text, size = as_c(zones)
    except (Bad, OSError) as problem:
        sys.exit(f'zones: {problem}')
    with open(arguments[0], 'w', encoding='ascii') as file:
        file.write(text)
    listed = sum(bool(known) for _, known in set(zones.values()))
    print(f'zones: {len(zones)} names ({linked} of them links of tzdata.zi), '
          f'{len(set(zones.values()))} rules, {listed} with a list, {size} bytes '
          f'({version(directory)})')


main(sys.argv[1:])
