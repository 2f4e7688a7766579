"""A private certificate authority and leaves for the fakes, made by the machine's own openssl.

Nothing here is kept in the repository: a key in a repository is one day taken for a real one, and
a certificate in a repository expires on a day when nobody remembers how it was made.
"""

import atexit
import functools
import pathlib
import shutil
import subprocess
import tempfile

NAMES = "IP:127.0.0.1,DNS:localhost,DNS:fake.test"
SERVER = "serverAuth"
# Kind: (subjectAltName or none, common name, what the key is for).
KINDS = {
    "good": (NAMES, "fake upstream", SERVER),
    "expired": (NAMES, "fake upstream", SERVER),
    "wrong-host": ("DNS:elsewhere.test", "fake upstream", SERVER),
    "self-signed": (NAMES, "fake upstream", SERVER),
    "address-as-name": ("DNS:127.0.0.1", "fake upstream", SERVER),
    "wildcard-as-address": ("DNS:*.0.0.1", "fake upstream", SERVER),
    "common-address": (None, "127.0.0.1", SERVER),
    "common-name": (None, "localhost", SERVER),
    "for-clients": (NAMES, "fake upstream", "clientAuth"),
    "many-addresses": (",".join(f"IP:127.0.0.{last}" for last in range(2, 32)), "many", SERVER),
    "name-alone": ("DNS:localhost", "fake proxy", SERVER),
    "address-alone": ("IP:127.0.0.1", "fake proxy", SERVER),
    "rsa": (NAMES, "fake upstream", SERVER),
}
EC = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


def _openssl(directory, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"openssl {' '.join(arguments)} failed (is the openssl package there?): {done.stderr}")


@functools.lru_cache(maxsize=None)
def directory():
    """The directory of this process's authority; removed when the process ends."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="fake-ca-"))
    path.chmod(0o755)  # the program under test reads ca.pem as another user
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    _openssl(path, "req", "-x509", "-newkey", *EC, "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
             "-days", "30", "-subj", "/CN=fake test authority",
             "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    (path / "ca.pem").chmod(0o644)
    return path


@functools.lru_cache(maxsize=None)
def leaf(kind="good"):
    """(certificate chain file, key file) of a server certificate of this kind."""
    if kind not in KINDS:
        raise ValueError(f"no such certificate kind: {kind}; there are {', '.join(KINDS)}")
    path = directory()
    names, common_name, usage = KINDS[kind]
    days = "-1" if kind == "expired" else "30"
    (path / f"{kind}.ext").write_text(
        (f"subjectAltName={names}\n" if names else "")
        + f"basicConstraints=CA:FALSE\nextendedKeyUsage={usage}\n"
        "keyUsage=critical,digitalSignature\n")
    _openssl(path, "req", "-new", "-newkey", *(["rsa:2048"] if kind == "rsa" else EC), "-nodes",
             "-keyout", f"{kind}.key", "-out", f"{kind}.csr", "-subj", f"/CN={common_name}")
    signer = (["-signkey", f"{kind}.key"] if kind == "self-signed"
              else ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"])
    _openssl(path, "x509", "-req", "-in", f"{kind}.csr", *signer, "-days", days,
             "-extfile", f"{kind}.ext", "-out", f"{kind}.pem")
    return str(path / f"{kind}.pem"), str(path / f"{kind}.key")


def ca_file():
    return str(directory() / "ca.pem")
