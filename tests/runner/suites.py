"""The suites: what each runs, on what it depends, and beside what it may run."""

import os
import pathlib
from dataclasses import dataclass, field

from depth import CHECK

REPO = pathlib.Path(__file__).resolve().parents[2]
PYTHON = '/usr/bin/python3'             # Debian's: the one that scripts/deps gives pytest to
SIDE_BY_SIDE = ['-n', '6', '--dist', 'loadgroup']   # most of a black-box test is waiting
MINUTES = 60                            # seconds
ARM64 = os.uname().machine == 'aarch64'
HOST = 'aarch64' if ARM64 else 'x86_64'
GNU, MUSL, PI = f'{HOST}-linux-gnu', f'{HOST}-linux-musl', 'aarch64-linux-musl'

# The lanes: in each, one suite runs after another, and the lanes run beside each other. A suite of
# the crowd starts as many tests at a time as keep the machine busy; a single one runs its tests one
# by one; in the third are the C programs, and the emulated machine, which mostly waits; in the
# others what needs containers or PyPI, and what needs a cluster.
CROWD, SINGLE, MACHINE, FOREIGN, CLUSTER = 'crowd', 'single', 'machine', 'foreign', 'cluster'
LANES = CROWD, SINGLE, MACHINE, FOREIGN, CLUSTER

# name -> (the commands that build it, what they leave)
BUILDS = {
    'debug': ([['cross/sysroot', GNU], ['scripts/build', 'tests', GNU]], 'build/debug/hermes'),
    'static': ([['cross/sysroot', MUSL], ['scripts/build', 'static', MUSL]],
               f'build/{MUSL}/hermes'),
    'pi': ([['cross/sysroot', PI], ['scripts/build', 'static', PI]], f'build/{PI}/hermes'),
}
LICENCES = ['LICENSE', 'NOTICE', 'LICENSES']
PROGRAM = ['src', 'cross', 'scripts', 'meson.build', 'meson_options.txt', *LICENCES]
ROUTED = ['codec', 'net', 'llm', 'router', 'serve']     # what decides how the router replies
PEERS = ['tests/peers', 'tests/blackbox', 'docs/router.md']
FAKES = ['tests/fakes', 'tests/depth.py']


@dataclass(frozen=True)
class Suite:
    name: str
    what: str                           # one phrase for --list
    command: list
    count: str                          # which of results.COUNTERS reads its results
    lane: str = SINGLE
    builds: tuple = ()                  # names of BUILDS that it runs
    options: dict = field(default_factory=dict)     # depth -> more of the command
    alone: list = field(default_factory=list)       # the command that asks single tests again
    environment: dict = field(default_factory=dict)
    depends: tuple = ()                 # with these unchanged since it passed, it is `cached`
    core: tuple = ()                    # with these unchanged since it passed whole, a part that
                                        # takes turns will do
    limit: int = 30 * MINUTES           # seconds
    here: bool = True                   # does it make sense on this machine
    target: str = 'test'                # of the Makefile; another one where it needs what a
                                        # newcomer's machine need not have
    check: bool = False                 # does `make check` run it


def meson(name, what, suite, **more):
    command = ['meson', 'test', '-C', 'build/debug', '--no-rebuild', '--suite', suite,
               '--print-errorlogs', '--num-processes']
    return Suite(name, what, [*command, '4', '--logbase', name], 'meson', lane=MACHINE,
                 builds=('debug',), check=True,
                 alone=[*command, '1', '--logbase', alone_name(name)], **more)


def pytest(name, what, folder, build=None, beside=False, skip='', lane=None, environment=None,
           **more):
    """A pytest suite. `build` names the hermes under test, and others that it needs; `beside`: its
    tests run side by side; `skip` is a file that is another suite."""
    tested = {'HERMES_BIN': str(REPO / BUILDS[build.split()[0]][1])} if build else {}
    command = [PYTHON, '-B', '-m', 'pytest', '-p', 'no:cacheprovider', '-ra']
    return Suite(name, what,
                 [*command, junit(name), *(SIDE_BY_SIDE if beside else []),
                  *([f'--ignore={skip}'] if skip else []), folder],
                 'pytest', lane=lane or (CROWD if beside else SINGLE),
                 builds=tuple(build.split()) if build else (),
                 alone=[*command, junit(alone_name(name))],
                 environment={**tested, **(environment or {})}, **more)


