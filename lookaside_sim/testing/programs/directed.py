"""Directed programs: each number of the specification, where one more or one less shows."""

from __future__ import annotations

from collections.abc import Iterator

from lookaside_sim.testing.programs.example import BOUNDARY_SIZES, Example
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Delete,
    Fail,
    Flush,
    Free,
    FreeAt,
    SetCounters,
    Step,
    Tick,
)

__all__ = ["battery"]


def battery(level: str) -> Iterator[Example]:
    """The directed examples of a level, cheap and telling ones first.

    Args:
        level: the contract.

    Returns:
        Examples of at most 10 steps, the same in every run.
    """
    for size in (32, 8, 24, 64):
        yield Example((Allocate(), Allocate(), Free(2), Allocate(3)), size)
    yield from _memory()
    if level == "lookaside":
        yield from _list()
        yield from _tuning()
        yield from _wrap()


def _memory() -> Iterator[Example]:
    yield Example(())
    yield Example((Allocate(6), Free(6, oldest=True), Allocate(7)))
    yield Example(
        (Allocate(6), Free(6), Allocate(6), FreeAt(3), Allocate(2), FreeAt(1)), reuse=True
    )
    yield Example(
        (Allocate(12), Free(12, oldest=True), Allocate(6), Flush(), Allocate(6)), reuse=True
    )
    yield Example((Allocate(3), Free(2, oldest=True), Flush(), Allocate(4), Flush()))
    yield Example((Fail(), Allocate(), Allocate(2), Free(3)))
    yield Example((Allocate(5), Fail(3), Allocate(4), Free(4), Allocate(6)))
    yield Example((Allocate(5), Free(2), Fail(2), Allocate(5), Free(9, oldest=True), Flush()))
    yield Example((Allocate(300), Free(300, oldest=True), Allocate(10)), reuse=True)
    yield Example((Allocate(40), Free(20), Allocate(40), Free(60, oldest=True)), 48)
    for size in BOUNDARY_SIZES:
        yield Example((Allocate(5), Free(5, oldest=True), Allocate(5), Free(2)), size)


def _list() -> Iterator[Example]:
    # How many entries an untuned list holds, in every order.
    for count in (3, 4, 5, 6):
        yield Example((Allocate(count), Free(count, oldest=True), Allocate(count)))
    yield Example((Allocate(7), FreeAt(2), FreeAt(4), FreeAt(), Allocate(5), Free(6)))
    # Failures with the list empty and not, twice in a row; afterwards all is as before.
    yield Example((Fail(2), Allocate(2), AllocateFree(3), Free(1), Allocate(2)))
    yield Example((Allocate(2), Free(2), Fail(), Allocate(3), Allocate(), Free(3)))
    yield Example((Fail(75), Allocate(75), Tick(), Allocate(20), Free(20), Allocate(8)))
    # Flush: empty, with entries, with entries held, twice, and between scans.
    yield Example((Flush(), Allocate(), Free(), Flush(), Flush(), Allocate()))
    yield Example((Allocate(6), Free(3), Flush(), Free(3), Flush(), Allocate(6), Free(6)))
    yield Example((Allocate(75), Flush(), Tick(), Free(75), Flush(), Allocate(3), Tick(3)))
    # Delete: with entries on the list, with entries held, after a flush, of a full list.
    yield Example((Allocate(6), Free(3), Delete()))
    yield Example((Allocate(2), Delete()))
    yield Example((Allocate(5), Free(5), Flush(), Allocate(2), Delete()))
    yield Example((AllocateEachSecond(75, 1), Free(75), Delete()))


