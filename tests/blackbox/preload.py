"""Libraries that stand before the C library's, for a binary that is linked dynamically."""

import contextlib
import subprocess

from harness import directory, give


@contextlib.contextmanager
def preloaded(text, *options):
    """The path of a library made of this C text, where the test user can read it: one that cannot
    be read is passed over by the loader, and the test would look at nothing."""
    with directory("hermes-preload-") as path:
        source, library = path / "library.c", path / "library.so"
        source.write_text(text)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, *options],
                       check=True)
        give(library)
        yield library


def environment(hermes, library):
    sanitizer = hermes.environment.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0"}
