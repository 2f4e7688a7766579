"""What is packed for a build, how large it may be, and what the image of it is called."""

import os
import random
import re
import subprocess
import tarfile

import pytest
from cluster import ROOT, SCRIPTS, Tree

NOISE = random.Random(1).randbytes(4_000_000)   # what gzip cannot make smaller


def packed(tree):
    with tarfile.open(tree.root / 'build/ai/context.tar.gz') as archive:
        return sorted(archive.getnames())


def test_it_packs_what_the_build_reads_and_says_how_much(tree):
    tree.write('docs/more.md', 'x')
    tree.write('tests/unit/test.c', 'x')
    done = tree.run('context')
    assert done.status == 0, done.text
    names = packed(tree)
    assert {'src/main.c', 'cross/sysroot', 'kaniko/Dockerfile', 'scripts/build'} <= set(names)
    others = 'docs|tests|build|k8s|registry|scripts/ai'
    assert not [name for name in names if re.match(others, name)]
    with tarfile.open(tree.root / 'build/ai/context.tar.gz') as archive:
        whose = {(member.uid, member.gid, member.mode & 0o022) for member in archive}
    assert whose == {(0, 0, 0)}, 'two people share a cache'
    assert re.search(r'packed \d+ of at most 3600 KiB', done.out)


def test_what_lies_about_is_not_packed(tree):
    for name in ('src/.DS_Store', 'src/._main.c', 'src/main.c~', 'src/.main.c.swp', 'src/a.o',
                 'src/secrets.env', 'cross/key.pem', 'scripts/__pycache__/embed.pyc'):
        tree.write(name, 'secret')
    assert tree.run('context').status == 0
    assert [name for name in packed(tree) if 'main' in name] == ['src/main.c']
    assert not [name for name in packed(tree) if re.search(r'\.(env|pem|pyc|o)$', name)]


def test_too_large_is_said_with_what_makes_it_so(tree):
    (tree.root / 'src/huge.bin').write_bytes(NOISE)
    done = tree.run('context')
    assert done.status == 1
    assert re.search(r'packed sources are \d+ KiB, more than 3600 KiB', done.err), done.err
    for words in ('src/huge.bin', 'CONTEXT=git://', '4 ConfigMaps'):
        assert words in done.err
    assert not (tree.root / 'build/ai/context.tar.gz').exists()


def test_just_under_the_limit_is_taken(tree):
    (tree.root / 'src/large.bin').write_bytes(NOISE[:3500 * 1024])
    assert tree.run('context').status == 0


def test_a_missing_part_is_named(tree):
    (tree.root / 'NOTICE').unlink()
    done = tree.run('context')
    assert done.status == 1 and 'NOTICE is missing' in done.err


def tag(tree, **environment):
    done = tree.run('context', '--tag', **environment)
    assert done.status == 0, done.text
    return done.out.strip()


def test_the_tag_of_a_clean_tree_is_its_commit(tree):
    head = tree.commit()
    assert tag(tree) == head


def test_what_is_not_packed_does_not_make_it_dirty(tree):
    head = tree.commit()
    tree.write('docs/new.md', 'x')
    tree.write('k8s/config.yaml', 'x: 1')
    assert tag(tree) == head


def test_a_dirty_tag_goes_by_the_content(tree):
    head = tree.commit()
    tree.write('src/main.c', 'one')
    one = tag(tree)
    assert re.fullmatch(head + '-dirty-[0-9a-f]{8}', one)
    tree.write('src/main.c', 'two')
    assert tag(tree) != one
    tree.write('src/main.c', 'one')
    assert tag(tree) == one
    tree.write('src/added.c', 'untracked')
    assert tag(tree) != one


def test_a_tree_without_history_has_a_tag_too(tree):
    assert re.fullmatch('tree-[0-9a-f]{8}', tag(tree))


def test_a_given_tag_is_taken(tree):
    assert tag(tree, TAG='v1.2_x') == 'v1.2_x'


