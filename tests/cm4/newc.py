"""Writes a cpio archive in the newc format, which is what the Linux kernel unpacks at boot.

Written here rather than with the cpio tool because the archive needs a device node and files
owned by root, and the tests run without root: in an archive that we write ourselves both are
only numbers. Documentation/driver-api/early-userspace/buffer-format.rst is the whole standard.
"""
import stat

_HEADER = "070701" + "{:08x}" * 13


class Archive:
    def __init__(self):
        self._parts = []
        self._inode = 0
        self._folders = set()

    def _member(self, name, mode, data=b"", rdev=(0, 0)):
        self._inode += 1
        raw = name.encode() + b"\0"
        header = _HEADER.format(self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0)
        self._parts.append(_pad4(header.encode() + raw))
        self._parts.append(_pad4(data))

    def folder(self, name, mode=0o755):
        """Makes a folder and those above it; one that exists keeps its mode."""
        name = name.strip("/")
        if not name or name in self._folders:
            return
        self.folder(name.rpartition("/")[0])
        self._folders.add(name)
        self._member(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        name = name.strip("/")
        self.folder(name.rpartition("/")[0])
        self._member(name, stat.S_IFREG | mode, data)

    def char_device(self, name, major, minor, mode=0o600):
        name = name.strip("/")
        self.folder(name.rpartition("/")[0])
        self._member(name, stat.S_IFCHR | mode, rdev=(major, minor))

    def bytes(self):
        body = b"".join(self._parts)
        end = Archive()
        end._member("TRAILER!!!", 0)
        return body + b"".join(end._parts)


def _pad4(data):
    return data + b"\0" * (-len(data) % 4)
