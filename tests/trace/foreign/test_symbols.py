from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pytest

from lookaside_sim.trace.foreign.symbols import SiteNames, functions_of

NAMES = b"\0first\0second\0data\0empty\0"
SYMBOLS = [
    # name, type, section, value, size
    (1, 2, 1, 0x1000, 0x40),
    (7, 0x12, 1, 0x1040, 0x10),
    (14, 1, 1, 0x1080, 0x10),  # no function
    (19, 2, 1, 0x1100, 0),  # no size
    (19, 2, 0, 0x1200, 8),  # of another file
    (7, 0x12, 1, 0x1040, 0x10),  # a second time
]


def elf(bits: int, order: str) -> bytes:
    """A file that has nothing but a table of symbols."""
    if bits == 64:
        symbols = [struct.pack(order + "IBBHQQ", n, k, 0, s, v, z) for n, k, s, v, z in SYMBOLS]
        head, row = 64, "IIQQQQIIQQ"
    else:
        symbols = [struct.pack(order + "IIIBBH", n, v, z, k, 0, s) for n, k, s, v, z in SYMBOLS]
        head, row = 52, "10I"
    table = b"".join(symbols)
    sections = [
        (0,) * 10,
        (0, 3, 0, 0, head, len(NAMES), 0, 0, 1, 0),
        (0, 2, 0, 0, head + len(NAMES), len(table), 1, 0, 1, len(symbols[0])),
    ]
    start = head + len(NAMES) + len(table)
    front = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    if bits == 64:
        rest = struct.pack(
            order + "HHIQQQIHHHHHH", 3, 62, 1, 0, 0, start, 0, 64, 0, 0, 64, 3, 0
        )
    else:
        rest = struct.pack(order + "HHIIIIIHHHHHH", 3, 3, 1, 0, 0, start, 0, 52, 0, 0, 40, 3, 0)
    rows = b"".join(struct.pack(order + row, *section) for section in sections)
    return front + rest + NAMES + table + rows


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_functions_of_a_file(tmp_path: Path, bits: int, order: str) -> None:
    path = tmp_path / "demo"
    path.write_bytes(elf(bits, order))
    assert functions_of(path) == [(0x1000, 0x1040, "first"), (0x1040, 0x1050, "second")]


def test_sites_are_named(tmp_path: Path) -> None:
    path = tmp_path / "demo+1"
    path.write_bytes(elf(64, "<"))
    name = SiteNames()
    assert name(f"{path}+0x1004") == "demo+1!first+0x4"
    # A call may be the last instruction of its function.
    assert name(f"{path}+0x1040 < {path}+0x1041") == "demo+1!first+0x40 < demo+1!second+0x1"
    for nowhere in (0xFFF, 0x1000, 0x1051, 0x1101):
        assert name(f"{path}+{nowhere:#x}") == f"demo+1+{nowhere:#x}"
    assert name("/no/such/lib.so+0x10") == "lib.so+0x10"
    for other in ("0x7ffc1234", "main", "a+b", "/a+x", ""):
        assert name(other) == other


def test_damaged_files_name_nothing_or_something(tmp_path: Path) -> None:
    path = tmp_path / "demo"
    whole = elf(64, "<")
    random = Random(5)
    for turn in range(300):
        data = bytearray(whole)
        for _ in range(random.randrange(1, 4)):
            data[random.randrange(4, len(data))] = random.choice(
                (0, 1, 255, random.randrange(256))
            )
        path.write_bytes(data[: random.randrange(len(data))] if turn % 2 else data)
        for start, end, name in functions_of(path):
            assert start < end
            assert isinstance(name, str)
    path.write_bytes(b"#!/bin/sh\n")
    assert functions_of(path) == functions_of(tmp_path) == []
