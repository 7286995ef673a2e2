"""The steps of a program: what a test does with an allocator, as plain values.

A program is a list of steps. A step names a live entry by its place in the order of
allocation, never by address, so every program stays valid when steps are taken out of it:
what no longer has an entry to work on does nothing. Bulk steps ("allocate 75") are one step,
because a rule about 75 allocations in 3 seconds is best shown by two lines, not by 78.

The repr of a step is the source that makes it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

import attrs
from attrs import validators

from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
)
from lookaside_sim.machine import calls
from lookaside_sim.machine.calls import RaiseIrql, WriteMemory
from lookaside_sim.pool.calls import AllocateBlock

__all__ = [
    "Allocate",
    "AllocateEachSecond",
    "AllocateFree",
    "Create",
    "Delete",
    "Fail",
    "Flush",
    "Free",
    "FreeAt",
    "FreeForeign",
    "FreeInside",
    "FreeTwice",
    "FreeWrongList",
    "Program",
    "Reallocate",
    "SetCounters",
    "SetIrql",
    "Step",
    "Tick",
    "Together",
    "WriteAfterFree",
    "format_program",
    "is_misuse",
    "split_program",
]

_positive = [validators.instance_of(int), validators.ge(1)]
_natural = [validators.instance_of(int), validators.ge(0)]


def _threads(threads: Iterable[Iterable[Step]]) -> tuple[tuple[Step, ...], ...]:
    return tuple(tuple(each) for each in threads)


def _turns(turns: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple((at, to) for at, to in turns)


_optional = validators.optional(_positive)


@attrs.frozen(repr=False)
class Step:
    """Base of all steps; its repr leaves out what is the default.

    Attributes:
        words: which calls it makes on a machine, by `Call.word`, in the order of the first of
            each.
    """

    words: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        shown = []
        by_position = True
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if value == field.default:
                by_position = False
            elif by_position and not field.kw_only:
                shown.append(repr(value))
            else:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@attrs.frozen(repr=False)
class Create(Step):
    """Initialize a lookaside list; its number is how many were created before.

    Attributes:
        size: bytes of an entry.
        pool_type: pool the entries come from, as a number.
        tag: pool tag, 4 bytes in memory order.
        flags: as ExInitializeLookasideListEx takes them.
        depth: likewise.
    """

    words: ClassVar[tuple[str, ...]] = (InitializeList.word,)
    size: int = attrs.field(default=32, validator=_natural)
    pool_type: int = attrs.field(default=0, validator=_natural, kw_only=True, converter=int)
    tag: bytes = attrs.field(default=b"tseT", kw_only=True, converter=bytes)
    flags: int = attrs.field(default=0, validator=_natural, kw_only=True)
    depth: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class Allocate(Step):
    """Allocate ``count`` entries and keep them.

    Attributes:
        count: how many.
        size: bytes of each, of an allocator that takes a size; None is the program's size.
        alignment: what their addresses must be multiples of, of an allocator that takes one.
        on: which list.
    """

    words: ClassVar[tuple[str, ...]] = (AllocateEntry.word,)
    count: int = attrs.field(default=1, validator=_positive)
    size: int | None = attrs.field(default=None, validator=_optional, kw_only=True)
    alignment: int | None = attrs.field(default=None, validator=_optional, kw_only=True)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class Free(Step):
    """Free ``count`` live entries: the newest ones first, or the oldest first."""

    words: ClassVar[tuple[str, ...]] = (FreeEntry.word,)
    count: int = attrs.field(default=1, validator=_positive)
    oldest: bool = attrs.field(default=False, kw_only=True)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class FreeAt(Step):
    """Free one live entry: number ``index`` in order of allocation, modulo how many live."""

    words: ClassVar[tuple[str, ...]] = (FreeEntry.word,)
    index: int = attrs.field(default=0, validator=_natural)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class AllocateFree(Step):
    """Allocate ``entries`` entries and free them again, oldest first, ``count`` times."""

    words: ClassVar[tuple[str, ...]] = (
        AllocateEntry.word,
        FreeEntry.word,
    )
    count: int = attrs.field(default=1, validator=_positive)
    entries: int = attrs.field(default=1, validator=_positive, kw_only=True)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class AllocateEachSecond(Step):
    """Allocate ``count`` entries and keep them, then let a second pass, ``seconds`` times."""

    words: ClassVar[tuple[str, ...]] = (
        AllocateEntry.word,
        calls.Tick.word,
    )
    count: int = attrs.field(default=1, validator=_positive)
    seconds: int = attrs.field(default=1, validator=_positive)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class Reallocate(Step):
    """Give one live entry another size, of an allocator that can.

    Attributes:
        index: the entry's number in order of allocation, modulo how many live.
        size: its bytes from now on.
        on: which list.
    """

    index: int = attrs.field(default=0, validator=_natural)
    size: int = attrs.field(default=32, validator=_positive)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class Flush(Step):
    """Flush the list."""

    words: ClassVar[tuple[str, ...]] = (FlushList.word,)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class Delete(Step):
    """Delete the list, whatever entries are still held; later steps on it do nothing."""

    words: ClassVar[tuple[str, ...]] = (DeleteList.word,)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class Tick(Step):
    """Let whole seconds pass, each with one run of the balance set manager."""

    words: ClassVar[tuple[str, ...]] = (calls.Tick.word,)
    seconds: int = attrs.field(default=1, validator=_positive)


@attrs.frozen(repr=False)
class Fail(Step):
    """From now on the memory under the allocator refuses requests.

    Before the `Create` of a program it holds for the creation alone.

    Attributes:
        count: how many requests in a row.
        after: how many are granted before.
        bursts: how often this is so, one time after the other.
    """

    count: int = attrs.field(default=1, validator=_positive)
    after: int = attrs.field(default=0, validator=_natural, kw_only=True)
    bursts: int = attrs.field(default=1, validator=_positive, kw_only=True)


@attrs.frozen(repr=False)
class SetCounters(Step):
    """Set all counters, and what the last scan saw of them, to one value.

    The way to the wrap of a ULONG: four thousand million calls are too many for a test.
    """

    words: ClassVar[tuple[str, ...]] = (WriteMemory.word,)
    value: int = attrs.field(
        default=0xFFFF_FFFF, validator=[*_natural, validators.le(0xFFFF_FFFF)]
    )
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class Together(Step):
    """Run steps of several threads on one allocator, in turns that are told.

    Attributes:
        threads: the steps of each: `Allocate`, `Free`, `FreeAt`, `AllocateFree`. A thread frees
            entries that it allocated itself, then those that lived before.
        schedule: pairs of a switch point, counted from 0 over all threads, and the thread that
            goes on there. Thread 0 begins; where one ends, the first that has not goes on.
    """

    threads: tuple[tuple[Step, ...], ...] = attrs.field(default=(), converter=_threads)
    schedule: tuple[tuple[int, int], ...] = attrs.field(default=(), converter=_turns)


@attrs.frozen(repr=False)
class SetIrql(Step):
    """Run what follows at this IRQL, by number."""

    words: ClassVar[tuple[str, ...]] = (RaiseIrql.word,)
    level: int = attrs.field(default=0, validator=[*_natural, validators.le(15)])


# --- misuse: what a correct program never does ------------------------------------------


@attrs.frozen(repr=False)
class FreeTwice(Step):
    """Free the newest live entry, then free it again."""

    words: ClassVar[tuple[str, ...]] = (FreeEntry.word,)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class FreeWrongList(Step):
    """Free the newest live entry of one list to another."""

    words: ClassVar[tuple[str, ...]] = (FreeEntry.word,)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)
    to: int = attrs.field(default=1, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class FreeForeign(Step):
    """Free a pool block to a list that did not hand it out."""

    words: ClassVar[tuple[str, ...]] = (
        AllocateBlock.word,
        FreeEntry.word,
    )
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class FreeInside(Step):
    """Free an address ``offset`` bytes inside the newest live entry."""

    offset: int = attrs.field(default=8, validator=_positive)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


@attrs.frozen(repr=False)
class WriteAfterFree(Step):
    """Free the newest live entry, then overwrite its first pointer."""

    words: ClassVar[tuple[str, ...]] = (
        FreeEntry.word,
        WriteMemory.word,
    )
    value: int = attrs.field(default=0, validator=_natural)
    on: int = attrs.field(default=0, validator=_natural, kw_only=True)


_MISUSE = (FreeTwice, FreeWrongList, FreeForeign, FreeInside, WriteAfterFree)

Program: TypeAlias = list[Step]
"""What strategies draw, harnesses run and reports show."""


def is_misuse(step: Step) -> bool:
    """Whether a step breaks the contract of lookaside lists.

    Args:
        step: any step.
    """
    return isinstance(step, _MISUSE)


def format_program(program: Iterable[Step], indent: str = "    ") -> str:
    """Write a program as source, one step a line.

    Args:
        program: its steps.
        indent: put before every line.

    Returns:
        Lines that each end in a comma, joined by newlines.
    """
    return "\n".join(f"{indent}{step!r}," for step in program)


def split_program(program: Program) -> tuple[Fail | None, int, Program]:
    """Take what is said about the creation off a program for a single allocator.

    Args:
        program: the steps, with a `Create` in front or not, and a `Fail` before that or not.

    Returns:
        What is refused during the creation, the size, 32 bytes where nothing says it, and the
        other steps.
    """
    refused = None
    if len(program) > 1 and isinstance(program[0], Fail) and isinstance(program[1], Create):
        refused = program[0]
        program = program[1:]
    if program and isinstance(program[0], Create):
        return refused, program[0].size, list(program[1:])
    return None, Create().size, list(program)
