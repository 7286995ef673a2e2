"""Drawn programs: random ones, and ones read from bytes.

What no list of cases foresees is left to them; they are drawn toward the numbers that the
directed ones aim at.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from lookaside_sim.testing.programs.example import (
    BOUNDARY_COUNTS,
    BOUNDARY_ROUNDS,
    BOUNDARY_SECONDS,
    Example,
)
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Create,
    Fail,
    Flush,
    Free,
    FreeAt,
    FreeForeign,
    FreeInside,
    FreeTwice,
    Program,
    Reallocate,
    Step,
    Tick,
    Together,
)
from lookaside_sim.testing.programs.wants import Wants

__all__ = [
    "ByteChoices",
    "Choices",
    "RandomChoices",
    "draw_program",
    "program_from_bytes",
    "random_examples",
    "reuse_from_bytes",
]


class Choices(Protocol):
    """Where decisions come from: a random generator, bytes of a fuzzer, Hypothesis."""

    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""

    def exhausted(self) -> bool:
        """Whether there is nothing left to decide with."""


class RandomChoices:
    """Decisions from a seeded generator.

    Args:
        generator: the generator.
    """

    def __init__(self, generator: random.Random) -> None:
        self._random = generator.random

    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""
        return int(self._random() * count)

    def exhausted(self) -> bool:
        """Never."""
        return False


class ByteChoices:
    """Decisions from bytes, one byte each; zeros when they have run out.

    Args:
        data: the bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""
        if self._at >= len(self._data):
            return 0
        byte = self._data[self._at]
        self._at += 1
        return byte % count

    def exhausted(self) -> bool:
        """Whether all bytes are used."""
        return self._at >= len(self._data)


# How often each kind of step is drawn, of 32.
_KINDS: Final = (
    ("allocate", 9), ("free", 8), ("tick", 5), ("free at", 3), ("rounds", 2), ("flush", 2),
    ("fail", 2), ("load", 1),
)  # fmt: skip
_MISUSE: Final = {
    "double_free": FreeTwice(),
    "foreign_free": FreeForeign(),
    "interior_free": FreeInside(),
}
_WEIGHTED: Final = tuple(kind for kind, weight in _KINDS for _ in range(weight))


def draw_program(choices: Choices, most_steps: int = 50, wants: Wants | None = None) -> Program:
    """Put a program together, drawn toward the numbers of the specification.

    Args:
        choices: where decisions come from.
        most_steps: the most steps it may have.
        wants: what it is for; None is one list.

    Returns:
        A program for a single allocator.
    """
    program: Program = []
    wants = wants or Wants()
    while len(program) < most_steps and not choices.exhausted():
        program.append(_draw_step(choices, wants))
    return program


def _draw_step(choices: Choices, wants: Wants) -> Step:
    if wants.sized and not choices.below(3):
        return _draw_sized(choices, wants)
    if wants.misuse and not choices.below(24):
        return _MISUSE[wants.misuse[choices.below(len(wants.misuse))]]
    kind = _WEIGHTED[choices.below(len(_WEIGHTED))]
    if kind == "allocate":
        return Allocate(_draw_count(choices))
    if kind == "free":
        return Free(_draw_count(choices), oldest=bool(choices.below(2)))
    if kind == "tick":
        return Tick(_pick(choices, BOUNDARY_SECONDS))
    if kind == "rounds":
        return AllocateFree(_pick(choices, BOUNDARY_ROUNDS))
    if kind == "load":
        return AllocateEachSecond(_pick(choices, (1, 24, 25, 26, 75, 76)), 1 + choices.below(4))
    if kind == "free at":
        return FreeAt(choices.below(16))
    return Flush() if kind == "flush" else _draw_fail(choices)


def _draw_fail(choices: Choices) -> Fail:
    count, kind = 1 + choices.below(4), choices.below(4)
    if kind < 2:
        return Fail(count)
    return Fail(count, after=choices.below(4), bursts=1 if kind == 2 else 1 + choices.below(4))


def _draw_sized(choices: Choices, wants: Wants) -> Step:
    size = _pick(choices, wants.sizes_to_try())
    if wants.realloc and not choices.below(4):
        return Reallocate(choices.below(16), size)
    alignment = _pick(choices, (1, 8, 16, 32, 64, 4096)) if wants.aligned else None
    return Allocate(1 + choices.below(4), size=size, alignment=alignment)


def _draw_count(choices: Choices) -> int:
    # Mostly few: a program of only large steps says little about order.
    if choices.below(3):
        return 1 + choices.below(6)
    return _pick(choices, BOUNDARY_COUNTS)


def _pick(choices: Choices, among: Sequence[int]) -> int:
    return among[choices.below(len(among))]


def program_from_bytes(
    data: bytes, most_steps: int, wants: Wants | None = None, threads: int = 1
) -> Program:
    """Decode a program from bytes; see `operations_from_bytes`.

    Args:
        data: any bytes.
        most_steps: the most steps it may have, besides the creation.
        wants: what it is for; None is one list of any size.
        threads: how many threads use the allocator at once.
    """
    if not data:
        return []
    wants = wants or Wants()
    # The setting comes from the last byte, so that the steps depend on those in front alone.
    sizes = wants.sizes_to_try()
    size = sizes[(data[-1] >> 1) % len(sizes)]
    choices = ByteChoices(data[:-1])
    together: Program = [_draw_threads(choices, threads)] if threads > 1 else []
    # What was free before the threads begin, and what they left behind, is used too.
    before = draw_program(choices, choices.below(4), wants) if together else []
    rest = draw_program(choices, most_steps - len(before) - len(together), wants)
    return [Create(size), *before, *together, *rest]


def reuse_from_bytes(data: bytes) -> bool:
    """Whether the backend hands out addresses again in the program of some bytes.

    Args:
        data: any bytes.
    """
    return bool(data) and bool(data[-1] & 1)


def random_examples(
    seed: int | None, wants: Wants | None = None, threads: int = 1
) -> Iterator[Example]:
    """Random examples without end.

    Args:
        seed: chooses them; None is a fixed choice, the same in every run.
        wants: what they are for; None is one list of any size.
        threads: how many threads some of them have.
    """
    generator = random.Random(0x6C6F6F6B if seed is None else seed)
    choices = RandomChoices(generator)
    wants = wants or Wants()
    sizes = wants.sizes_to_try()
    while True:
        size = _pick(choices, sizes)
        program = draw_program(choices, 2 + choices.below(24), wants)
        if threads > 1:
            program.insert(choices.below(len(program)), _draw_threads(choices, threads))
        refused = None
        if not choices.below(8):
            refused = Fail(1 + choices.below(2), after=choices.below(4))
        yield Example(tuple(program), size, bool(choices.below(2)), refused)


def _draw_threads(choices: Choices, threads: int) -> Together:
    bodies: list[tuple[Step, ...]] = []
    for _ in range(threads):
        steps: list[Step] = []
        for _ in range(1 + choices.below(4)):
            count = 1 + choices.below(2)
            kinds = (Allocate(count), Free(count), AllocateFree(count))
            steps.append(kinds[choices.below(len(kinds))])
        bodies.append(tuple(steps))
    turns = {choices.below(40): choices.below(threads) for _ in range(choices.below(5))}
    return Together(tuple(bodies), tuple(sorted(turns.items())))
