"""Everything that docs/troubleshooting.md quotes, brought about: name -> (reader) -> the output.

Homes become /home/you/.hermes and configurations /etc/hermes/config.yaml in the text, because that
is how the document shows them.
"""

import contextlib
import http.server
import os
import signal
import socket
import ssl
import subprocess
import threading

from harness import IS_ROOT, TEST_UID, give
from openai_upstream import Upstream
from ports import free_port
from proxies import Proxy, SocksProxy

CASES = {}
YEAR = 365 * 24 * 3600  # seconds


def case(function):
    CASES[function.__name__] = function
    return function


def told(reader, *results):
    text = "".join(result.text + result.notes for result in results)
    text = text.replace(str(reader.home), "/home/you/.hermes")
    return text.replace(str(reader.directory / "config.yaml"), "/etc/hermes/config.yaml")


def config(reader, text):
    return reader.put("config.yaml", text, base=reader.directory)


# -- keys and models ------------------------------------------------------------------------------

@case
def no_key(reader):
    return told(reader, reader.chat("hi", env={"HERMES_MODEL": "openai/gpt-4o-mini"}))


@case
def no_key_at_all(reader):
    return told(reader, reader.chat("hi"))


@case
def no_openrouter_key(reader):
    path = config(reader, "model:\n  provider: openrouter\n  default: openai/gpt-4o-mini\n")
    return told(reader, reader.chat("hi", "--config", path))


@case
def no_model(reader):
    return told(reader, reader.chat("hi", env={"OPENROUTER_API_KEY": "sk-or-v1-0123456789abcdef"}))


@case
def wrong_key(reader):
    with Upstream() as up:
        reader.use(up, "echo").environment["OPENAI_API_KEY"] = "sk-wrong-0123456789abcdef"
        return told(reader, reader.chat("hi"), reader.run("doctor"))


def answered_with(reader, model, **limits):
    with Upstream() as up:
        return told(reader, reader.use(up, model, **limits).chat("hi"))


@case
def no_credit(reader):
    return answered_with(reader, "402")


@case
def no_budget(reader):
    path = config(reader, """model: {default: cheap}
model_list:
  - model_name: cheap
    litellm_params: {model: openai/x, api_base: "http://127.0.0.1:9/v1", api_key: k,
                     input_cost_per_token: 0.001, output_cost_per_token: 0.001}
router: {budgets: [{name: a day, max: 0.25, period: day}]}
""")
    return told(reader, reader.chat("hi", "--config", path))


@case
def no_such_slot(reader):
    path = config(reader, """model_list:
  - {model_name: free, litellm_params: {model: offline}}
router: {slots: {main: fre}}
""")
    return told(reader, reader.run("config", "check", "--config", path))


@case
def no_such_model(reader):
    with Upstream() as up:
        text = told(reader, reader.use(up, "404").chat("hi"))
        up.rejected.clear()
        return text


@case
def slow_down(reader):
    return answered_with(reader, "429:3")


@case
def web_page(reader):
    return answered_with(reader, "500-html")


# -- the way to the server ------------------------------------------------------------------------

def towards(reader, url, **env):
    return reader.chat("hi", env={"OPENAI_BASE_URL": url, "HERMES_MODEL": "echo", **env})


@case
def refused(reader):
    port = free_port()
    return told(reader, towards(reader, f"http://127.0.0.1:{port}/v1"))


@case
def not_resolved(reader):
    return told(reader, towards(reader, "http://model.invalid/v1"))


@case
def no_scheme(reader):
    return told(reader, towards(reader, "127.0.0.1:11434/v1"))


# -- proxies --------------------------------------------------------------------------------------

def through(reader, value, **env):
    """Asks a server behind a proxy, which need not be there: the proxy is what fails."""
    return towards(reader, "https://127.0.0.1:9/v1", https_proxy=value, **env)


def refused_by(reader, proxy, scheme, said=""):
    with proxy:
        return told(reader, through(reader, f"{scheme}://{said}127.0.0.1:{proxy.port}"))


