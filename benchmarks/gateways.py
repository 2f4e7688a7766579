"""The routers that benchmarks/router compares, each started with as little around it as it allows.

A gateway is a command, a port and the fields that its requests need. All of them get the same
upstream and the same work; what each has to do beside proxying (a ledger, metrics) stays as its
user would have it.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from common import HOST, ROOT, say, static_binary
from ports import free_port
from processes import descendants

READY_SECONDS = 120
STOP_SECONDS = 10
MASTER_KEY = "sk-bench-2f7a9c"
MODEL = "bench-model"
ENDS_WITH_US = ["setpriv", "--pdeathsig", "TERM"]  # also when nobody is left to end it

NGINX = """
daemon off;
{master}
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 32m;
    client_body_buffer_size 256k;
    keepalive_requests 1000000000;
    upstream up {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {scheme}://up;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""


@dataclasses.dataclass
class Upstream:
    """What is asked; `ca_file` when it speaks TLS."""

    port: int
    key: str = "sk-upstream"
    model: str = MODEL
    ca_file: str | None = None

    @property
    def scheme(self):
        return "https" if self.ca_file else "http"

    @property
    def base_url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"


class Gateway:
    """A running one; `fields` are the request's fields that it needs."""

    def __init__(self, name, port, process=None, fields=None, folder=None):
        self.name, self.port, self.process, self.folder = name, port, process, folder
        self.fields = fields or {}

    def pids(self):
        return [self.process.pid, *descendants(self.process.pid)]

    def cpu_seconds(self):
        """User and system time of all its processes and threads, those that ended included."""
        ticks = 0
        for pid in self.pids():
            rest = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(rest[11]) + int(rest[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def head(self):
        """The request's head without its Content-Length and its end."""
        fields = {"Host": f"127.0.0.1:{self.port}", "Content-Type": "application/json",
                  "Accept": "*/*", "User-Agent": "bench", **self.fields}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}".encode()


def cpus():
    """(of the gateway, of everything else); nothing is pinned where there is only one."""
    known = sorted(os.sched_getaffinity(0))
    return (known[-1], known[0]) if len(known) > 1 else (None, None)


def pinned(cpu):
    return ["taskset", "-c", str(cpu)] if cpu is not None else []


@contextlib.contextmanager
def running(name, command, port, environment=None, fields=None, cpu=None, folder=None):
    """Starts it and waits until it listens."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder or "/nonexistent",
           "LANG": "C.UTF-8", "TZ": "UTC", **(environment or {})}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*ENDS_WITH_US, *pinned(cpu), *map(str, command)], env=env,
                                   cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True)
        try:
            wait_for(name, port, process, log)
            yield Gateway(name, port, process, fields, folder)
        finally:
            stop(process)


def wait_for(name, port, process, log):
    until = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        if process.poll() is not None or time.monotonic() > until:
            log.seek(0)
            raise SystemExit(f"benchmarks: {name} does not listen (status {process.poll()}); it "
                             f"said: {log.read()[-2000:].decode(errors='replace')}")
        time.sleep(0.05)


def stop(process):
    for number in (15, 9):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


@contextlib.contextmanager
def folder_of(name):
    with tempfile.TemporaryDirectory(prefix=f"hermes-bench-{name}-") as folder:
        yield folder


# -- each of them ---------------------------------------------------------------------------------

@contextlib.contextmanager
def nginx(upstream, cpu=None, before=(), alone=False):
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin"):
        raise SystemExit("benchmarks: nginx is missing; install it with: scripts/deps bench")
    with folder_of("nginx") as folder:
        port = free_port()
        config = pathlib.Path(folder, "nginx.conf")
        who = "user root;" if os.getuid() == 0 else ""  # its temporary files lie in our folder
        config.write_text(NGINX.format(
            folder=folder, port=port, upstream=upstream.port, scheme=upstream.scheme,
            master=f"{who} master_process {'off' if alone else 'on'};"))
        command = [*before, "/usr/sbin/nginx", "-c", config, "-p", folder]
        with running("nginx", command, port, cpu=cpu, folder=folder,
                     fields={"Authorization": f"Bearer {upstream.key}"}) as gateway:
            yield gateway


def litellm_config(upstream):
    """What LiteLLM and we are configured with."""
    return {"model_list": [{"model_name": MODEL, "litellm_params": {
                "model": f"openai/{upstream.model}", "api_base": upstream.base_url,
                "api_key": upstream.key, "input_cost_per_token": 1e-6,
                "output_cost_per_token": 2e-6}}],
            "general_settings": {"master_key": MASTER_KEY}}


def trust(upstream):
    return {"SSL_CERT_FILE": upstream.ca_file, "NODE_EXTRA_CA_CERTS": upstream.ca_file} \
        if upstream.ca_file else {}


@contextlib.contextmanager
def with_config(name, command, upstream, cpu=None, environment=None):
    """Any that reads LiteLLM's config.yaml; {config}, {port} and {folder} in the command are
    filled in."""
    with folder_of(name) as folder:
        port = free_port()
        config = pathlib.Path(folder, "config.yaml")
        config.write_text(json.dumps(litellm_config(upstream)))
        filled = [str(word).format(config=config, port=port, folder=folder) for word in command]
        env = {**(environment or {}), **trust(upstream), "HERMES_HOME": f"{folder}/home",
               "HERMES_ALLOW_ROOT_GATEWAY": "1"}
        with running(name, filled, port, env, cpu=cpu, folder=folder,
                     fields={"Authorization": f"Bearer {MASTER_KEY}"}) as gateway:
            yield gateway


ROUTER = ["router", "--config", "{config}", "--host", "127.0.0.1", "--port", "{port}"]


def hermes(upstream, cpu=None, before=()):
    return with_config("hermes", [*before, static_binary(HOST), *ROUTER], upstream, cpu)


def litellm(upstream, cpu=None):
    done = subprocess.run([ROOT / "tests" / "peers" / "install"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("benchmarks: LiteLLM could not be installed; see above")
    command = [f"{done.stdout.strip()}/bin/litellm", "--config", "{config}",
               "--host", "127.0.0.1", "--port", "{port}", "--num_workers", "1"]
    return with_config("litellm", command, upstream, cpu, {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False",
        "LITELLM_LOG": "ERROR"})


@contextlib.contextmanager
def portkey(upstream, cpu=None):
    done = subprocess.run([ROOT / "tests" / "npm" / "install", ROOT / "benchmarks" / "portkey"],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("benchmarks: Portkey could not be installed; see above")
    packages = pathlib.Path(done.stdout.strip(), "node_modules")
    with folder_of("portkey") as folder:
        port = free_port()
        command = [shutil.which("node"), packages / "@portkey-ai/gateway/build/start-server.js",
                   f"--port={port}", "--headless"]
        env = {"NODE_ENV": "production", **trust(upstream)}
        with running("portkey", command, port, env, cpu=cpu, folder=folder,
                     fields={"Authorization": f"Bearer {upstream.key}",
                             "x-portkey-provider": "openai",
                             "x-portkey-custom-host": upstream.base_url}) as gateway:
            yield gateway


@contextlib.contextmanager
def direct(upstream, cpu=None):
    """The upstream itself, where a gateway would be."""
    with compiled_upstream(cpu) as gateway:
        gateway.name = "direct"
        yield gateway


# -- what is compiled -----------------------------------------------------------------------------

def compiled(name):
    """The program of benchmarks/NAME.c; compiled when it is not, or is older than its source."""
    sources = [ROOT / "benchmarks" / f"{name}.c", ROOT / "src" / "base" / "span.c"]
    program = ROOT / "build" / "benchmarks" / name
    newest = max(source.stat().st_mtime for source in sources)
    if not program.exists() or program.stat().st_mtime < newest:
        say(f"compiling {name}.c")
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", f"-I{ROOT}/src", "-o", fresh,
                        *sources], check=True)
        fresh.rename(program)
    return program


@contextlib.contextmanager
def compiled_upstream(cpu=None):
    port = free_port()
    command = [compiled("router_upstream"), port]
    with running("the upstream", command, port, cpu=cpu) as gateway:
        yield gateway
