"""What a start costs, as counts that a busy machine does not change."""

import re
import subprocess

# strace prints one line per call; "+++ exited" and signals are no calls.
CALL = re.compile(r"^(?:\[?(?:pid\s+)?\d+\]?\s+)?[a-z_0-9]+\(")


def test_version_is_printed(built):
    done = subprocess.run([*built.command, "--version"], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin"}, timeout=30)
    assert done.returncode == 0 and not done.stderr
    assert re.fullmatch(rf"hermes \d+\.\d+\.\d+ \({built.arch}-linux-musl\)\n", done.stdout)


def test_version_asks_the_kernel_little(built, bars):
    bar = bars["version_syscalls"]
    traced = (["strace", "-f", str(built.path)] if not built.runner
              else [*built.runner, "-strace", str(built.path)])
    done = subprocess.run([*traced, "--version"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin"},
                          timeout=30)
    assert done.returncode == 0, done.stderr
    calls = [line for line in done.stderr.splitlines() if CALL.match(line)]
    assert any("exit_group" in line for line in calls), f"not a trace: {done.stderr}"
    assert len(calls) <= bar["most"], f"{len(calls)} system calls; {bar['why']}\n{done.stderr}"
