"""What a router is loaded with, and one run of it: benchmarks/router and benchmarks/peers do the
same, so their figures mean the same.
"""

import contextlib
import json
import subprocess
import tempfile

import gateways

LOADS = {  # (stream, bytes of the prompt, connections)
    "json-1": (False, 1024, 1),
    "json-16": (False, 1024, 16),
    "json-64": (False, 1024, 64),
    "json-150k-16": (False, 150 * 1024, 16),
    "sse-1": (True, 1024, 1),
    "sse-16": (True, 1024, 16),
}
WARM_UP_MS = 500  # of each round


def body_of(load):
    stream, size, _ = LOADS[load]
    text = ("The quick brown fox jumps over the lazy dog. " * (size // 45 + 1))[:size]
    asked = {"model": gateways.MODEL, "messages": [{"role": "user", "content": text}]}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(asked, separators=(",", ":")).encode()


@contextlib.contextmanager
def load_program(gateway, load, milliseconds, requests=None, cpu=None):
    """The load while it runs; it has said "begin" when this begins."""
    with tempfile.NamedTemporaryFile() as head, tempfile.NamedTemporaryFile() as body:
        head.write(gateway.head())
        body.write(body_of(load))
        head.flush()
        body.flush()
        command = [*gateways.pinned(cpu), gateways.compiled("router_load"), str(gateway.port),
                   str(LOADS[load][2]), str(0 if requests else WARM_UP_MS), str(milliseconds),
                   head.name, body.name, *([str(requests)] if requests else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                process.stdout.readline()
                yield process
            finally:
                process.kill()


def run(gateway, load, milliseconds, requests=None, cpu=None):
    """What the load counted, and the gateway's CPU in microseconds per request."""
    with load_program(gateway, load, milliseconds, requests, cpu) as process:
        before = gateway.cpu_seconds()
        line = process.stdout.readline()
        spent = gateway.cpu_seconds() - before
    told = json.loads(line) if line else {"errors": 1, "why": "the load ended early"}
    if told["errors"] or not told["requests"]:
        raise SystemExit(f"benchmarks: {gateway.name}, {load}: {told['errors']} errors, the first: "
                         f"{told['why']}")
    return {"rps": told["requests"] / told["seconds"], "p50": told["p50_us"],
            "p99": told["p99_us"], "cpu": spent * 1e6 / told["requests"]}