@case
def no_proxy_at_all(reader):
    return told(reader, through(reader, "ftp://127.0.0.1:21"))


@case
def proxy_is_not_there(reader):
    return told(reader, through(reader, f"http://127.0.0.1:{free_port()}"))


@case
def proxy_wants_a_password(reader):
    return refused_by(reader, Proxy(user="me:secret"), "http")


@case
def socks_proxy_wants_a_password(reader):
    return refused_by(reader, SocksProxy(user="me:secret"), "socks5h")


@case
def socks_proxy_wants_another_password(reader):
    return refused_by(reader, SocksProxy(user="me:secret"), "socks5h", said="me:wrong@")


@case
def proxy_forbids_the_server(reader):
    return refused_by(reader, SocksProxy(fault=2), "socks5h")


@case
def proxy_does_not_reach_the_server(reader):
    return refused_by(reader, SocksProxy(fault=5), "socks5h")


@case
def proxy_is_for_http(reader):
    return refused_by(reader, SocksProxy(fault="version"), "socks5h")


@case
def proxy_is_not_for_http(reader):
    return refused_by(reader, Proxy(answer=b"SSH-2.0-OpenSSH_9.2\r\n"), "http")


@case
def proxy_is_not_trusted(reader):
    return refused_by(reader, Proxy(tls="self-signed"), "https")


