"""What an observer hears, and that nothing else changes while it listens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideAllocator,
    LookasideList,
    LookasideSimError,
    NtStatusError,
    PoolTag,
    PoolType,
    ddi,
    windbg,
)
from lookaside_sim.nt.types import TagLike


class Recorder:
    """Keeps every event, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def pool_allocated(
        self, address: int | None, pool_type: PoolType, size: int, tag: TagLike
    ) -> None:
        self.events.append(("pool_allocated", address, pool_type, size, PoolTag(tag)))

    def pool_freed(self, address: int) -> None:
        self.events.append(("pool_freed", address))

    def list_initialized(self, lookaside: LookasideList) -> None:
        self.events.append(("list_initialized", lookaside.name))

    def list_allocated(self, lookaside: LookasideList, entry: int | None) -> None:
        self.events.append(("list_allocated", lookaside.name, entry))

    def list_freed(self, lookaside: LookasideList, entry: int) -> None:
        self.events.append(("list_freed", lookaside.name, entry))

    def list_flushed(self, lookaside: LookasideList) -> None:
        self.events.append(("list_flushed", lookaside.name))

    def list_deleted(self, lookaside: LookasideList) -> None:
        self.events.append(("list_deleted", lookaside.name))

    def ticked(self) -> None:
        self.events.append(("ticked",))

    def irql_changed(self, level: int) -> None:
        self.events.append(("irql_changed", level))


@pytest.fixture
def recorder(kernel: Kernel, blank: LookasideList) -> Recorder:
    """Listens, from after the list's memory was made."""
    made = Recorder()
    blank.name = "L"
    kernel.observe(made)
    return made


def test_the_calls_on_a_list_in_order(
    kernel: Kernel, blank: LookasideList, recorder: Recorder
) -> None:
    blank.initialize(size=32, tag=b"obsv")
    a, b = blank.allocate(), blank.allocate()
    blank.free(a)
    assert blank.allocate() == a
    blank.free(b)
    blank.flush()
    windbg.set_depth(blank, 0)
    blank.free(a)
    blank.delete()
    assert recorder.events == [
        ("list_initialized", "L"),
        ("list_allocated", "L", a),
        ("list_allocated", "L", b),
        ("list_freed", "L", a),
        ("list_allocated", "L", a),
        ("list_freed", "L", b),
        ("list_flushed", "L"),
        ("list_freed", "L", a),
        ("list_deleted", "L"),
    ]


def test_pool_time_and_irql(kernel: Kernel, recorder: Recorder) -> None:
    address = kernel.pool.allocate(PoolType.PagedPool, 100, b"pool")
    kernel.tick(2)
    with kernel.raise_irql(1):
        kernel.raise_irql(1)
    kernel.pool.free(address, b"pool")
    with kernel:
        zeroed = ddi.ExAllocatePoolZero(0, 8, b"zero")
    assert recorder.events == [
        ("pool_allocated", address, PoolType.PagedPool, 100, PoolTag(b"pool")),
        ("ticked",),
        ("ticked",),
        ("irql_changed", 1),
        ("irql_changed", 1),
        ("irql_changed", 0),
        ("pool_freed", address),
        ("pool_allocated", zeroed, PoolType(0x400), 8, PoolTag(b"zero")),
    ]


def test_exhaustion_is_reported_as_none(arch: str) -> None:
    kernel, recorder = Kernel(arch, nonpaged_pool_bytes=0), Recorder()
    lookaside = LookasideList(kernel, "L")
    lookaside.initialize(size=32, tag=b"none")
    kernel.observe(recorder)
    assert kernel.pool.allocate(0, 32, b"none") is None
    assert lookaside.allocate() is None
    assert recorder.events == [
        ("pool_allocated", None, PoolType.NonPagedPool, 32, PoolTag(b"none")),
        ("list_allocated", "L", None),
    ]


