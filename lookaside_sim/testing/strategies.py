"""Hypothesis strategies for what lookaside lists and pools take.

They shrink toward what a person would write: 32 bytes of NonPagedPool, one list, single
allocations. What is drawn is valid unless a strategy is asked for misuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lookaside_sim.testing.extra import require

require("hypothesis")

from hypothesis import strategies as st  # noqa: E402 - checked for above
from hypothesis.strategies import SearchStrategy  # noqa: E402

from lookaside_sim.allocator import Layout  # noqa: E402
from lookaside_sim.nt.types import Irql, NtStatus, PoolTag, PoolType  # noqa: E402
from lookaside_sim.testing.programs.example import (  # noqa: E402
    BOUNDARY_COUNTS,
    BOUNDARY_ROUNDS,
    BOUNDARY_SECONDS,
)
from lookaside_sim.testing.programs.steps import (  # noqa: E402
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Create,
    Delete,
    Fail,
    Flush,
    Free,
    FreeAt,
    FreeForeign,
    FreeTwice,
    FreeWrongList,
    Program,
    SetCounters,
    SetIrql,
    Step,
    Tick,
    WriteAfterFree,
)
from lookaside_sim.trace import Event  # noqa: E402
from lookaside_sim.trace.replay import MICROSECONDS  # noqa: E402

__all__ = [
    "allocator_operations",
    "layouts",
    "list_steps",
    "operations",
    "pool_types",
    "sizes",
    "tags",
    "traces",
]

_NONPAGED: Final = (
    PoolType.NonPagedPool,
    PoolType.NonPagedPoolNx,
    PoolType.NonPagedPoolCacheAligned,
    PoolType.NonPagedPoolNxCacheAligned,
    PoolType.NonPagedPoolSession,
    PoolType.NonPagedPoolSessionNx,
)
_PAGED: Final = (
    PoolType.PagedPool,
    PoolType.PagedPoolCacheAligned,
    PoolType.PagedPoolSession,
    PoolType.PagedPoolCacheAlignedSession,
)
# What ExInitializeLookasideListEx answers with STATUS_INVALID_PARAMETER_4.
_REFUSED: Final = (
    PoolType.DontUseThisType,
    PoolType.MaxPoolType,
    PoolType.DontUseThisTypeSession,
    PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE,
    PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE,
    PoolType.POOL_ZERO_ALLOCATION,
)
_TAG_CHARACTERS: Final = [*map(chr, range(0x61, 0x7B)), *map(chr, range(0x20, 0x61)), *"{|}~"]
_REFUSED_TAGS: Final = ("BIG ",)
# Around the least entry, the alignment, the largest block with a header and a page.
_SIZES: Final = (
    32, 8, 1, 2, 3, 4, 5, 7, 9, 15, 16, 17, 24, 31, 33, 48, 64, 100, 255, 256, 257, 496, 512,
    1024, 2048, 4063, 4064, 4065, 4080, 4095, 4096, 4097,
)  # fmt: skip


def pool_types(*, paged: bool | None = None, valid: bool = True) -> SearchStrategy[PoolType]:
    """Pool types that a lookaside list can be made with.

    Args:
        paged: only paged or only nonpaged ones; None for both.
        valid: False draws also what ExInitializeLookasideListEx refuses.
    """
    among: tuple[PoolType, ...] = ()
    if paged is not True:
        among += _NONPAGED
    if paged is not False:
        among += _PAGED
    return st.sampled_from(among if valid else among + _REFUSED)


def tags() -> SearchStrategy[PoolTag]:
    """Pool tags of four printable characters that the pool takes."""
    text = st.text(st.sampled_from(_TAG_CHARACTERS), min_size=4, max_size=4)
    return text.filter(lambda tag: tag not in _REFUSED_TAGS).map(PoolTag)


def sizes(*, min_size: int = 1, max_size: int = 4096) -> SearchStrategy[int]:
    """Bytes of an entry, drawn toward the sizes at which something changes.

    Args:
        min_size: the smallest.
        max_size: the largest.
    """
    telling = [size for size in _SIZES if min_size <= size <= max_size]
    anything = st.integers(min_size, max_size)
    return st.one_of(st.sampled_from(telling), anything) if telling else anything


def layouts(*, max_size: int = 4096, max_align: int = 16) -> SearchStrategy[Layout]:
    """Layouts that a fixed-size list can serve.

    Args:
        max_size: the largest size in bytes.
        max_align: the largest alignment, a power of two.
    """
    aligns = [1 << bit for bit in range(max_align.bit_length())]
    return st.builds(Layout, sizes(max_size=max_size), st.sampled_from(aligns))


def _counts() -> SearchStrategy[int]:
    return st.one_of(st.integers(1, 6), st.sampled_from(BOUNDARY_COUNTS), st.integers(1, 100))


def list_steps(lists: Sequence[int] = (0,)) -> SearchStrategy[Step]:
    """One step of use on one of some lists: allocations, frees, flushes, time, failures.

    Args:
        lists: the numbers of the lists.
    """
    on = st.sampled_from(list(lists))
    allocate = st.builds(Allocate, _counts(), on=on)
    free = st.builds(Free, _counts(), oldest=st.booleans(), on=on)
    return st.one_of(
        allocate,
        free,
        st.builds(Tick, st.sampled_from(BOUNDARY_SECONDS)),
        allocate,
        free,
        st.builds(FreeAt, st.integers(0, 20), on=on),
        st.builds(AllocateFree, st.sampled_from(BOUNDARY_ROUNDS), on=on),
        st.builds(
            AllocateEachSecond, st.sampled_from([1, 24, 25, 26, 75]), st.integers(1, 6), on=on
        ),
        st.builds(Flush, on=on),
        st.builds(Fail, st.integers(1, 4)),
        st.builds(SetCounters, st.sampled_from([0xFFFF_FFFF, 0xFFFF_FFC0]), on=on),
    )


def _creates(valid: bool) -> SearchStrategy[Create]:
    if not valid:
        # Each with one argument that ExInitializeLookasideListEx refuses.
        return st.one_of(
            st.builds(Create, flags=st.sampled_from([3, 4])),
            st.builds(Create, pool_type=st.sampled_from(_REFUSED).map(int)),
            st.builds(Create, depth=st.sampled_from([1, 255, 1025])),
        )
    anything = st.builds(
        Create,
        sizes(),
        pool_type=pool_types().map(int),
        tag=tags().map(lambda tag: int(tag).to_bytes(4, "little")),
        flags=st.sampled_from([0, 1, 2]),
        depth=st.sampled_from([0, 256, 257, 1024]),
    )
    return st.one_of(st.just(Create()), anything, anything)


def _misuses(lists: Sequence[int]) -> SearchStrategy[Step]:
    on = st.sampled_from(list(lists))
    return st.one_of(
        st.builds(FreeTwice, on=on),
        st.builds(FreeWrongList, on=on, to=on),
        st.builds(FreeForeign, on=on),
        st.builds(WriteAfterFree, st.sampled_from([0, 0x4141_4141_4141_4141, 1]), on=on),
    )


@st.composite
def operations(
    draw: st.DrawFn,
    *,
    min_lists: int = 1,
    max_lists: int = 3,
    max_steps: int = 50,
    misuse: bool = False,
) -> Program:
    """Whole programs for `run_operations`, over one or several lists.

    They create lists (some of which are refused), allocate, free, flush, delete, let time
    pass, run out of memory, wrap counters and change the IRQL. They are valid by
    construction: they use no freed entry and no paged list above APC_LEVEL.

    Args:
        draw: given by Hypothesis.
        min_lists: lists that are created at least.
        max_lists: lists that are created at most.
        max_steps: the most steps besides creating.
        misuse: also draw double frees, frees to the wrong list or of foreign blocks, and
            writes to freed entries.

    Returns:
        A program.
    """
    count = draw(st.integers(min_lists, max_lists))
    program: Program = [draw(_creates(valid=True)) for _ in range(count)]
    use: SearchStrategy[Step] = st.one_of(
        list_steps(range(count)),
        st.builds(SetIrql, st.sampled_from([Irql.PASSIVE_LEVEL, 1, 2]).map(int)),
    )
    if misuse:
        use = st.one_of(use, _misuses(range(count)))
    drawn = draw(st.lists(use, max_size=max_steps))
    program += drawn
    if draw(st.booleans()):
        program.insert(count, draw(_creates(valid=False)))
    if draw(st.booleans()):
        # A list may go while others live on; entries still held are freed to the pool.
        where = draw(st.integers(count, len(program)))
        program.insert(where, Delete(on=draw(st.integers(0, count - 1))))
    return program


def allocator_operations(*, max_steps: int = 50) -> SearchStrategy[Program]:
    """Programs for `run_program`: a single list of somebody else's.

    Args:
        max_steps: the most steps besides creating.
    """
    create = sizes(max_size=2048).map(Create)
    return st.builds(
        lambda first, rest: [first, *rest], create, st.lists(list_steps(), max_size=max_steps)
    )


@st.composite
def traces(draw: st.DrawFn, *, max_events: int = 50, lists: bool | None = None) -> list[Event]:
    """Traces that `lookaside_sim.trace` can save, load and replay.

    Args:
        draw: given by Hypothesis.
        max_events: the most events.
        lists: only list traces, or only heap traces; None draws either.

    Returns:
        Events in order of time; some blocks may be live at the end, as in recordings.
    """
    if lists is None:
        lists = draw(st.booleans())
    events: list[Event] = []
    time, next_id = 0, 1
    live: list[int] = []
    names: list[str] = []
    if lists:
        names = [f"list-{number}" for number in range(draw(st.integers(1, 3)))]
        for name in names:
            flags, depth = draw(st.sampled_from([0, 1, 2])), draw(st.sampled_from([0, 256]))
            size, pool = draw(sizes()), draw(pool_types())
            events.append(
                Event("init", time, None, size, draw(tags()), pool, name, flags, depth)
            )
    kinds = ["alloc", "free", "wait", *(["flush"] if names else [])]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=max_events)):
        if kind == "wait":
            time += draw(st.sampled_from([1, MICROSECONDS, 3 * MICROSECONDS]))
        elif kind == "flush":
            events.append(Event("flush", time, list=draw(st.sampled_from(names))))
        elif kind == "free":
            if live:
                index = draw(st.integers(0, len(live) - 1))
                events.append(Event("free", time, live.pop(index)))
        else:
            if not names:
                size, tag, pool = draw(sizes()), draw(tags()), draw(pool_types())
                events.append(Event("alloc", time, next_id, size, tag, pool))
            else:
                events.append(Event("alloc", time, next_id, list=draw(st.sampled_from(names))))
            live.append(next_id)
            next_id += 1
    return events


def _register_types() -> None:
    """Tell Hypothesis how to draw the package's types, so that ``st.from_type`` can."""
    st.register_type_strategy(PoolTag, tags())
    st.register_type_strategy(PoolType, pool_types())
    st.register_type_strategy(Layout, layouts())
    st.register_type_strategy(Irql, st.sampled_from(Irql))
    st.register_type_strategy(NtStatus, st.sampled_from(NtStatus))
    st.register_type_strategy(Step, list_steps())


_register_types()
