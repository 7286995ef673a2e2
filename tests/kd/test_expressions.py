"""Expressions: numbers, operators, symbols, ranges, and what the shell says of bad ones."""

from __future__ import annotations

import random

import pytest

from lookaside_sim.kd.expressions import Range, Reader, number_of
from lookaside_sim.kd.numbers import WORD_MASK
from lookaside_sim.kd.refusal import Refusal


class Names:
    """A scope with a few names and 32 bytes of memory at 1000."""

    radix = 16
    pointer_size = 8
    memory = bytes(range(0x20))

    def symbol(self, name: str) -> int | None:
        known = {"requests": 0xFFFF_F80A_1D25_3000, "nt!add": 0x77, "add": 0x77, "my list": 5}
        return known.get(name.lower())

    def register(self, name: str) -> int | None:
        return {"$t0": 7}.get(name)

    def word_at(self, address: int, size: int) -> int | None:
        at = address - 0x1000
        if not 0 <= at <= len(self.memory) - size:
            return None
        return int.from_bytes(self.memory[at : at + size], "little")


def value(text: str, scope: Names | None = None) -> int:
    reader = Reader(text, scope or Names())
    found = reader.expression()
    reader.end()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 0x10),
        ("0n10", 10),
        ("0x10", 16),
        ("0t10", 8),
        ("0y10", 2),
        ("10h", 0x10),
        ("0x", 0),
        ("ffffd200`00001fc0", 0xFFFF_D200_0000_1FC0),
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("10-1-1", 14),
        ("-1", WORD_MASK),
        ("- 1 + 2", 1),
        ("7 / 2", 3),
        ("7 mod 4", 3),
        ("7%4", 3),
        ("1<<4", 0x10),
        ("1 << 40", 0),
        ("f0>>4", 0xF),
        ("-10>>>4", WORD_MASK),
        ("f0 & 3c", 0x30),
        ("f0 and 3c", 0x30),
        ("f0 | f", 0xFF),
        ("f0 or f xor f", 0xF0),
        ("1 = 1", 1),
        ("1 == 2", 0),
        ("1 != 2", 1),
        ("1 <= 1", 1),
        ("2 >= 3", 0),
        ("1 < 2", 1),
        ("not 0", 1),
        ("not(5)", 0),
        ("hi 12345678", 0x1234),
        ("low 12345678", 0x5678),
        ("by(1000)", 0),
        ("wo 1001", 0x0201),
        ("dwo(1000)", 0x0302_0100),
        ("poi(1000)", 0x0706_0504_0302_0100),
        ("qwo(1000)+1", 0x0706_0504_0302_0101),
        ("Requests+8", 0xFFFF_F80A_1D25_3008),
        ("requests", 0xFFFF_F80A_1D25_3000),
        ("add", 0xADD),
        ("!add", 0x77),
        ("nt!add", 0x77),
        ('@!"my list"', 5),
        ("@$t0+1", 8),
        ("$t0", 7),
        ("$vvalid(1000, 20)", 1),
        ("$vvalid(1000, 21)", 0),
        ("$vvalid(0, 1)", 0),
    ],
)
def test_values(text: str, expected: int) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Numeric expression missing from '<EOL>'"),
        ("1+", "Numeric expression missing from '<EOL>'"),
        ("nothing", "Couldn't resolve error at 'nothing'"),
        ("poi(0)", "Memory access error at 'poi(0)'"),
        ("1/0", "Divide by zero error at '/0'"),
        ("(1", "Syntax error at '<EOL>'"),
        (")", "Syntax error at ')'"),
        ("1 2", "Extra character error in '2'"),
        ("10000000000000000", "Overflow error at '10000000000000000'"),
        ("@rax", "Bad register error at '@rax'"),
        ("$t99", "Bad register error at '$t99'"),
    ],
)
def test_what_is_wrong_is_said_in_the_debuggers_words(text: str, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        value(text)
    assert str(refused.value) == said


def test_the_radix_is_for_numbers_without_a_prefix() -> None:
    scope = Names()
    scope.radix = 10
    assert value("10 + 0x10 + 10h", scope) == 42
    scope.radix = 8
    assert value("10", scope) == 8
    assert number_of("9", 8) is None


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("1000", 1, Range(0x1000, None)),
        ("1000 L20", 1, Range(0x1000, 0x20)),
        ("1000 l 8", 4, Range(0x1000, 0x20)),
        ("1000 L?20000000", 1, Range(0x1000, 0x2000_0000)),
        ("1000 L-10", 1, Range(0xFF0, 0x10)),
        ("1000 1007", 1, Range(0x1000, 8)),
        ("Requests+8 L1", 8, Range(0xFFFF_F80A_1D25_3008, 8)),
    ],
)
def test_ranges(text: str, unit: int, expected: Range) -> None:
    reader = Reader(text, Names())
    assert reader.range(unit) == expected
    reader.end()


def test_a_range_that_is_none() -> None:
    for text in ("1000 L20000000", "1000 fff"):
        with pytest.raises(Refusal, match="Range error"):
            Reader(text, Names()).range()


def test_arguments_follow_each_other() -> None:
    reader = Reader("1000 2+1 (4)", Names())
    assert [reader.expression() for _ in range(3)] == [0x1000, 3, 4]
    assert reader.rest == ""


def test_operators_agree_with_python() -> None:
    chance = random.Random(5)
    for _ in range(300):
        numbers = [chance.randrange(1, 1 << chance.choice((3, 8, 12))) for _ in range(4)]
        signs = [chance.choice(["+", "-", "*", "/", "%", "&", "|", "^"]) for _ in range(3)]
        typed = f"{numbers[0]:x}" + "".join(
            f" {sign} {number:x}" for sign, number in zip(signs, numbers[1:], strict=True)
        )
        python = f"{numbers[0]}" + "".join(
            f" {sign} {number}" for sign, number in zip(signs, numbers[1:], strict=True)
        ).replace("/", "//")
        if any(sign in "/%" for sign in signs) and "-" in signs:
            continue  # a number below zero divides as the word that it is
        assert value(typed) == eval(python) & WORD_MASK, typed
