"""Formats of the kernel's printf."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lookaside_sim.ddi.printf import formatted

TEXTS = {0x1000: "narrow", 0x2000: "wide", 0x3000: "counted"}


class Memory:
    """Texts at addresses, as an environment reads them."""

    def __init__(self, pointer_size: int) -> None:
        self.pointer_size = pointer_size
        self.splits = pointer_size == 4
        self.widths: list[int] = []

    def text(self, address: int, width: int = 1, most: int = 1 << 16) -> str:
        self.widths.append(width)
        return TEXTS[address][:most]

    def counted(self, address: int, width: int) -> str:
        self.widths.append(width)
        return TEXTS[address]


def shown(text: str, *arguments: int, pointer_size: int = 8) -> str:
    rest: Iterator[int] = iter(arguments)
    return formatted(Memory(pointer_size), text, rest)


@pytest.mark.parametrize(
    ("text", "arguments", "wanted"),
    [
        ("plain", (), "plain"),
        ("100%%", (), "100%"),
        ("%d %i", (0xFFFF_FFFF, 7), "-1 7"),
        ("%u", (0xFFFF_FFFF,), "4294967295"),
        ("%x %X %o", (0xAB, 0xAB, 8), "ab AB 10"),
        ("%#x %#X %#o %#x", (0xAB, 0xAB, 8, 0), "0xab 0XAB 010 0"),
        (
            "[%5d][%-5d][%05d][%+d][% d]",
            (42, 42, 42, 42, 42),
            "[   42][42   ][00042][+42][ 42]",
        ),
        ("[%05d][%.4d][%8.4d]", (-42 & 0xFFFF_FFFF, 42, 42), "[-0042][0042][    0042]"),
        ("[%*d][%-*d]", (5, 42, 5, 42), "[   42][42   ]"),
        ("[%*d]", (-5 & 0xFFFF_FFFF, 42), "[42   ]"),
        ("%ld %lu", (0xFFFF_FFFF, 1), "-1 1"),
        ("%I64d %llu", (-5 & (1 << 64) - 1, 1 << 63), f"-5 {1 << 63}"),
        ("%zu %Ix", (1 << 40, 1 << 40), f"{1 << 40} 10000000000"),
        ("%c%c", (0x41, 0x42), "AB"),
        ("%s|%10s|%-10s|%.3s", (0x1000,) * 4, "narrow|    narrow|narrow    |nar"),
        ("%s %S", (0, 0), "(null) (null)"),
        ("%wZ %Z", (0x3000, 0x3000), "counted counted"),
        ("%wZ", (0,), "(null)"),
        ("%p", (0xABC,), "0000000000000ABC"),
        ("%y", (), "%y"),
        ("%", (), "%"),
    ],
)
def test_a_format(text: str, arguments: tuple[int, ...], wanted: str) -> None:
    assert shown(text, *arguments) == wanted


def test_widths_of_texts() -> None:
    memory = Memory(8)
    formatted(memory, "%s %hs %ls %S %ws %hS %wZ %Z", iter((0x1000,) * 6 + (0x3000,) * 2))
    assert memory.widths == [1, 1, 2, 2, 2, 1, 2, 1]


def test_x86_passes_large_numbers_in_two_slots() -> None:
    assert shown("%I64d %d", 0xFFFF_FFFB, 0xFFFF_FFFF, 9, pointer_size=4) == "-5 9"
    assert shown("%p %zu", 0xABC, 7, pointer_size=4) == "00000ABC 7"
