"""What the checks share. A check is a function of a tree that yields (where, what is wrong); its
name is how a test asks for it."""

import re
from decimal import Decimal

CHECKS = {}

SUFFIXES = {'': 1, 'm': Decimal('0.001'), 'k': 1000, 'M': 10 ** 6, 'G': 10 ** 9, 'T': 10 ** 12,
            'Ki': 2 ** 10, 'Mi': 2 ** 20, 'Gi': 2 ** 30, 'Ti': 2 ** 40}


def check(function):
    CHECKS[function.__name__] = function
    return function


def run(name, tree):
    return [f'{where}: {what}' for where, what in CHECKS[name](tree)]


def quantity(text):
    """The number that a quantity stands for; ValueError when it is none."""
    match = re.fullmatch(r'(\d+(?:\.\d+)?)([a-zA-Z]*)', str(text))
    if not match or match[2] not in SUFFIXES:
        raise ValueError(f'{text} is not a quantity')
    return Decimal(match[1]) * SUFFIXES[match[2]]


def selects(selector, labels):
    """Does matchLabels (the only form that we use) pick a pod with these labels?"""
    return all(labels.get(key) == value for key, value in selector.items())


def labels_of(template):
    return template.get('metadata', {}).get('labels', {})


def expect(where, what, got, want):
    if got != want:
        yield where, f'{what} is {got!r}, not {want!r}'
