"""Two judges from npm. kubernetes-models' validate() knows schemas (types, quantities, patterns)
and overlooks fields that do not exist; its TypeScript types, in a literal and under --strict, know
these, and nothing of what a text must look like."""

import json
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 300                             # seconds; a compiler on a busy Pi

OPTIONS = ['--noEmit', '--strict', '--pretty', 'false', '--skipLibCheck', '--target', 'es2022',
           '--module', 'esnext', '--moduleResolution', 'bundler']
COMPLAINT = re.compile(r'^o(\d+)\.ts\(\d+,\d+\): error (.*)', re.M)


def install():
    """The folder of the installed packages."""
    done = subprocess.run([HERE.parent / 'npm/install', HERE], capture_output=True, text=True,
                          timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


def schema(packages, objects):
    """'' or what is wrong, of each object."""
    done = subprocess.run(['node', HERE / 'models.mjs', packages], input=json.dumps(objects),
                          capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == len(objects)
    return answers


def literal(thing):
    kind, place = thing['kind'], f"kubernetes-models/{thing['apiVersion']}/{thing['kind']}"
    return (f'import type {{ I{kind} }} from {json.dumps(place)};\n'
            f'export const object: I{kind} = {json.dumps(thing, indent=1)};\n')


def types(packages, objects, folder):
    """The same from the compiler, which runs once for all of them, in an empty folder."""
    (folder / 'node_modules').symlink_to(packages / 'node_modules')
    for number, thing in enumerate(objects):
        (folder / f'o{number}.ts').write_text(literal(thing), encoding='utf-8')
    done = subprocess.run(
        ['node', packages / 'node_modules/typescript/bin/tsc', *OPTIONS,
         *(f'o{number}.ts' for number in range(len(objects)))],
        cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    answers = [''] * len(objects)
    for match in COMPLAINT.finditer(done.stdout):
        answers[int(match[1])] += match[2]
    known = any(answers) or done.returncode == 0
    assert known, done.stdout + done.stderr     # the compiler itself is in trouble
    return answers