def test_calls_inside_a_lists_routines_are_not_reported(
    kernel: Kernel, blank: LookasideList, recorder: Recorder
) -> None:
    other = LookasideList(kernel, "other")
    other.initialize(size=32, tag=b"othr")

    def allocate(
        pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
    ) -> int | None:
        kernel.pool.free(kernel.pool.allocate(pool_type, size, tag))
        return other.allocate()

    def free(entry: int, lookaside: LookasideList) -> None:
        other.free(entry)

    blank.initialize(size=32, tag=b"nest", allocate=allocate, free=free)
    a, b = blank.allocate(), blank.allocate()
    windbg.set_depth(blank, 1)
    blank.free(a)
    blank.free(b)
    blank.flush()
    assert recorder.events == [
        ("list_initialized", "other"),
        ("list_initialized", "L"),
        ("list_allocated", "L", a),
        ("list_allocated", "L", b),
        ("list_freed", "L", a),
        ("list_freed", "L", b),
        ("list_flushed", "L"),
    ]
    assert other.current_depth == 2
    assert kernel.observer is recorder


def test_a_call_that_is_refused_or_stops_is_not_reported(
    kernel: Kernel, blank: LookasideList, recorder: Recorder
) -> None:
    def allocate(*_: object) -> int:
        raise RuntimeError("routine")

    assert not blank.initialize(size=32, tag=b"fail", depth=1).is_success
    blank.initialize(size=32, tag=b"fail", allocate=allocate)
    recorder.events.clear()
    with pytest.raises(RuntimeError):
        blank.allocate()
    assert kernel.observer is recorder
    with pytest.raises(ValueError, match="give"):
        blank.free(-1)
    with pytest.raises(ValueError, match="seconds"):
        kernel.tick(-1)
    with pytest.raises(ValueError, match="IRQL"):
        kernel.raise_irql(16)
    with pytest.raises(BugCheck):
        kernel.lower_irql(3)
    assert recorder.events == []


def test_a_raised_status_is_reported_as_none(arch: str) -> None:
    # The call is counted, so it is told.
    kernel, recorder = Kernel(arch, nonpaged_pool_bytes=0), Recorder()
    lookaside = LookasideList(kernel, "L")
    lookaside.initialize(size=32, tag=b"rais", flags=1)
    kernel.observe(recorder)
    with pytest.raises(NtStatusError):
        lookaside.allocate()
    with pytest.raises(NtStatusError):
        kernel.pool.allocate(16, 32, b"rais")
    assert recorder.events == [
        ("list_allocated", "L", None),
        ("pool_allocated", None, PoolType(16), 32, PoolTag(b"rais")),
    ]


def test_the_front_ends_are_heard_as_their_lists(kernel: Kernel, recorder: Recorder) -> None:
    allocator = LookasideAllocator(kernel)
    allocator.init(16, 0)
    with allocator.box(bytes(16)) as box:
        pointer = box.pointer
    allocator.destroy()
    lookaside = LookasideList(kernel)
    ddi.ExInitializePagedLookasideList(lookaside, 0, 0, 0, 32, b"oldr", 0)
    ddi.ExDeletePagedLookasideList(lookaside)
    assert recorder.events == [
        ("list_initialized", ""),
        ("list_allocated", "", pointer),
        ("list_freed", "", pointer),
        ("list_deleted", ""),
        ("list_initialized", ""),
        ("list_deleted", ""),
    ]


def test_a_context_manager_reports_its_delete(
    kernel: Kernel, blank: LookasideList, recorder: Recorder
) -> None:
    with blank:
        blank.initialize(size=32, tag=b"with")
    assert [event[0] for event in recorder.events] == ["list_initialized", "list_deleted"]


def test_only_one_observer_listens(kernel: Kernel, recorder: Recorder) -> None:
    second = Recorder()
    with pytest.raises(LookasideSimError, match="listens already"):
        kernel.observe(second)
    kernel.tick()
    kernel.observe(None)
    kernel.observe(second)
    kernel.tick()
    assert recorder.events == second.events == [("ticked",)]
    kernel.observe(None)
    assert kernel.observer is None


def test_entries_freed_before_and_after_listening_stay_in_order(
    kernel: Kernel, blank: LookasideList
) -> None:
    blank.initialize(size=32, tag=b"cach")
    entries = [blank.allocate() for _ in range(4)]
    for entry in entries[:2]:
        blank.free(entry)
    recorder = Recorder()
    kernel.observe(recorder)
    blank.free(entries[2])
    kernel.observe(None)
    blank.free(entries[3])
    assert list(blank.entries()) == entries[::-1]
    assert [blank.allocate() for _ in range(4)] == entries[::-1]
    assert len(recorder.events) == 1


