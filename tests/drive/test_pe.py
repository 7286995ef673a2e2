"""PE files: headers, sections and tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim import ImageError
from lookaside_sim.drive.load import regions
from lookaside_sim.drive.pe import PeFile, read_pe
from lookaside_sim.drive.pe_tables import exports, functions, imports, relocate, symbols
from tests.drive.helpers import sys_file
from tests.helpers import both_machines

BASE = 0x8D00_0000


@both_machines
def test_sections_and_entry(arch: str) -> None:
    pe = read_pe(sys_file("families", arch))
    assert (pe.arch, pe.has_pages) == (arch, True)
    names = {each.name: (each.writable, each.executable) for each in pe.sections}
    assert names[".text"] == (False, True)
    assert names[".bss"] == (True, False)
    assert ".debug_line" in names  # a long name, from the string table
    assert symbols(pe)[pe.entry] == "DriverEntry"


@both_machines
def test_imports_name_what_the_source_calls(arch: str) -> None:
    pe = read_pe(sys_file("families", arch))
    wanted = {each.name for each in imports(pe)}
    assert {"DbgPrint", "ExInitializeLookasideListEx", "ExFreePoolWithTag"} <= wanted
    assert {each.library for each in imports(pe)} <= {"ntoskrnl.exe", "hal.dll", "HAL.dll"}
    assert exports(pe) == {}
    exported = exports(read_pe(sys_file("objects", arch)))
    assert [name.partition("@")[0] for name in exported] == ["Describe"]


def test_relocations_move_what_is_absolute() -> None:
    pe = read_pe(sys_file("families", "x86"))
    here, there = relocate(pe, pe.preferred_base), relocate(pe, BASE)
    assert here == pe.image
    moved = [at for at in range(len(there)) if there[at] != here[at]]
    difference = BASE - pe.preferred_base
    differences = {
        int.from_bytes(there[at : at + 4], "little")
        - int.from_bytes(here[at : at + 4], "little")
        for at in range(moved[0] - 3, moved[0] + 1)
    }
    assert difference in differences  # the first number that was moved


def test_functions_are_those_of_the_symbols() -> None:
    pe = read_pe(sys_file("families"))
    found = functions(pe)
    assert found == sorted(found, key=lambda each: each.begin)
    names = symbols(pe)
    assert {"DriverEntry", "Queue", "Unload"} <= {names.get(each.begin) for each in found}
    assert functions(read_pe(sys_file("families", "x86"))) == []


@both_machines
def test_regions_cover_the_image_and_permit_what_sections_do(arch: str) -> None:
    pe = read_pe(sys_file("families", arch))
    made = regions(pe, BASE, bytearray(pe.image))
    assert [each.end for each in made[:-1]] == [each.address for each in made[1:]]
    assert (made[0].address, made[-1].end) == (BASE, BASE + pe.size)
    assert b"".join(bytes(each.data) for each in made) == pe.image


def test_a_variable_goes_before_what_the_linker_puts_at_its_address() -> None:
    data = bytearray(sys_file("families", "x86").read_bytes())
    before = PeFile("named.sys", bytes(data))
    bss = next(each.rva for each in before.sections if each.name == ".bss")
    first, *_ = sorted(rva for rva in symbols(before) if rva >= bss)
    name = symbols(before)[first]
    assert not name.startswith("_")
    records = before.symbol_records()
    own = next(
        i for i, each in enumerate(records) if each[:8].rstrip(b"\0") == b"_" + name.encode()
    )
    start = int.from_bytes(data[0x3C:0x40], "little")
    table = int.from_bytes(data[start + 12 : start + 16], "little")
    at = table + 18 * own
    data[at : at + 12] = records[own][:8] + bytes(4)  # where __bss_start__ lies
    assert symbols(PeFile("named.sys", bytes(data)))[bss] == name


def test_sections_that_share_pages_permit_everything() -> None:
    data = bytearray(sys_file("families").read_bytes())
    start = int.from_bytes(data[0x3C:0x40], "little") + 24
    data[start + 32 : start + 36] = (0x200).to_bytes(4, "little")  # SectionAlignment
    pe = PeFile("small.sys", bytes(data))
    (only,) = regions(pe, BASE, bytearray(pe.image))
    assert (only.writable, only.executable) == (True, True)


def test_a_file_without_relocations_goes_nowhere_else() -> None:
    data = bytearray(sys_file("families", "x86").read_bytes())
    start = int.from_bytes(data[0x3C:0x40], "little")
    at = start + 24 + 96 + 8 * 5
    data[at : at + 8] = bytes(8)
    data[start + 22] |= 1  # IMAGE_FILE_RELOCS_STRIPPED
    pe = PeFile("fixed.sys", bytes(data))
    assert relocate(pe, pe.preferred_base) == pe.image
    with pytest.raises(ImageError, match=r"fixed\.sys: it has no relocations"):
        relocate(pe, BASE)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no file"):
        read_pe(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_pe(tmp_path / "none.sys")
    large = tmp_path / "large.sys"
    with large.open("wb") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(ImageError, match="give at most"):
        read_pe(large)