def junit(name):
    return f'--junitxml=build/test-logs/{name}.xml'


def alone_name(name):
    return f'{name}-alone'


SUITES = [
    meson('unit', 'C unit tests under ASan and UBSan', 'unit',
          options={CHECK: ['--no-suite', 'long']}),
    Suite('lint', 'the lints and their self-tests', ['tests/lint/run'], 'closing', check=True),
    meson('link', 'each folder links with only what the ladder allows', 'lint'),
    meson('fuzz-replay', 'the corpora of the fuzz targets', 'fuzz'),
    pytest('fakes', 'the fakes themselves, before anything relies on them', 'tests/fakes'),
    pytest('blackbox-asan', 'the debug binary under ASan and UBSan', 'tests/blackbox', 'debug',
           beside=True, check=True, limit=45 * MINUTES),
    pytest('blackbox-static', "this machine's static binary: what a release build changes",
           'tests/blackbox', 'static', beside=True),
    pytest('blackbox-aarch64', "the Pi's binary under user-mode qemu", 'tests/blackbox', 'pi',
           beside=True, here=not ARM64, environment={'HERMES_RUNNER': 'qemu-aarch64'}),
    pytest('ai', 'the make ai targets against a kubectl that misbehaves', 'tests/ai', 'static',
           beside=True),
    pytest('docs', 'what the documents say: commands, quoted errors, names, links', 'tests/docs',
           'debug', beside=True),
    pytest('manifests', 'what Kubernetes is told, checked without one', 'tests/manifests',
           'debug'),
    pytest('npm', 'from npm: another Bot API, the openai client, MCP servers', 'tests/npm',
           'debug'),
    pytest('conformance', 'the public conformance suite of the Model Context Protocol',
           'tests/conformance', 'debug'),
    pytest('release', 'a release: the same bytes when built again, and a true SBOM',
           'tests/release', 'static pi', here=not ARM64, limit=60 * MINUTES),
    pytest('binary', 'size, hardening and instructions of the static binaries', 'tests/binary',
           'pi static'),
    pytest('cm4', "the Pi's binary on an emulated CM4", 'tests/cm4', 'pi', lane=MACHINE,
           limit=30 * MINUTES),
    pytest('peers', 'the real LiteLLM beside our router, asked the same', 'tests/peers', 'debug',
           limit=30 * MINUTES, lane=FOREIGN, target='test-peers',
           depends=(*PROGRAM, *FAKES, *PEERS),
           core=(*FAKES, *PEERS, *(f'src/{room}' for room in ROUTED))),
    pytest('image', 'the image: built, pushed, pulled, and run as the pod runs it', 'tests/image',
           skip='tests/image/test_arm64.py', limit=30 * MINUTES, lane=FOREIGN, target='test-image',
           depends=(*PROGRAM, *FAKES, 'tests/image', 'kaniko', 'compose', 'compose.yaml',
                    '.dockerignore', 'k8s', 'registry')),
    pytest('image-arm64', 'the image for the Pi, built under qemu', 'tests/image/test_arm64.py',
           limit=50 * MINUTES, lane=FOREIGN, target='test-image',
           depends=('cross', 'kaniko', 'scripts/build', 'scripts/deps', 'scripts/jobs',
                    ':(glob)scripts/*.py', 'meson.build', 'meson_options.txt', *LICENCES,
                    '.dockerignore', ':(glob)src/**/meson.build', ':(glob)tests/image/*',
                    'tests/image/bases')),
    pytest('collect', "the registry's clean-up on a real registry",
           'tests/manifests/collect_with_registry.py', lane=FOREIGN, target='test-image',
           depends=('registry', 'tests/manifests', *FAKES)),
    pytest('cluster', 'make ai on a real control plane and node', 'tests/cluster',
           limit=75 * MINUTES, lane=CLUSTER, target='test-cluster',
           depends=(*PROGRAM, *FAKES, 'tests/cluster', 'tests/image/bases', 'kaniko', 'k8s',
                    'registry', 'Makefile', '.dockerignore', '.gitignore')),
]


def command_at(suite, depth):
    return [*suite.command, *suite.options.get(depth, [])]


def chosen(names, target, depth):
    """Those with these names, or those of a target."""
    if names:
        return [suite for suite in SUITES if suite.name in names]
    return [suite for suite in SUITES if suite.here and (target is None or suite.target == target)
            and (depth != CHECK or suite.check)]
