"""What is in the agent's image, and what is not."""
import gzip
import io
import json
import re
import subprocess
import tarfile

from builder import CANARY, HOST_ARCH, PLANTED
from conftest import figure

MEGABYTE = 1_000_000
SIZE_MAX = 6 * MEGABYTE
MANIFESTS = ('application/vnd.oci.image.manifest.v1+json,'
             'application/vnd.docker.distribution.manifest.v2+json')
# All there is, the shell's links and the licences aside.
PATHS = {
    'bin': ('dir', 0o755, 0), 'bin/hermes': ('file', 0o755, 0),
    'bin/busybox': ('file', 0o755, 0), 'etc': ('dir', 0o755, 0),
    'etc/passwd': ('file', 0o644, 0), 'etc/group': ('file', 0o644, 0),
    'etc/hermes': ('dir', 0o755, 0), 'opt': ('dir', 0o755, 0),
    'opt/data': ('dir', 0o755, 10000), 'run': ('dir', 0o755, 0), 'tmp': ('dir', 0o1777, 0),
    'tmp/.keep': ('file', 0o644, 0), 'usr': ('dir', 0o755, 0), 'usr/share': ('dir', 0o755, 0),
}
LICENCES = 'usr/share/licenses'
# What `kubectl exec` is used for.
WANTED = ['sh', 'ls', 'cat', 'ps', 'df', 'du', 'tail', 'grep', 'vi', 'wget', 'nslookup', 'top']


def manifest(registry, image):
    name, tag = image.partition('/')[2].rsplit(':', 1)
    status, body = registry.get(f'/v2/{name}/manifests/{tag}', MANIFESTS)
    assert status == 200, body
    return name, json.loads(body)


def blob(registry, name, digest):
    status, body = registry.get(f'/v2/{name}/blobs/{digest}')
    assert status == 200, body
    return body


def layers(registry, image):
    """The layers as they were pushed, unpacked to tars."""
    name, description = manifest(registry, image)
    return [gzip.decompress(blob(registry, name, layer['digest']))
            for layer in description['layers']]


def members(registry, image):
    """path -> (member, content) over all layers."""
    found = {}
    for data in layers(registry, image):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                content = archive.extractfile(member).read() if member.isfile() else b''
                found[member.name.strip('/').removeprefix('./')] = (member, content)
    found.pop('', None)
    return found


def test_at_most_six_megabytes(registry, image, podman):
    size = sum(member.size for member, _ in members(registry, image).values())
    told = int(podman('image', 'inspect', '--format', '{{.Size}}', image))
    figure(f'size of the {HOST_ARCH} image', f'{size / MEGABYTE:.2f} MB of files, '
           f'{told / MEGABYTE:.2f} MB as podman counts')
    assert size <= SIZE_MAX and told <= SIZE_MAX


def test_nothing_but_what_belongs_there(registry, image):
    strangers = []
    for path, (member, _) in members(registry, image).items():
        if path.startswith(f'{LICENCES}/') or path == LICENCES:
            assert not member.mode & 0o022 and member.mode & 0o004, path
        elif member.issym():
            assert re.fullmatch(r'bin/[^/]+', path) and member.linkname == 'busybox', path
        elif path in PATHS:
            kind, mode, owner = PATHS[path]
            assert member.isdir() == (kind == 'dir') and member.mode & 0o7777 == mode and \
                (member.uid, member.gid) == (owner, owner), (path, oct(member.mode), member.uid)
        else:
            strangers.append(path)
    assert not strangers
    assert set(PATHS) <= set(members(registry, image))


def test_no_secret_of_the_tree(registry, image, tree):
    """Neither a planted word nor a thing that looks like one, also not in what says how the image
    was made."""
    assert all(CANARY in (tree / path).read_text() for path in PLANTED)
    name, description = manifest(registry, image)
    config = blob(registry, name, description['config']['digest'])
    for data in [config, *layers(registry, image)]:
        assert CANARY.encode() not in data
    assert not re.search(rb'(?i)(token|password|secret|proxy)=[^\s"\\]', config)


