"""The image for the Pi: Debian 13 for arm64, under qemu, makes the libraries and the program.

That takes a dozen minutes, although this machine lends the programs that are started most
(tests/image/bases/lend.py), and what could break it changes rarely: cross/, kaniko/, a meson.build,
the scripts that the Dockerfile calls, the base. So a hash of those is kept when it has passed, and as
long as it stays the same there is nothing to build. What changes in src/ is compiled for the Pi by
every other suite.
"""
import os
import re

import cache
from builder import cache_folder, foreign_options
from conftest import figure
from test_pod import converse

PASSED = cache_folder() / 'images' / 'arm64-passed'
FORCED = ('always', 'pure')
START_SECONDS = 120                     # everything is emulated


def inputs(tree, base):
    """What the image depends on beyond the C sources."""
    scripts = [tree / 'scripts' / name for name in ('build', 'deps', 'jobs')]
    mesons = sorted([*tree.rglob('meson.build'), *tree.glob('meson_options.txt')])
    return cache.digest_of([tree / 'cross', tree / 'kaniko', *scripts, *mesons, base])


def test_built_under_qemu_it_answers(builds, delivered, tree, agent, connected, telegram):
    now = inputs(tree, builds.base('arm64', *foreign_options('arm64')))
    known = PASSED.read_text().strip() if PASSED.exists() else ''
    if now == known and os.environ.get('HERMES_ARM64') not in FORCED:
        figure('arm64 image', f'unchanged since it passed ({now})')
        return
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
    PASSED.write_text(f'{now}\n')
