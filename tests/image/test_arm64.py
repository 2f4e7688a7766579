"""The image for the Pi: Debian 13 for arm64, under qemu, makes the libraries and the program.

That takes a dozen minutes, although this machine lends the programs that are started most
(tests/image/bases/lend.py), and what could break it changes rarely: cross/, kaniko/, a meson.build
of src/, the scripts that the Dockerfile calls, the base. It is a suite of its own, so that it runs
when one of those has changed since it passed (tests/runner/suites.py); what changes in the C
sources is compiled for the Pi by every other suite.
"""
import re

from test_pod import converse

START_SECONDS = 120                     # everything is emulated


def test_built_under_qemu_it_answers(delivered, agent, connected, telegram):
    image = delivered('arm64')
    version = agent(image, 'arm64').once('--version')
    assert re.match(r'hermes \d\S* \(aarch64-linux-musl\)', version.stdout), version
    answer = agent(image, 'arm64').once('chat', '-q', 'hello',
                                        options=['--env', 'HERMES_MODEL=offline'])
    assert answer.returncode == 0 and answer.stdout.strip(), answer
    pod = connected(image, 'arm64').start(START_SECONDS)
    converse(pod, telegram)
    status, _ = pod.stop()
    assert status == 0, pod.said