def _tuning() -> Iterator[Example]:
    # Which seconds are scans, and what counts as hardly used.
    yield Example((AllocateEachSecond(75, 7), Free(80), Tick(12), Allocate(4)))
    yield Example((Tick(), Allocate(75), Tick(), Tick(), Tick(), Allocate(75), Tick(3)))
    for count in (74, 75, 76):
        yield Example((Allocate(count), Tick(), Tick(), Tick(), Tick()))
        yield Example((Tick(), AllocateFree(count), Tick(3), Allocate(count), Tick(3), Tick(3)))
    # A raised limit lets entries stay, a lowered one takes none away.
    yield Example((Allocate(75), Tick(), Free(75), Tick(3), Allocate(40), Free(40), Tick(9)))
    yield Example((Allocate(75), Tick(), Free(35), Tick(6), Free(2), Allocate(30), Free(30)))
    # Down by 10 for an idle list, by 1 for a calm one, never under 4.
    yield Example((AllocateEachSecond(75, 7), Tick(2), Tick(3), Tick(3), Tick(3), Tick(12)))
    yield Example((Allocate(75), Tick(), Tick(3), Tick(3), Tick(3), Tick(3)))
    calm: list[Step] = [Allocate(75), Tick(), Free(75)]
    for _ in range(3):
        calm += [AllocateFree(80), Tick(3)]
    yield Example(tuple(calm))
    yield Example(
        (Allocate(), Free(), Tick(), AllocateFree(400), Tick(3), Allocate(80), Tick(3))
    )
    # 4, 5 and 6 misses a thousand; the same just above and below by other divisions.
    for misses, allocates in (
        (4, 1000), (5, 1000), (6, 1000), (1, 200), (1, 201), (1, 199), (1, 166), (1, 167),
        (2, 399), (2, 401), (1, 250), (1, 251), (5, 1001), (5, 999),
    ):  # fmt: skip
        yield _scan(misses, allocates)
        # From depth 34 a step of one down shows, which it does not at the least depth.
        yield _scan(misses, allocates, grown=True)
    # Growth: the ratio times the room of 252 just over and under multiples of 2000, and where
    # the step meets its limit of 30.
    for misses, allocates in (
        (8, 1000), (16, 500), (1, 125), (24, 75), (7, 75), (15, 76), (75, 379), (127, 1000),
        (119, 1000), (143, 1000), (191, 1000), (198, 1000), (199, 1000), (206, 1000), (207, 1000),
        (80, 80), (1, 75), (2, 75), (3, 75), (17, 100), (36, 300), (62, 500), (97, 1000),
    ):  # fmt: skip
        yield _scan(misses, allocates)
    # All the way up to 256, where 256 and not one more fit; then down again.
    yield Example((AllocateEachSecond(25, 31), Tick(3)))
    yield Example((AllocateEachSecond(75, 34), Free(300), Allocate(260), Free(400)))
    yield Example((AllocateEachSecond(80, 29), Tick(2), Allocate(200), Tick(3), Tick(90)))
    # Counters of narrow types.
    yield Example((AllocateFree(300), Allocate(260), Free(260), AllocateFree(1100)))
    yield Example((Allocate(1100), Free(1100), Tick(), AllocateFree(5000), Tick(3)), 8)


def _scan(misses: int, allocates: int, *, grown: bool = False) -> Example:
    """One scan with so many misses in so many allocations."""
    start: list[Step] = []
    if grown:
        start = [Allocate(75), Tick(), Flush()]
    rounds = allocates - misses
    steps = [*start, Allocate(misses), Free(misses)]
    if rounds:
        steps.append(AllocateFree(rounds))
    return Example((*steps, Tick(3 if grown else 1)))


def _wrap() -> Iterator[Example]:
    for value in (0xFFFF_FFFF, 0xFFFF_FFC0):
        yield Example((SetCounters(value), Allocate(75), Free(75), Tick(), Allocate(), Tick(3)))
    yield Example(
        (SetCounters(0xFFFF_FFF0), AllocateFree(80), Tick(), Flush(), Free(), Tick(3))
    )
    # 16 bits do wrap within reach, on both sides at once.
    yield Example((Allocate(65_600), Free(65_600), Tick()), 8)
