"""What `hermes run` refuses to be, and where it has to live: no root, no rights, nothing writable
but its home, as PID 1."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import IS_ROOT, SOON
from service import Service
from telegram_owner import OWNER

pytestmark = pytest.mark.release

POD_UID = 10000
NO_RIGHTS = ["setpriv", f"--reuid={POD_UID}", f"--regid={POD_UID}", "--clear-groups",
             "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


# -- root -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("value", [None, "0", "", "yes"])
def test_root_is_refused(hermes, value):
    assert IS_ROOT, "this test needs root"
    hermes.run("run", "--port", "0", env={"HERMES_ALLOW_ROOT_GATEWAY": value}, as_root=True) \
        .failed("does not run as root", "HERMES_ALLOW_ROOT_GATEWAY=1", "docs/operations.md")
    assert not hermes.home.exists()


def test_root_is_allowed_when_told_so(hermes):
    assert IS_ROOT, "this test needs root"
    running = Service(hermes, env={"HERMES_ALLOW_ROOT_GATEWAY": "1"}).start(as_root=True)
    running.stop()


# -- a configuration that the tools could write ---------------------------------------------------

@pytest.mark.parametrize("place", ["workspace/config.yaml", "workspace/a/b/c.yaml",
                                   "memories/config.yaml"])
def test_a_config_that_the_tools_could_write(hermes, place):
    path = hermes.put(place, "display:\n  busy_input_mode: queue\n")
    hermes.run("run", "--port", "0", "--config", path).failed(
        "the agent's tools can write " + re.escape(str(path)),
        "--allow-writable-config")
    assert path.read_text() == "display:\n  busy_input_mode: queue\n"


def test_behind_a_link(hermes):
    path = hermes.put("workspace/config.yaml", "display:\n  busy_input_mode: queue\n")
    (hermes.home / "config.yaml").symlink_to(path)
    hermes.run("run", "--port", "0").failed("tools can write ")


def test_a_workspace_that_is_a_link_to_where_the_config_is(hermes):
    hermes.put("config.yaml", "display:\n  busy_input_mode: queue\n")
    hermes.workspace.symlink_to(hermes.home)
    hermes.run("run", "--port", "0").failed("tools can write ")


def test_it_can_be_allowed(hermes, service):
    path = hermes.put("workspace/config.yaml", "model:\n  default: offline\n")
    service(args=["--config", str(path), "--allow-writable-config"]).stop()


def test_beside_the_workspace_it_is_no_matter(hermes, service):
    hermes.put("config.yaml", "model:\n  default: offline\n")
    hermes.put("workspace-of-another/config.yaml", "x: y\n")
    service().stop()


def test_a_refused_start_harms_no_later_one(hermes, service):
    path = hermes.put("workspace/config.yaml", "model:\n  default: offline\n")
    hermes.run("run", "--port", "0", "--config", path).exits(1)
    service().stop()


# -- in a pod -------------------------------------------------------------------------------------

POD = """set -e
mount --make-rprivate /
mount --bind "$HOME_DIRECTORY" "$HOME_DIRECTORY"
mount -t proc proc /proc
while read -r _ _ _ _ where _; do
    case $where in
    "$HOME_DIRECTORY" | /proc | /proc/* | /dev | /dev/* | /sys | /sys/*) ;;
    *) mount -o remount,bind,ro "$where" 2>/dev/null || test "$where" != / ;;
    esac
done < /proc/self/mountinfo
exec "$@"
"""


class Pod(Service):
    """The daemon as PID 1 of a container: nothing writable but its home, uid 10000, no rights."""

    def __init__(self, hermes, **more):
        assert IS_ROOT, "this test needs root"
        script = hermes.directory / "pod.sh"
        script.write_text(POD)
        hermes.mkdir(".")
        for path in [hermes.home, *hermes.home.rglob("*")]:
            os.chown(path, POD_UID, POD_UID)
        hermes.environment["HOME_DIRECTORY"] = str(hermes.home)
        super().__init__(hermes, wrapper=["unshare", "--mount", "--pid", "--fork", "--kill-child",
                                          "sh", str(script), *NO_RIGHTS], **more)

    def start(self, **more):
        return super().start(as_root=True, **more)

    @property
    def pid(self):
        """The daemon's own, as it is seen from outside."""
        parent = self.process.pid
        return int(pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.pid}/{name}").read_text()

    def children(self):
        """The pids of the daemon's children, those included that wait to be reaped."""
        return set(self.proc(f"task/{self.pid}/children").split())

    def inside(self, command):
        return subprocess.run(["nsenter", f"--target={self.pid}", "--pid", "--mount", "sh", "-c",
                               command], capture_output=True, text=True, timeout=20)

    def chat(self, text):
        return self.hermes.chat(text, wrapper=NO_RIGHTS, as_root=True)

    def stop(self, limit=20):
        os.kill(self.pid, signal.SIGTERM)
        return self.process.finish(limit).exits(0)


@pytest.fixture
def pod(hermes):
    started = []

    def start(**more):
        started.append(Pod(hermes, **more))
        return started[-1].start()
    yield start
    for running in started:
        running.kill()


def test_it_needs_no_more_than_its_home(hermes, api, up, pod):
    hermes.use_telegram(api)
    hermes.use(up, "chain")
    running = pod()
    status = running.proc("status")
    assert re.search(rf"^Uid:\s+{POD_UID}\s+{POD_UID}", status, re.M)
    assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.M), "it is not PID 1"
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert re.search(rf"^{name}:\s+0+$", status, re.M), status
    assert running.inside(f"touch /x {hermes.directory}/x").returncode != 0, "it is not read-only"
    api.user_says(OWNER, 'tools\ncall write_file {"path": "a.txt", "content": "from a pod"}\n'
                  'call memory {"target": "memory", "action": "add", "content": "in a pod"}')
    api.wait_text(OWNER, "done with tools")
    assert (hermes.workspace / "a.txt").read_text() == "from a pod"
    assert "in a pod" in (hermes.home / "memories/MEMORY.md").read_text()
    assert running.chat("hi").ok().text == "done with hi\n"
    hermes.run("status", wrapper=NO_RIGHTS, as_root=True).ok()
    begin = time.monotonic()
    running.stop()
    assert time.monotonic() - begin < SOON
    assert running.said("daemon.stop")


def test_as_pid_1_it_reaps(hermes, up, pod):
    """Orphans of the pod fall to it; they are no concern of the processes that it waits for."""
    hermes.use(up, "chain")
    running = pod()
    seen = set()
    for _ in range(5):
        assert running.inside("(sleep 0.2 & sleep 0.4 & (sleep 0.1 &) &) > /dev/null 2>&1") \
            .returncode == 0
        seen |= running.children()
        asked = "x\n" + "\n".join('call write_file {"path": "f%d", "content": "x"}' % n
                                  for n in range(3))
        assert running.chat(asked).ok().text == "done with x\n"
    assert len(seen) >= 10, "they did not fall to it"
    until = time.monotonic() + 5
    while children := running.children():
        assert time.monotonic() < until, children
        time.sleep(0.05)
    assert all(e["failed"] == 0 for e in running.events("turn.tool"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_pid_1_it_ends_when_told_to(hermes, pod, number):
    running = pod()
    os.kill(running.pid, number)
    running.process.finish(SOON).exits(0)


def test_as_pid_1_it_reloads(hermes, up, pod):
    hermes.use(up).put("config.yaml", "model:\n  default: echo\n")
    running = pod()
    (hermes.home / "config.yaml").write_text("model:\n  default: fixed\n")
    os.kill(running.pid, signal.SIGHUP)
    assert running.said("config.reload", 5)
    assert running.chat("hi").ok().text == "ok\n"


def test_as_pid_1_killed_with_all_its_children(hermes, api, up, pod):
    """The container is killed in mid-answer, as for want of memory; the next one goes on."""
    hermes.use_telegram(api)
    hermes.use(up, "gate")
    running = pod()
    api.user_says(OWNER, "long work")
    before = api.wait_text(OWNER, "begun")
    api.wait_quiet(0.3)  # so that Telegram's answer is known, and written down
    os.kill(running.pid, signal.SIGKILL)
    running.process.finish(SOON)
    up.release.set()
    running.start()
    assert api.wait_text(OWNER, "begun and finished").id == before.id
    api.wait_quiet(0.5)
    assert len(api.texts(OWNER)) == 1


def test_a_home_that_cannot_be_written_is_a_sentence(hermes, pod):
    """The volume was forgotten: the home is as read-only as all else."""
    assert IS_ROOT, "this test needs root"
    running = Pod(hermes)
    hermes.environment["HERMES_HOME"] = str(hermes.directory / "not-mounted")
    with hermes.start("run", "--port", "0", wrapper=running.wrapper, as_root=True) as process:
        process.finish(SOON).failed("not-mounted", "read-only|cannot make", "--home|HERMES_HOME")


def test_it_does_not_dump_and_is_told_by_status(hermes, service):
    """Nothing of the secrets gets into the environment of the processes that it starts."""
    running = service(env={"HERMES_ADMIN_KEY": "a-key-that-is-a-secret"})
    told = json.loads(hermes.run("status", "--json").ok().out)
    assert "a-key-that-is-a-secret" not in json.dumps(told)
    assert running.get("/healthz")[0] == 200
