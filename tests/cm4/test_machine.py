"""The machine itself: nothing that hermes does in it means anything unless these hold."""
import socket
import threading
import time

import pytest
from conftest import SPARE_PORT
from machine import MachineError


class Server:
    """Answers each connection with what `serve` makes of all that the client sent."""

    def __init__(self, serve):
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client):
        with client:
            self._serve(client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def everything_from(client):
    parts = []
    while data := client.recv(65536):
        parts.append(data)
    return b"".join(parts)


# -- what it is -----------------------------------------------------------------------------------

def test_it_is_arm64_with_the_pages_of_a_pi(machine):
    result = machine.run("""
        uname -m
        grep -c ^processor /proc/cpuinfo
        awk '/^KernelPageSize/ { print $2; exit }' /proc/self/smaps""")
    assert result.out.split() == ["aarch64", "2", "4"], result


def test_jobs_are_not_root(machine):
    assert machine.run("id -u; id -g; pwd; echo $HOME").out.split() == [
        "10000", "10000", "/home/hermes", "/home/hermes"]
    assert machine.run("id -u", user="root").out == "0\n"


def test_landlock_is_missing_as_on_raspberry_pi_os(machine):
    assert "landlock" not in machine.run("cat /sys/kernel/security/lsm").out


def test_the_clock_is_right(machine):
    assert abs(int(machine.run("date +%s").out) - time.time()) < 10


def test_the_home_is_a_disk_and_the_rest_is_memory(machine):
    mounts = dict(line.split()[1:3] for line in machine.run("cat /proc/mounts").out.splitlines())
    assert mounts["/home/hermes"] == "ext4" and mounts["/"] == mounts["/tmp"] == "tmpfs"
    assert machine.run("echo x >file && sync && cat file; rm file; touch /etc/x").out == "x\n"


def test_namespaces_and_pivot_root_work_without_root(machine):
    """The sandbox's back end where Landlock is missing."""
    result = machine.run("""unshare -Urm sh -c '
        mkdir -p new && mount -t tmpfs tmpfs new && mkdir new/bin new/old &&
        mount --bind /bin new/bin && pivot_root new new/old && cd / &&
        echo moved to $(ls -d /*)'""")
    assert result.out == "moved to /bin /old\n", result


def test_a_program_under_test_lies_on_the_disk(machine):
    """Its pages are then counted as a file's, as on a card."""
    figures = (result := machine.run("""
        busybox-probe sleep 30 &
        is_up() { rss_of busybox-probe | grep -q RssFile; }
        wait_for 20 is_up
        rss_of busybox-probe
        kill $!""")).values()
    assert figures["processes"] == 1 and figures["RssShmem"] == 0 < figures["RssFile"], result


# -- jobs -----------------------------------------------------------------------------------------

def test_a_job_brings_back_its_status_and_both_outputs(machine):
    result = machine.run("echo 'Grüße, 世界'; printf 'a\\r\\nb' >&2; exit 7")
    assert (result.status, result.out, result.err) == (7, "Grüße, 世界\n", "a\r\nb")


def test_a_job_gets_its_environment_as_it_is(machine):
    odd = "it's \"odd\"; $HOME `x` \\ 世"
    assert machine.run("printf %s \"$ODD\"", env={"ODD": odd}).out == odd


def test_much_output_arrives_whole(machine):
    result = machine.run("yes 0123456789abcde | head -c 1000000")
    assert len(result.out) == 1000000 and result.status == 0


def test_a_hung_job_is_stopped_with_its_children_and_the_machine_goes_on(machine):
    result = machine.run("echo before; sleep 1234 & sleep 1234", timeout=3)
    assert result.timed_out and result.out == "before\n"
    assert "1234" not in machine.run("ps").out.replace("{ps}", "")


# -- network --------------------------------------------------------------------------------------

def test_a_name_leads_to_the_fake_over_tls(machine, upstream):
    """busybox does not check certificates; that hermes does is tested elsewhere."""
    before = upstream.connections
    machine.run("wget -q -O - https://fake.test/v1/models")
    assert upstream.connections == before + 1


def test_nothing_else_is_reachable(machine):
    for url in ("http://1.1.1.1/", "http://10.0.2.2:22/", "http://10.0.2.100:81/",
                "http://elsewhere.test/"):
        result = machine.run(f"wget -T 60 -q -O - {url}")
        assert result.status == 1 and result.seconds < 60, (url, result)


def test_each_direction_ends_by_itself(machine):
    """The answer comes after the client has ended its half."""
    with Server(lambda client: client.sendall(everything_from(client).upper())) as server:
        machine.forward(SPARE_PORT, server.port)
        assert machine.run(f"echo hello | nc fake.test {SPARE_PORT}").out == "HELLO\n"


def test_many_connections_at_once(machine):
    """All are held open until the last has come, so one after the other would never end."""
    count = 100
    gate = threading.Barrier(count)

    def serve(client):
        client.recv(1000)
        gate.wait(100)
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\nthrough\n")

    with Server(serve) as server:
        machine.forward(SPARE_PORT, server.port)
        result = machine.run(f"""for i in $(seq {count}); do
            wget -q -O - http://fake.test:{SPARE_PORT}/ & done; wait""")
    assert result.out == "through\n" * count, result.err


def test_a_dead_fake_refuses(machine):
    with Server(lambda client: None) as server:
        machine.forward(SPARE_PORT, server.port)
    result = machine.run(f"wget -T 20 -q -O - http://fake.test:{SPARE_PORT}/", timeout=60)
    assert result.status == 1 and not result.timed_out


# -- memory ---------------------------------------------------------------------------------------

def test_memory_can_be_read(machine):
    result = machine.run("""
        in_cgroup probe hermes dd if=/dev/zero of=/dev/null bs=8192000 &
        has_grown() { [ "$(rss_of dd | sed -n s/RssAnon=//p)" -gt 8000 ]; }
        wait_for 20 has_grown
        rss_of dd; memory_of probe
        echo 1 >/sys/fs/cgroup/probe/cgroup.kill""", user="root")
    figures = result.values()
    assert figures["processes"] == 1, result
    assert 8000 < figures["RssAnon"] <= figures["anon"] + 64, result
    parts = sum(figures[name] for name in ("RssAnon", "RssFile", "RssShmem"))
    assert figures["VmRSS"] == parts and figures["kernel"] > 0, result


# -- the other machine ----------------------------------------------------------------------------

def test_landlock_can_be_had(landlocked):
    assert "landlock" in landlocked.run("cat /sys/kernel/security/lsm").out.split(",")


def test_a_panic_is_told_at_once_and_with_its_reason(landlocked):
    """Comes last: it is the end of that machine."""
    with pytest.raises(MachineError, match="(?s)went off while.*sysrq.*panic"):
        landlocked.run("echo c >/proc/sysrq-trigger", user="root")
    with pytest.raises(MachineError, match="off"):
        landlocked.run("true")
