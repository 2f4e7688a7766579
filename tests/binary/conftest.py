"""The static binaries under test: this machine's own, and the Pi's, which user-mode qemu runs."""

import os
import pathlib
import sys
import tomllib

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox"), str(HERE.parent / "fakes")]

from elf import Elf  # noqa: E402

HOST = os.uname().machine
ARCHES = ["aarch64"] if HOST == "aarch64" else [HOST, "aarch64"]


class Built:
    """One architecture's pair of files."""

    def __init__(self, arch):
        self.arch = arch
        self.path = ROOT / "build" / f"{arch}-linux-musl" / "hermes"
        self.unstripped_path = self.path.with_name("hermes.unstripped")
        for path in (self.path, self.unstripped_path):
            if not path.is_file():
                pytest.fail(f"no {path.relative_to(ROOT)}: make static ARCH={arch}", pytrace=False)
        self.elf = Elf(self.path)
        self.unstripped = Elf(self.unstripped_path)
        self.runner = [] if arch == HOST else [f"qemu-{arch}"]

    @property
    def command(self):
        return [*self.runner, str(self.path)]

    def objdump(self):
        return "objdump" if self.arch == HOST else f"{self.arch}-linux-gnu-objdump"


@pytest.fixture(scope="session", params=ARCHES)
def built(request):
    return Built(request.param)


@pytest.fixture(scope="session")
def native():
    """Of this machine, where the kernel has what user-mode qemu does not know (openat2)."""
    return Built(HOST)


@pytest.fixture(scope="session")
def bars():
    with open(HERE / "bars.toml", "rb") as file:
        return tomllib.load(file)