def test_listening_ends_with_the_hot_path_back(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel)
    lookaside.initialize(size=32, tag=b"cach")
    entry = lookaside.allocate()
    kernel.observe(Recorder())
    lookaside.free(entry)
    assert not kernel.memory.links
    assert not kernel.memory.caching
    kernel.observe(None)
    assert kernel.memory.caching
    assert lookaside.allocate() == entry
    lookaside.free(entry)
    assert entry in kernel.memory.links


def free_oldest(_kernel: Kernel, lookaside: LookasideList, held: list[int]) -> None:
    if held:
        lookaside.free(held.pop(0))


STEPS: dict[str, Callable[[Kernel, LookasideList, list[int]], object]] = {
    "allocate": lambda kernel, lookaside, held: held.append(lookaside.allocate() or 0),
    "free": free_oldest,
    "flush": lambda kernel, lookaside, held: lookaside.flush(),
    "tick": lambda kernel, lookaside, held: kernel.tick(),
    "depth": lambda kernel, lookaside, held: windbg.set_depth(lookaside, 2),
    "reset": lambda kernel, lookaside, held: windbg.reset_counters(lookaside),
}


@given(
    arch=st.sampled_from(["x64", "x86"]),
    steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=40),
    listening=st.sets(st.integers(0, 39)),
)
def test_listening_changes_nothing(arch: str, steps: list[str], listening: set[int]) -> None:
    plain, heard = Kernel(arch), Kernel(arch)
    states = []
    for kernel in (plain, heard):
        lookaside = LookasideList(kernel)
        lookaside.initialize(size=32, tag=b"same")
        held: list[int] = []
        states.append((kernel, lookaside, held))
    for number, step in enumerate(steps):
        heard.observe(Recorder() if number in listening else None)
        for state in states:
            STEPS[step](*state)
        assert bytes(states[0][1]) == bytes(states[1][1])
        assert states[0][2] == states[1][2]
    heard.observe(None)
    assert list(states[0][1].entries()) == list(states[1][1].entries())
    assert plain.pool.usage(b"same") == heard.pool.usage(b"same")
    heard.check()


Outcome = list[object]
MISUSE = st.lists(
    st.tuples(
        st.sampled_from(["allocate", "free", "free", "link", "depth", "flush", "tick"]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from([0, 0, 0, 4, 8]),
    ),
    max_size=40,
)


def misuse(
    kernel: Kernel, lookaside: LookasideList, steps: list[tuple[str, int, int, int]]
) -> Outcome:
    """Free twice, free foreign blocks, forge links; what every call did, to the stop."""
    blocks = [kernel.pool.allocate(0, 32, b"miss") or 0 for _ in range(4)]
    outcome: Outcome = []
    for step, first, second, offset in steps:
        try:
            if step == "allocate":
                outcome.append(lookaside.allocate())
            elif step == "free":
                lookaside.free(blocks[first] + offset)
            elif step == "link":
                link = (blocks[second] + offset).to_bytes(kernel.arch.pointer_size, "little")
                kernel.write(blocks[first], link)
            elif step == "depth":
                windbg.set_depth(lookaside, first)
            elif step == "flush":
                lookaside.flush()
            else:
                kernel.tick()
        except BugCheck as stop:
            outcome.append((stop.code, stop.parameters))
            break
        outcome.append(bytes(lookaside))
        outcome.append([kernel.read(block, 32) for block in blocks])
    return [*outcome, bytes(lookaside)]


@given(arch=st.sampled_from(["x64", "x86"]), steps=MISUSE)
def test_misuse_has_the_same_consequences_while_somebody_listens(
    arch: str, steps: list[tuple[str, int, int, int]]
) -> None:
    outcomes = []
    for observer in (None, Recorder()):
        kernel = Kernel(arch)
        lookaside = LookasideList(kernel)
        lookaside.initialize(size=32, tag=b"same")
        kernel.observe(observer)
        outcomes.append(misuse(kernel, lookaside, steps))
    assert outcomes[0] == outcomes[1]
