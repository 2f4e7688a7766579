"""What can be said of a binary without running it: linked how, hardened how, how large, how clean.

Each check looks at the file that is shipped, never at the flags that were asked for: a linker that
does not know an option may leave it out and say nothing.
"""

import os
import pathlib
import subprocess
import sys

import elf
import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_it_is_for_the_architecture_that_its_folder_names(built):
    assert built.elf.machine == built.arch
    assert built.unstripped.machine == built.arch


def test_it_needs_no_other_file(built):
    assert not built.elf.segments_of(elf.PT_INTERP), "it names a dynamic loader"
    assert not built.elf.dynamic().get(elf.DT_NEEDED), "it needs shared libraries"


def test_it_is_position_independent(built):
    """Where it costs little: cross/meson-file.sh says why an aarch64 binary may not be."""
    if built.arch == "aarch64" and not built.elf.is_pie():
        assert not built.elf.dynamic(), "neither position independent nor a plain static program"
        return
    assert built.elf.is_pie()
    assert built.elf.dynamic()[elf.DT_FLAGS_1][0] & elf.DF_1_PIE


def test_it_is_stripped_and_its_twin_is_not(built):
    names = {section.name for section in built.elf.sections}
    left = {name for name in names
            if name in (".symtab", ".strtab", ".comment") or name.startswith(".debug")}
    assert not left, f"strip would take these away: {left}"
    assert any(symbol.name == "main" for symbol in built.unstripped.symbols())


def test_its_twin_is_the_same_program(built):
    """Figures by symbol and the reading of a crash stand on this."""
    for name in (".text", ".rodata", ".data.rel.ro"):
        ours, twins = built.elf.section_at(name), built.unstripped.section_at(name)
        assert ours and twins, f"{built.path} has no {name}"
        assert _bytes_of(built.elf, ours) == _bytes_of(built.unstripped, twins), \
            f"{name} differs: one of the two files is of an older build"


def _bytes_of(file, section):
    return file.data[section.offset:section.offset + section.size]


def test_its_stack_is_not_executable(built):
    stack = built.elf.segments_of(elf.PT_GNU_STACK)
    assert len(stack) == 1, "without this header a kernel may make the stack executable"
    assert not stack[0].flags & elf.PF_X


def test_nothing_is_writable_and_executable(built):
    both = elf.PF_W | elf.PF_X
    assert not [s for s in built.elf.segments_of(elf.PT_LOAD) if s.flags & both == both]
    dynamic = built.elf.dynamic()
    assert elf.DT_TEXTREL not in dynamic, "code would be written to at start"
    assert not dynamic.get(elf.DT_FLAGS, [0])[0] & elf.DF_TEXTREL


def test_relro_is_full(built):
    """Pointers that are set once at start are read-only from then on; the GOT is among them."""
    relro = built.elf.segments_of(elf.PT_GNU_RELRO)
    assert len(relro) == 1
    lazy = built.elf.dynamic() and not built.elf.binds_now()
    assert not lazy, "with lazy binding the GOT stays writable"
    for name in (".data.rel.ro", ".got", ".init_array", ".fini_array", ".dynamic"):
        section = built.elf.section_at(name)
        assert not section or _covers(relro[0], section), f"{name} stays writable"


def _covers(segment, section):
    return (segment.address <= section.address
            and section.address + section.size <= segment.address + segment.memsz)


def test_functions_guard_their_stacks(built, bars):
    bar = bars["stack_protector"]
    calls = 0
    with subprocess.Popen([built.objdump(), "-d", "--no-show-raw-insn",
                           str(built.unstripped_path)], stdout=subprocess.PIPE, text=True) as dump:
        for line in dump.stdout:
            # a tail jump counts as well as a call; the function's own first line does not
            calls += "<__stack_chk_fail>" in line and not line.endswith(">:\n")
    assert dump.returncode == 0
    assert calls >= bar["least"], f"{calls} calls of __stack_chk_fail; {bar['why']}"


def test_it_waits_as_long_as_is_written(built):
    """The variable by which tests shorten the back-offs of the debug build is not in it."""
    assert harness.WAIT_SCALE.encode() not in built.path.read_bytes()


def test_it_is_small(built, bars):
    bar, size = bars["size"], built.path.stat().st_size
    assert size <= bar["most"], \
        f"{size} bytes are {size - bar['most']} too many; benchmarks/size tells whose. {bar['why']}"


def test_the_pi_can_run_every_instruction(built):
    """The BCM2711 has no crypto extension, and every emulator has it."""
    if built.arch != "aarch64":
        assert built.elf.machine != "aarch64"
        return
    for path in (built.path, built.unstripped_path):
        done = subprocess.run([sys.executable, "-B", str(ROOT / "tests/lint/no_crypto_insn.py"),
                               str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_names_no_place_of_the_machine_that_built_it(built, bars):
    places = [b"/root/", b"/.cache/", f"{ROOT}/".encode(), b"/home/"]
    home = os.path.expanduser("~").rstrip("/") + "/"
    if len(home) >= bars["paths"]["least_length"]:
        places.append(home.encode())
    found = [_around(built.elf.data, place) for place in places if place in built.elf.data]
    assert not found, f"a build elsewhere would give another file: {found}"


def test_it_holds_no_note_to_self(built):
    for word in ("TO" "DO", "FIX" "ME"):
        assert word.encode() not in built.elf.data, _around(built.elf.data, word.encode())


def _around(data, found):
    """The text that the bytes stand in."""
    at = data.index(found)
    start = max(data.rfind(b"\0", 0, at) + 1, at - 100)
    return data[start:data.find(b"\0", at)][:200].decode("utf-8", "replace")
