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
    BOUNDARY_SIZES,
    Example,
)
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Fail,
    Flush,
    Free,
    FreeAt,
    Program,
    Step,
    Tick,
)

__all__ = [
    "ByteChoices",
    "Choices",
    "RandomChoices",
    "draw_program",
    "operations_from_bytes",
    "random_examples",
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
_WEIGHTED: Final = tuple(kind for kind, weight in _KINDS for _ in range(weight))


def draw_program(choices: Choices, most_steps: int = 50) -> Program:
    """Put a program together, drawn toward the numbers of the specification.

    Args:
        choices: where decisions come from.
        most_steps: the most steps it may have.

    Returns:
        A program for a single allocator.
    """
    program: Program = []
    while len(program) < most_steps and not choices.exhausted():
        program.append(_draw_step(choices))
    return program


def _draw_step(choices: Choices) -> Step:
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
    return Flush() if kind == "flush" else Fail(1 + choices.below(4))


def _draw_count(choices: Choices) -> int:
    # Mostly few: a program of only large steps says little about order.
    if choices.below(3):
        return 1 + choices.below(6)
    return _pick(choices, BOUNDARY_COUNTS)


def _pick(choices: Choices, among: Sequence[int]) -> int:
    return among[choices.below(len(among))]


def operations_from_bytes(data: bytes, most_steps: int = 50) -> Program:
    """Decode a program from bytes, for coverage-guided fuzzers.

    Every byte string is a program, nearby strings are similar programs, and longer ones have
    longer programs.

    Args:
        data: any bytes.
        most_steps: the most steps it may have.

    Returns:
        A program for `run_program`.
    """
    return draw_program(ByteChoices(data), most_steps)


def random_examples(seed: int | None) -> Iterator[Example]:
    """Random examples without end.

    Args:
        seed: chooses them; None is a fixed choice, the same in every run.
    """
    generator = random.Random(0x6C6F6F6B if seed is None else seed)
    choices = RandomChoices(generator)
    while True:
        size = _pick(choices, BOUNDARY_SIZES)
        program = draw_program(choices, 2 + choices.below(24))
        yield Example(tuple(program), size, reuse=bool(choices.below(2)))
