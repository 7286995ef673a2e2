"""Directed programs: each number of the specification, where one more or one less shows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

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
    FreeForeign,
    FreeInside,
    FreeTwice,
    Reallocate,
    SetCounters,
    Step,
    Tick,
)
from lookaside_sim.testing.programs.wants import Wants

__all__ = ["Wants", "battery"]


def battery(wants: Wants) -> Iterator[Example]:
    """The directed examples for an allocator, cheap and telling ones first.

    Args:
        wants: what it promises.

    Returns:
        Examples of at most 10 steps, the same in every run.
    """
    for example in _all(wants):
        yield wants.fit(example)


def _all(wants: Wants) -> Iterator[Example]:
    for size in (32, 8, 24, 64):
        yield Example((Allocate(), Allocate(), Free(2), Allocate(3)), size)
    yield from _misuse(wants)
    if wants.sized:
        yield from _several_sizes(wants)
    yield from _memory()
    if not wants.lists:
        yield from _load()
    if wants.depth is not None:
        yield from _depth(wants.depth)
    if wants.capacity is not None:
        yield from _depth(wants.capacity)
    if wants.lists:
        yield from _list()
        yield from _tuning()
        yield from _wrap()
    for size in wants.sizes_to_try():
        if wants.sizes is not None:
            yield Example((Allocate(3), Free(3, oldest=True), Allocate(4)), size)


def _misuse(wants: Wants) -> Iterator[Example]:
    steps: dict[str, tuple[Step, ...]] = {
        "double_free": (FreeTwice(),),
        "foreign_free": (FreeForeign(),),
        "interior_free": (FreeInside(), FreeInside(1), FreeInside(16)),
    }
    for name in wants.misuse:
        for step in steps[name]:
            yield Example((Allocate(2), step, Allocate(2)), 32)
            yield Example((Allocate(6), Free(5), step, step, Allocate(6)), 48)


def _several_sizes(wants: Wants) -> Iterator[Example]:
    sizes = wants.sizes_to_try()
    mixed = tuple(Allocate(2, size=size) for size in sizes[:8])
    yield Example((*mixed, Free(2)))
    yield Example((*mixed[:4], Free(8, oldest=True), *mixed[4:8]))
    for small, large in pairwise(sizes):
        yield Example(
            (Allocate(3, size=large), Free(2), Allocate(3, size=small), Free(4, oldest=True),
             Allocate(2, size=large))
        )  # fmt: skip
    if wants.aligned:
        for alignment in (1, 16, 32, 64, 128, 256, 4096):
            yield Example((Allocate(3, size=sizes[0], alignment=alignment), Allocate(), Free(2),
                           Allocate(2, size=sizes[-1], alignment=alignment)))  # fmt: skip
    if wants.realloc:
        for old, new in (*pairwise(sizes), (sizes[-1], sizes[0])):
            yield Example((Allocate(2, size=old), Reallocate(0, new), Allocate(size=old)))
            yield Example(
                (Allocate(2, size=old), Fail(), Reallocate(0, new), Reallocate(1, old))
            )


def _load() -> Iterator[Example]:
    """Capacity and growth: the same load again and again."""
    yield Example((Allocate(20), Free(20), Allocate(20), Free(20, oldest=True), Allocate(20)))
    for entries in (1, 3, 20):
        yield Example((AllocateFree(400 if entries < 20 else 330, entries=entries),))
    yield Example((Allocate(80), Free(80), AllocateFree(90), Allocate(80)))
    yield Example((Fail(), Allocate(2), Free(2), Allocate(3), Free(3), Allocate(3)))


def _depth(depth: int) -> Iterator[Example]:
    """One less, as many and one more than are kept, in every order."""
    for count in (depth - 1, depth, depth + 1, 2 * depth + 3):
        if count > 0:
            yield Example((Allocate(count), Free(count, oldest=True), Allocate(count)))
            yield Example((Allocate(count), Free(count), Allocate(count + 1), Flush()))


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
    for after in range(4):
        yield Example((Allocate(),), refused=Fail(after=after))
        yield Example((Fail(after=after), Allocate(), Allocate(2), Free(3)))
    yield Example((Fail(2, after=1, bursts=4), Allocate(9), Free(9, oldest=True), Allocate(5)))
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