@case
def no_connection_in_time(reader):
    """A full backlog: the kernel drops what would connect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address, waiting = server.getsockname(), []
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            waiting.append(sock)
        result = towards(reader, f"http://127.0.0.1:{address[1]}/v1", HERMES_CONNECT_TIMEOUT=1)
        for sock in waiting:
            sock.close()
    return told(reader, result)


@case
def no_first_byte(reader):
    return answered_with(reader, "hang", stale=1)


@case
def stopped_coming(reader):
    return answered_with(reader, "hang-mid", stale=1, read=1)


@case
def longer_than_the_whole(reader):
    return answered_with(reader, "drip", api=2)


@case
def cut_off(reader):
    return answered_with(reader, "cut-stream")


def over_tls(reader, kind, **env):
    with Upstream(tls=kind) as up:
        return told(reader, reader.use(up, "echo").chat("hi", env=env))


@case
def certificate_expired(reader):
    return over_tls(reader, "expired")


@case
def certificate_of_another(reader):
    return over_tls(reader, "wrong-host")


@case
def authority_unknown(reader):
    return over_tls(reader, True, SSL_CERT_FILE=None)


@case
def refused_by_the_server(reader):
    def old_ciphers(context):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")

    with Upstream(tls=True, tune=old_ciphers) as up:
        return told(reader, reader.use(up, "echo").chat("hi"))


# -- the home -------------------------------------------------------------------------------------

@case
def in_use(reader):
    with Upstream() as up:
        with reader.use(up, "hold").start("chat", "-q", "first") as first:
            assert up.wait_for(lambda: up.requests)
            text = told(reader, reader.chat("second"))
            assert f"pid {first.pid})" in text
            up.release.set()
            first.finish()
    return text


@contextlib.contextmanager
def mounted(reader, *args):
    assert IS_ROOT, "mounting needs root"
    reader.mkdir(".")
    subprocess.run(["mount", *args, reader.home], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", reader.home], check=True)


def small_disk(reader, size):
    return mounted(reader, "-t", "tmpfs", "-o",
                   f"size={size},uid={TEST_UID},gid={TEST_UID},mode=700", "tmpfs")


def fill(reader):
    handle = os.open(reader.home / "ballast", os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (1 << 16, 1 << 12, 1):
        with contextlib.suppress(OSError):
            while os.write(handle, b"b" * size):
                pass
    os.close(handle)
    give(reader.home / "ballast")


@case
def disk_full_from_the_start(reader):
    with small_disk(reader, "64k"):
        fill(reader)
        return told(reader, reader.chat("hi"), reader.run("doctor"))


@case
def disk_full_later(reader):
    with small_disk(reader, "4m"):
        reader.chat("hi").ok()
        fill(reader)
        return told(reader, reader.chat("remember the boiler code is 4711"))


@case
def read_only(reader):
    with mounted(reader, "--bind", str(reader.home)):
        subprocess.run(["mount", "-o", "remount,ro,bind", reader.home], check=True)
        return told(reader, reader.chat("hi"))


@case
def not_ours_to_write(reader):
    reader.chat("remember the boiler code is 4711").ok()
    reader.home.chmod(0o500)
    text = told(reader, reader.chat("hi"), reader.run("doctor"))
    reader.home.chmod(0o700)
    return text


@case
def not_ours_at_all(reader):
    path = config(reader, "model:\n  default: offline\n")
    reader.chat("hi", "--config", path).ok()
    reader.home.chmod(0)
    text = told(reader, reader.chat("hi", "--config", path))
    reader.home.chmod(0o700)
    return text


@case
def damaged(reader):
    reader.chat("remember the boiler code is 4711").ok()
    database = reader.home / "state.db"
    for path in reader.home.glob("state.db-*"):
        path.unlink()
    database.write_bytes(os.urandom(20000))
    text = told(reader, reader.chat("hi"))
    assert len(list(reader.home.glob("state.db.damaged-*"))) == 1
    return text


@case
def unclean_stop(reader):
    with Upstream() as up:
        with reader.use(up, "hold").start("chat", "-q", "first") as process:
            assert up.wait_for(lambda: up.requests)
            os.kill(process.pid, signal.SIGKILL)
            process.popen.wait()
        return told(reader, reader.chat("hi", "--model", "echo").ok())


@case
def foreign_database(reader):
    reader.mkdir(".")
    database = reader.home / "state.db"
    reader.sql("db.execute('CREATE TABLE sessions (id TEXT)')", database)
    before = database.read_bytes()
    text = told(reader, reader.chat("hi").ok())
    assert database.read_bytes() == before and (reader.home / "hermes.db").exists()
    return text


@case
def newer_database(reader):
    reader.chat("hi").ok()
    reader.sql("db.execute('PRAGMA user_version = 99')", reader.home / "state.db")
    return told(reader, reader.chat("hi"))


# -- the clock ------------------------------------------------------------------------------------

class LateServer(http.server.BaseHTTPRequestHandler):
    """Its clock is a year behind ours, so ours is a year ahead of it."""

    def date_time_string(self, timestamp=None):
        import time
        return super().date_time_string((timestamp or time.time()) - YEAR)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@case
def clock_differs(reader):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LateServer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    result = reader.run("doctor", env={"OPENAI_BASE_URL": url, "HERMES_MODEL": "echo"})
    server.shutdown()
    server.server_close()
    thread.join()
    return told(reader, result)


PAST = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *now)
{
    int r = (int)syscall(SYS_clock_gettime, id, now);
    if (id == CLOCK_REALTIME)
        now->tv_sec = 60 * 86400;
    return r;
}
"""


@case
def clock_never_set(reader):
    """A library in front of the C library's; so this wants a binary that is linked dynamically."""
    library = reader.directory / "past.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-xc", "-", "-o", library], input=PAST.encode(),
                   check=True)
    library.chmod(0o755)
    options = reader.environment["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
    return told(reader, reader.run("doctor", env={"LD_PRELOAD": library, "ASAN_OPTIONS": options}))


# -- the configuration ----------------------------------------------------------------------------

@case
def bad_value(reader):
    path = config(reader, "model:\n  default: offline\n  max_tokens: lots\n")
    return told(reader, reader.chat("hi", "--config", path))


@case
def unknown_key(reader):
    path = config(reader, "model:\n  defualt: offline\n")
    return told(reader, reader.chat("hi", "--config", path))


@case
def variable_not_set(reader):
    path = config(reader, "model:\n  default: offline\n  api_key: ${MY_API_KEY}\n")
    return told(reader, reader.chat("hi", "--config", path))


@case
def port_taken(reader):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return told(reader, reader.run("run", "--port", str(taken.getsockname()[1])))
