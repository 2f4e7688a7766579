"""The manifests of the product, judged without a cluster."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'fakes')]

import pytest  # noqa: E402

import opinions  # noqa: E402


@pytest.fixture(scope='session')
def packages():
    return opinions.install()
