"""The exported string and number routines that `ddi` lacks.

Source:
    [doc] the page of each routine (wdm.h, ntddk.h).
"""

from __future__ import annotations

import re
from typing import Final

from lookaside_sim import ddi
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export
from lookaside_sim.nt.types import NtStatus

_INVALID: Final = int(NtStatus.STATUS_INVALID_PARAMETER)
_OVERFLOW: Final = 0x8000_0005  # STATUS_BUFFER_OVERFLOW
_BASES: Final = {0: 10, 2: 2, 8: 8, 10: 10, 16: 16}
_NUMBER: Final = re.compile(r"\s*([-+]?)(0[xob])?([0-9a-f]*)", re.IGNORECASE)
_PREFIXES: Final = {"0x": 16, "0o": 8, "0b": 2}
_DIGITS: Final = "0123456789ABCDEF"


@export("RtlInitString")
def _init(env: Environment, string: int, source: int) -> None:
    ddi.RtlInitAnsiString(string, source)


def _two(env: Environment, one: int, other: int, folds: int) -> tuple[str, str]:
    first, second = env.counted(one, 1), env.counted(other, 1)
    return (first.upper(), second.upper()) if folds else (first, second)


@export("RtlCompareString")
def _compare(env: Environment, one: int, other: int, folds: int) -> int:
    first, second = _two(env, one, other, folds)
    return (first > second) - (first < second)


@export("RtlEqualString")
def _equal(env: Environment, one: int, other: int, folds: int) -> bool:
    first, second = _two(env, one, other, folds)
    return first == second


@export("RtlUpcaseUnicodeChar")
def _upcase(env: Environment, character: int) -> int:
    upper = chr(character).upper()
    return ord(upper) if len(upper) == 1 and ord(upper) < 1 << 16 else character


@export("RtlIntegerToUnicodeString")
def _write_number(env: Environment, value: int, base: int, string: int) -> int:
    if base not in _BASES:
        return _INVALID
    digits, base = "", _BASES[base]
    while value or not digits:
        value, digit = divmod(value, base)
        digits = _DIGITS[digit] + digits
    raw = digits.encode("utf-16-le")
    room = env.number(string + 2, 2)
    if len(raw) > room:
        return _OVERFLOW
    end = bytes(2) if len(raw) + 2 <= room else b""
    env.write(env.pointer(string + env.pointer_size), raw + end)
    env.put(string, len(raw), 2)
    return 0


@export("RtlUnicodeStringToInteger")
def _read_number(env: Environment, string: int, base: int, value: int) -> int:
    if base not in _BASES:
        return _INVALID
    found = _NUMBER.match(env.counted(string, 2))
    assert found is not None, "everything in it may be missing"
    sign, prefix, digits = found.groups()
    if not base and prefix:
        base = _PREFIXES[prefix.lower()]
    elif prefix:
        digits = "0"
    number = 0
    for digit in digits.upper():
        if _DIGITS.index(digit) >= _BASES[base]:
            break
        number = number * _BASES[base] + _DIGITS.index(digit)
    env.put(value, -number if sign == "-" else number, 4)
    return 0
