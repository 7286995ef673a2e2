"""The machine code of our own: what an assembler makes of its text, and what it does."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from lookaside_sim import Kernel
from lookaside_sim.drive import native
from tests.drive.helpers import needs_engine, sys_file
from tests.helpers import both_machines, stop_of

ASSEMBLER = shutil.which("as")
COPIER = shutil.which("objcopy")


def assembled(text: str, bits: int, folder: Path) -> bytes:
    source, linked, plain = folder / "a.s", folder / "a.o", folder / "a.bin"
    source.write_text(f".intel_syntax noprefix\n{text}")
    assert ASSEMBLER is not None
    subprocess.run([ASSEMBLER, f"--{bits}", "-o", linked, source], check=True)
    assert COPIER is not None
    subprocess.run([COPIER, "-O", "binary", "-j", ".text", linked, plain], check=True)
    return plain.read_bytes()


def understands_x86() -> bool:
    if ASSEMBLER is None or COPIER is None:
        return False
    said = subprocess.run([ASSEMBLER, "--help"], capture_output=True, text=True, check=False)
    return "--64" in said.stdout


@pytest.mark.skipif(not understands_x86(), reason="needs the GNU assembler for x86")
def test_the_bytes_are_what_the_text_says(tmp_path: Path) -> None:
    for bits, table in ((64, native.X64), (32, native.X86)):
        for name, routine in table.items():
            assert assembled(routine.assembly, bits, tmp_path) == routine.code, (bits, name)


@needs_engine
@pytest.mark.parametrize("windows", ["7", "10-1809"])
@both_machines
def test_slists_are_those_of_the_simulator(arch: str, windows: str) -> None:
    """By the driver's own code, on machines with and without a sequence in x86's header."""
    choose = random.Random(3)
    one, other = Kernel(arch, windows=windows, seed=1), Kernel(arch, windows=windows, seed=1)
    driver = one.load_image(sys_file("families", arch))
    driver.start()
    head = driver.address_of("Waiting")
    twin = other.load_driver("twin.sys").place_data(64, 16)
    other.slists.initialize(twin)
    for _ in range(20):
        count = choose.randint(1, 5)
        driver.call("Queue", count)
        for _ in range(count):
            entry = other.pool.allocate(0, 64, b"Entr")
            assert entry is not None
            other.slists.push(twin, entry)
        for _ in range(count):
            other.pool.free(other.slists.pop(twin))
        size = one.arch.slist_header_size
        assert one.read(head, size) == other.read(twin, size)


@needs_engine
@both_machines
def test_a_forged_link_stops_at_the_drivers_line(arch: str) -> None:
    kernel = Kernel(arch)
    driver = kernel.load_image(sys_file("pairs", arch))
    driver.start()
    driver.call("Make", 0, 64)
    entries = [driver.call("TakeInlined") for _ in range(2)]
    for entry in entries:
        driver.call("GiveInlined", entry)
    wild = kernel.arch.paged_pool_start + 0x100_0000
    kernel.write(entries[1], wild.to_bytes(kernel.arch.pointer_size, "little"))
    assert driver.call("TakeInlined") == entries[1]
    stop = stop_of(lambda: driver.call("TakeInlined"))
    assert stop.parameters[:2] == (wild, 0)
    assert stop.site is not None
    assert (stop.site.file, stop.site.function) == ("pairs.c", f"pairs-{arch}!TakeInlined")
