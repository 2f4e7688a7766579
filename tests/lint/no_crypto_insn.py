#!/usr/bin/env python3
"""No AES, SHA or polynomial-multiply instruction in an aarch64 binary.

    tests/lint/no_crypto_insn.py BINARY

The BCM2711 of a Pi 4 and CM4 is a Cortex-A72 without the crypto extension: such an instruction
ends the program with SIGILL. No emulator shows it, because QEMU's Cortex-A72 has the extension. So
the disassembly is searched. Code behind a run-time test of the CPU would be fine: name its function
in ALLOWED, and hand in the binary with its symbols. In a stripped binary only addresses can be
reported, and nothing is allowed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

# Functions that run only after the CPU was asked, each with the reason.
ALLOWED = {}

# pmull on bytes (.8h) is plain NEON; on 64-bit lanes (.1q) it is the crypto extension.
CRYPTO = re.compile(r'^(?:aes(?:e|d|mc|imc)|sha1(?:c|h|m|p|su0|su1)|sha256(?:h|h2|su0|su1)'
                    r'|sha512(?:h|h2|su0|su1)|sm3\w+|sm4\w+|eor3|bcax|rax1|xar)$')
POLYNOMIAL = re.compile(r'^pmull2?$')
SYMBOL = re.compile(r'^[0-9a-f]+ <(?P<name>.*)>:$')
INSTRUCTION = re.compile(r'^\s*(?P<address>[0-9a-f]+):\s+[0-9a-f]{8}\s+'
                         r'(?P<name>\S+)\s*(?P<rest>.*)$')


def tool(name):
    """The binutils program for aarch64: the cross one, or this machine's own on arm64."""
    found = shutil.which(f'aarch64-linux-gnu-{name}')
    if not found and os.uname().machine == 'aarch64':
        found = shutil.which(name)
    if not found:
        sys.exit(f'aarch64-linux-gnu-{name} is missing: run scripts/deps lint')
    return found


def disassemble(binary):
    """Yields (function or None, address, mnemonic, operands)."""
    if not os.path.exists(binary):
        sys.exit(f'{binary}: no such file; build it with: make static ARCH=aarch64')
    header = subprocess.run([tool('objdump'), '-f', binary], capture_output=True, text=True,
                            check=False)
    if 'architecture: aarch64' not in header.stdout:
        sys.exit(f'{binary}: not an aarch64 binary')
    function = None
    with subprocess.Popen([tool('objdump'), '-d', '-z', binary], text=True,
                          stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            match = INSTRUCTION.match(line)
            if match:
                yield function, match['address'], match['name'], match['rest']
            elif SYMBOL.match(line):
                name = SYMBOL.match(line)['name']
                # objdump names the start of a section when there is no symbol
                function = None if name.startswith('.') else name
    if process.returncode:
        sys.exit(f'{binary}: objdump failed with status {process.returncode}')


def is_crypto(mnemonic, operands):
    return bool(CRYPTO.match(mnemonic) or (POLYNOMIAL.match(mnemonic) and '.1q' in operands))


def inspect(binary, allowed):
    """What is wrong with the binary, and how many instructions were looked at."""
    problems, seen = [], 0
    for function, address, mnemonic, operands in disassemble(binary):
        seen += 1
        if is_crypto(mnemonic, operands) and function not in allowed:
            where = f'{function}()' if function else 'no symbol'
            problems.append(f'{binary}: 0x{address} ({where}): {mnemonic} {operands}')
    if not seen:
        problems.append(f'{binary}: no instruction found, so nothing was checked')
    return problems, seen


SAMPLE = '''
    .arch armv8.2-a+crypto+sha3+sm4
    .text
    .global plain, aes, sha, poly, dispatched
    .type plain, %function
    .type aes, %function
    .type sha, %function
    .type poly, %function
    .type dispatched, %function
plain:
    pmull v0.8h, v1.8b, v2.8b
    eor v0.16b, v1.16b, v2.16b
    crc32x w0, w1, x2
    ret
aes:
    aese v0.16b, v1.16b
    aesimc v0.16b, v1.16b
    ret
sha:
    sha1c q0, s1, v2.4s
    sha256su0 v0.4s, v1.4s
    sha512h q0, q1, v2.2d
    ret
poly:
    pmull v0.1q, v1.1d, v2.1d
    pmull2 v0.1q, v1.2d, v2.2d
    eor3 v0.16b, v1.16b, v2.16b, v3.16b
    sm4e v0.4s, v1.4s
    ret
dispatched:
    aesmc v0.16b, v1.16b
    ret
'''
FORBIDDEN = 'aese aesimc sha1c sha256su0 sha512h pmull pmull2 eor3 sm4e'.split()


def assemble(folder, name, source):
    path = os.path.join(folder, name)
    subprocess.run([tool('as'), '-o', path + '.o', '-'], input=source, text=True, check=True)
    subprocess.run([tool('ld'), '-e', 'plain', '-o', path, path + '.o'], check=True)
    return path


def self_test():
    wrong = []

    def expect(what, true):
        if not true:
            wrong.append(f'not so: {what}')

    with tempfile.TemporaryDirectory(prefix='hermes-lint-') as folder:
        planted = assemble(folder, 'planted', SAMPLE)
        problems, _ = inspect(planted, {'dispatched': 'asked the CPU'})
        expect('each forbidden instruction is found once, in order',
               [p.split('): ')[1].split()[0] for p in problems] == FORBIDDEN)
        expect('the function is named', problems and '(aes())' in problems[0])
        expect('a function that is not allowed is reported',
               len(inspect(planted, {})[0]) == len(FORBIDDEN) + 1)
        subprocess.run([tool('strip'), planted], check=True)
        problems, _ = inspect(planted, {'dispatched': 'asked the CPU'})
        expect('a stripped binary is reported by address, and nothing in it is allowed',
               len(problems) == len(FORBIDDEN) + 1 and '(no symbol)' in problems[0])
        clean = assemble(folder, 'clean', SAMPLE.split('aes:\n')[0].replace(
            ', aes, sha, poly, dispatched', ''))
        problems, seen = inspect(clean, {})
        expect('a clean binary passes, all of it read', not problems and seen == 4)
        refused = subprocess.run([sys.executable, '-B', __file__, sys.executable], text=True,
                                 capture_output=True, check=False)
        native = os.uname().machine == 'aarch64'
        expect('a binary of another architecture is refused',
               native or (refused.returncode and 'not an aarch64' in refused.stderr))
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('binary', nargs='?', default='build/aarch64-linux-musl/hermes')
    parser.add_argument('--self-test', action='store_true')
    arguments = parser.parse_args()
    if arguments.self_test:
        problems = self_test()
    else:
        problems, seen = inspect(arguments.binary, ALLOWED)
        print(f'{arguments.binary}: {seen} instructions, {len(problems)} forbidden')
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