@pytest.mark.parametrize('bad', ['a b', 'a/b', '.a', '-a', 'a:b', 'ä'])
def test_what_cannot_be_a_tag_is_refused(tree, bad):
    done = tree.run('context', '--tag', TAG=bad)
    assert done.status == 1 and "cannot be an image's tag" in done.err


def test_sources_from_git_are_called_by_their_commit_or_the_time(tree):
    tree.commit()
    url = 'git://example.org/a.git#refs/heads/main'
    assert re.fullmatch(r'git-\d{14}', tag(tree, CONTEXT=url))
    assert tag(tree, CONTEXT=url + '#0123456789abcdef0123') == '0123456789ab'


def with_real_sources(path):
    tree = Tree(path)
    for name in ('src', 'cross', 'LICENSES'):
        subprocess.run(['rm', '-rf', tree.root / name], check=True)
        subprocess.run(['cp', '-r', ROOT / name, tree.root / name], check=True)
    return tree


def test_a_tree_of_twice_the_size_fits(tmp_path):
    """Of today's sources, twice beside each other: too far apart for gzip to notice. Three times
    is too much, which is said."""
    tree = with_real_sources(tmp_path)
    assert tree.run('context').status == 0
    once = (tree.root / 'build/ai/context.tar.gz').stat().st_size

    def add(copy):
        for name in ('src', 'cross', 'kaniko', 'LICENSES'):
            subprocess.run(['mkdir', '-p', tree.root / copy], check=True)
            subprocess.run(['cp', '-r', ROOT / name, tree.root / copy / name], check=True)
        return tree.run('context')
    done = add('src/second')
    assert done.status == 0, done.text
    assert (tree.root / 'build/ai/context.tar.gz').stat().st_size > 1.9 * once
    assert add('src/third').status == 1
    done = tree.run('context')
    assert 'the packed sources are' in done.err and 'src/third/src/' in done.err, done.err


@pytest.fixture(scope='module')
def real(tmp_path_factory):
    """The context of the real tree, unpacked."""
    tree = with_real_sources(tmp_path_factory.mktemp('real'))
    done = tree.run('context')
    assert done.status == 0, done.text
    folder = tree.path / 'unpacked'
    folder.mkdir()
    with tarfile.open(tree.root / 'build/ai/context.tar.gz') as archive:
        archive.extractall(folder)
    return folder


def test_the_tree_can_be_configured_from_it(real):
    """meson looks at every file that a meson.build names; that it compiles is the image's test."""
    machine = ROOT / f'build/sysroot/{os.uname().machine}-linux-musl/meson.ini'
    done = subprocess.run(['/usr/bin/meson', 'setup', '--cross-file', machine, 'out'], cwd=real,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    done = subprocess.run(['ninja', '-C', 'out', '-n'], cwd=real, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_dockerfiles_copy_nothing_else(real):
    for dockerfile in (ROOT / 'kaniko').glob('Dockerfile*'):
        text = dockerfile.read_text().replace('\\\n', ' ')
        for line in re.findall(r'^(?:COPY|ADD) (.*)$', text, re.M):
            words = line.split()
            if words[0].startswith('--from'):
                continue
            for source in [word for word in words[:-1] if not word.startswith('--')]:
                assert (real / source).exists(), f'{dockerfile.name} copies {source}'


def test_no_script_that_is_packed_calls_one_that_is_not(real):
    for path in [*(real / 'scripts').iterdir(), real / 'cross/sysroot',
                 *(real / 'cross').glob('*.sh')]:
        for name in re.findall(r'(?<![\w/])(?:\.\./)?scripts/([\w.]+)', path.read_text()):
            if (ROOT / 'scripts' / name).is_file():
                assert (real / 'scripts' / name).exists(), f'{path.name} names scripts/{name}'
    assert {path.name for path in (real / 'scripts').iterdir()} == set(SCRIPTS)
