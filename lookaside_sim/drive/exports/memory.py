"""The exported routines for memory: C's own, and those that `ddi` lacks.

They touch memory as the driver does, so what they touch that is not there stops the machine.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export


@export("memcpy", "memmove")
def _copy(env: Environment, to: int, source: int, size: int) -> int:
    if size:
        env.write(to, env.read(source, size))
    return to


@export("memset")
def _set(env: Environment, to: int, value: int, size: int) -> int:
    if size:
        env.write(to, bytes((value & 0xFF,)) * size)
    return to


@export("memcmp")
def _compare(env: Environment, one: int, other: int, size: int) -> int:
    first, second = env.read(one, size), env.read(other, size)
    return (first > second) - (first < second)


@export("strlen")
def _length(env: Environment, text: int) -> int:
    return len(env.text(text))


@export("wcslen")
def _wide_length(env: Environment, text: int) -> int:
    return len(env.text(text, 2).encode("utf-16-le")) // 2


def _order(first: str, second: str) -> int:
    return (first > second) - (first < second)


@export("strcmp")
def _compare_text(env: Environment, one: int, other: int) -> int:
    return _order(env.text(one), env.text(other))


@export("strncmp")
def _compare_some(env: Environment, one: int, other: int, most: int) -> int:
    return _order(env.text(one, 1, most), env.text(other, 1, most))


@export("wcscmp")
def _compare_wide(env: Environment, one: int, other: int) -> int:
    return _order(env.text(one, 2), env.text(other, 2))


@export("strcpy")
def _copy_text(env: Environment, to: int, source: int) -> int:
    env.write(to, env.text(source).encode("latin-1") + b"\0")
    return to


@export("strncpy")
def _copy_some(env: Environment, to: int, source: int, most: int) -> int:
    env.write(to, env.text(source, 1, most).encode("latin-1").ljust(most, b"\0"))
    return to


@export("strcat")
def _append(env: Environment, to: int, source: int) -> int:
    _copy_text(env, to + len(env.text(to)), source)
    return to


@export("strchr")
def _find(env: Environment, text: int, wanted: int) -> int:
    at = (env.text(text) + "\0").find(chr(wanted & 0xFF))
    return text + at if at >= 0 else 0


@export("wcscpy")
def _copy_wide(env: Environment, to: int, source: int) -> int:
    env.write(to, env.text(source, 2).encode("utf-16-le", "surrogatepass") + bytes(2))
    return to