def test_the_builder_gets_what_every_build_gets(tree):
    """The Dockerfile names the packages itself (it says why); it must not forget one."""
    done = subprocess.run([tree / 'scripts' / 'deps', '--list'], text=True, check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wanted = {line.split()[1] for line in done.stdout.splitlines() if line.startswith('build ')}
    text = (tree / 'kaniko' / 'Dockerfile').read_text().replace('\\\n', ' ')
    named = set(re.search(r'install -y --no-install-recommends ([^;]+);', text)[1].split())
    assert named == wanted | {'busybox-static'}


def test_no_source_and_no_trace_of_where_it_was_built(registry, image):
    found = members(registry, image)
    assert not [path for path in found if re.search(r'\.(c|h|py|sh|o|a|build|ini)$', path)]
    program = found['bin/hermes'][1]
    for trace in (b'/hermes/src', b'/var/cache/hermes', b'/usr/lib/gcc'):
        assert trace not in program, trace


def test_starts_as_the_manifests_expect(registry, image):
    name, description = manifest(registry, image)
    config = json.loads(blob(registry, name, description['config']['digest']))
    assert (config['os'], config['architecture']) == ('linux', HOST_ARCH)
    told = config['config']
    assert told['Entrypoint'] == ['/bin/hermes'] and told['Cmd'] == ['run']
    assert told['User'] == '10000:10000' and told['WorkingDir'] == '/opt/data'
    assert {'HERMES_HOME=/opt/data', 'PATH=/bin'} == set(told['Env'])


def test_the_users(registry, image):
    found = members(registry, image)
    assert b'hermes:x:10000:10000:' in found['etc/passwd'][1]
    assert b'hermes:x:10000:' in found['etc/group'][1]


def test_licences_of_all_that_is_in_it(registry, image, tree):
    """Each library that was linked, the shell, and where the shell's source is."""
    found = {path.removeprefix(f'{LICENCES}/'): content
             for path, (_, content) in members(registry, image).items()
             if path.startswith(f'{LICENCES}/')}
    versions = found['hermes/libraries/VERSIONS'].decode().split()[::2]
    assert {'musl', 'mbedtls', 'sqlite', 'libyaml', 'cjson', 'curl', 'libseccomp'} <= set(versions)
    assert all(len(found[f'hermes/libraries/{name}']) > 500 for name in versions)
    for name in ('LICENSE', 'NOTICE'):
        assert found[f'hermes/{name}'] == (tree / name).read_bytes()
    for text in (tree / 'LICENSES').iterdir():
        assert found[f'hermes/LICENSES/{text.name}'] == text.read_bytes()
    assert b'GNU GENERAL PUBLIC LICENSE' in found['busybox/GPL-2']
    assert re.fullmatch(rb'busybox \d[^\s]*\n', found['busybox/SOURCE'])


def test_a_shell_for_exec(agent, image):
    """Every applet has its name, and the names work."""
    pod = agent(image)
    done = pod.once('-c', 'for name in $(busybox --list); do [ "$name" = busybox ] || '
                    '[ "$(readlink /bin/$name)" = busybox ] || echo "missing: $name"; done; '
                    f'cd /bin; ls {" ".join(WANTED)}; '
                    'echo one two | awk "{ print \\$2 }"; id -un',
                    options=['--entrypoint', '/bin/sh'])
    assert done.returncode == 0, done
    assert done.stdout.split() == sorted(WANTED) + ['two', 'hermes'], done


def test_the_agent_without_anything(agent, image):
    """The image's own command line, offline: no home yet, no configuration, no network."""
    pod = agent(image)
    version = pod.once('--version')
    assert version.returncode == 0 and re.match(r'hermes \d', version.stdout), version
    answer = pod.once('chat', '-q', 'hello', options=['--env', 'HERMES_MODEL=offline'])
    assert answer.returncode == 0 and answer.stdout.strip(), answer
