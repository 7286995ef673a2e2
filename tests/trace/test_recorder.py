from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideAllocator,
    LookasideList,
    NtStatusError,
    PoolTag,
    PoolTagUsage,
    PoolType,
)
from lookaside_sim.trace import Event, Recording, load, record, replay
from tests.helpers import cached_link, nowhere, stop_of

SECOND = 1_000_000
PAGE = 4096
TAG = PoolTag(b"tsLL")
NONPAGED = PoolType.NonPagedPool
PAGED = PoolType.PagedPool
RAISE = PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE

State = tuple[list[bytes], Mapping[PoolTag, PoolTagUsage], int, int]


def new_list(
    kernel: Kernel,
    name: str = "a",
    size: int = 32,
    *,
    pool_type: PoolType = NONPAGED,
    flags: int = 0,
    depth: int = 0,
) -> LookasideList:
    made = LookasideList(kernel, name)
    status = made.initialize(pool_type=pool_type, size=size, tag=TAG, flags=flags, depth=depth)
    assert status.is_success
    return made


def state(kernel: Kernel) -> State:
    """All that a program can see of a machine, apart from what it wrote itself."""
    images = [bytes(each) for each in kernel.lookaside_lists]
    return images, kernel.pool.tags(), int(kernel.irql), kernel.seconds


def played(recording: Recording, nonpaged: int | None = None) -> Kernel:
    kernel = Kernel(nonpaged_pool_bytes=nonpaged)
    replay(recording.events, kernel)
    kernel.check()
    return kernel


def got(address: int | None) -> int:
    assert address is not None
    return address


# --- what is recorded --------------------------------------------------------------------


def test_each_call_is_an_event() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        made = new_list(kernel, "a", 24, pool_type=PAGED, flags=1, depth=300)
        entry = made.allocate()
        block = kernel.pool.allocate(PAGED | RAISE, 100, TAG)
        kernel.tick(2)
        made.free(entry)
        with kernel.raise_irql(1):
            kernel.pool.free(block, TAG)
        made.flush()
        kernel.tick()
        made.delete()
    assert recording.events == [
        Event("init", 0, None, 24, TAG, PAGED, "a", 1, 300),
        Event("alloc", 0, 1, list="a"),
        Event("alloc", 0, 2, 100, TAG, PAGED | RAISE),
        Event("free", 2 * SECOND, 1),
        Event("irql", 2 * SECOND, level=1),
        Event("free", 2 * SECOND, 2),
        Event("irql", 2 * SECOND, level=0),
        Event("flush", 2 * SECOND, list="a"),
        Event("delete", 3 * SECOND, list="a"),
    ]
    assert recording.left_out == []


@pytest.mark.parametrize("tag", [TAG, int(TAG), b"tsLL", "tsLL"], ids=repr)
def test_every_way_to_say_a_tag_is_recorded_as_a_tag(tag: PoolTag | int | bytes | str) -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        kernel.pool.allocate(0, 8, tag)
    (event,) = recording.events
    assert type(event.tag) is PoolTag
    assert type(event.pool) is PoolType
    assert event == Event("alloc", 0, 1, 8, TAG, NONPAGED)


@pytest.mark.parametrize(
    ("flags", "type_"), [(0, 0), (1, 16), (2, 8)], ids=["none", "raise", "no raise"]
)
@pytest.mark.parametrize("depth", [0, 256, 257, 1024])
def test_init_is_recorded_as_it_was_called(flags: int, type_: int, depth: int) -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        made = new_list(kernel, flags=flags, depth=depth)
    (event,) = recording.events
    assert made.type == type_
    assert (event.pool, event.flags) == (NONPAGED, flags)
    assert event.depth == (0 if depth == 256 else depth)  # which mean the same


def test_a_refused_init_is_not_recorded() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        LookasideList(kernel).initialize(size=8, tag=TAG, depth=1)
    assert recording.events == []


def test_names_are_made_unique() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        lists = [new_list(kernel, name) for name in ("a", "", "a", "a-2", "", "a", "list-2")]
        for each in lists:
            each.allocate()
    inits = [event.list for event in recording.events if event.op == "init"]
    allocs = [event.list for event in recording.events if event.op == "alloc"]
    assert inits == ["a", "list", "a-2", "a-2-2", "list-2", "a-3", "list-2-2"]
    assert allocs == inits
    assert [bytes(each) for each in played(recording).lookaside_lists] == [
        bytes(each) for each in lists
    ]


def test_a_list_keeps_its_name_when_it_is_initialized_again() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        made = new_list(kernel)
        made.delete()
        made.initialize(size=64, tag=TAG)
        new_list(kernel)
    assert [event.list for event in recording.events] == ["a", "a", "a", "a-2"]
    assert state(played(recording)) == state(kernel)


def test_ids_are_not_reused() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        made = new_list(kernel)
        for _ in range(3):
            made.free(made.allocate())
    assert [event.id for event in recording.events[1:]] == [1, 1, 2, 2, 3, 3]


def test_the_allocator_front_end_is_recorded_as_its_list() -> None:
    kernel = Kernel()
    with record(kernel) as recording, LookasideAllocator(kernel, name="front") as allocator:
        allocator.init(4, NONPAGED)
        with allocator.box(b"abcd"):
            assert len(recording.events) == 2
    ops = [(event.op, event.list) for event in recording.events]
    assert ops == [("init", "front"), ("alloc", "front"), ("free", None), ("delete", "front")]
    assert recording.left_out == []


def test_pool_calls_of_a_list_belong_to_the_list() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        made = new_list(kernel)
        entries = [made.allocate() for _ in range(6)]
        for entry in entries:
            made.free(entry)
        made.flush()
    assert len(recording.events) == 1 + 6 + 6 + 1
    assert kernel.pool.usage(TAG).nonpaged_allocs == 6
    assert kernel.pool.usage(TAG).nonpaged_frees == 6


# --- a replay of it gives the same machine -----------------------------------------------


def test_a_program_of_everything_is_replayed_to_the_same_machine(tmp_path: Path) -> None:
    nonpaged = 40 * PAGE
    kernel = Kernel(nonpaged_pool_bytes=nonpaged)
    with record(kernel) as recording:
        small = new_list(kernel, "", 24)
        paged = new_list(kernel, "paged", 200, pool_type=PAGED, depth=512)
        raising = new_list(kernel, "raising", 64, flags=1)
        held = [got(small.allocate()) for _ in range(150)]
        blocks = [got(kernel.pool.allocate(PAGED, size, b"Blok")) for size in (9, 999, 9999)]
        kernel.tick()
        for entry in held[:100]:
            small.free(entry)
        with kernel.raise_irql(1):
            others = [got(paged.allocate()) for _ in range(20)]
            with kernel.raise_irql(2):
                small.free(small.allocate())
        kernel.tick(4)
        for entry in others:
            paged.free(entry)
        assert kernel.pool.allocate(NONPAGED, nonpaged, b"Much") is None
        large = new_list(kernel, "large", nonpaged)
        assert large.allocate() is None
        for address in blocks[:2]:
            kernel.pool.free(address, b"Blok")
        raising.free(raising.allocate())
        raising.delete()
        kernel.tick(3)
        small.flush()
        kernel.raise_irql(1)
    assert recording.left_out == []
    assert state(played(recording, nonpaged)) == state(kernel)
    assert state(kernel)[2:] == (1, 8)

    path = tmp_path / "program.jsonl.gz"
    recording.save(path, "a program")
    trace = load(path)
    assert trace.header.source == "a program"
    again = Kernel(nonpaged_pool_bytes=nonpaged)
    done = replay(trace, again)
    assert state(again) == state(kernel)
    assert done.failed == 2
    assert sorted(a for a in done.live.values() if a) == sorted([*held[100:], blocks[2]])


def test_seconds_after_the_last_call_are_recorded_too() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        made = new_list(kernel)
        for _ in range(100):
            made.allocate()
        kernel.tick(2)
    assert made.depth == 34
    assert state(played(recording)) == state(kernel)


def test_an_allocation_that_raised_is_recorded_too() -> None:
    kernel = Kernel(nonpaged_pool_bytes=PAGE)
    with record(kernel) as recording:
        made = new_list(kernel, "a", 3000, flags=1)
        made.allocate()
        for _ in range(2):
            with pytest.raises(NtStatusError):
                made.allocate()
    assert (made.total_allocates, made.allocate_misses) == (3, 3)
    assert state(played(recording, PAGE)) == state(kernel)


steps = st.one_of(
    st.tuples(st.sampled_from(["nonpaged", "paged", "nx", "pool", "fail"]), st.just(0)),
    st.tuples(st.sampled_from(["free", "free", "irql"]), st.integers(0, 30)),
    st.tuples(st.sampled_from(["tick", "flush", "again"]), st.integers(1, 3)),
)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(program=st.lists(steps, max_size=60))
def test_any_program_is_replayed_to_the_same_machine(program: list[tuple[str, int]]) -> None:
    nonpaged = 3 * PAGE
    kernel = Kernel(nonpaged_pool_bytes=nonpaged)
    live: list[tuple[int, Callable[[int], None]]] = []
    with record(kernel) as recording:
        lists = {
            "nonpaged": new_list(kernel, "", 1000),
            "paged": new_list(kernel, "", 5000, pool_type=PAGED),
            "nx": new_list(kernel, "", 40, pool_type=PoolType.NonPagedPoolNx, flags=2),
        }
        everything = list(lists.values())
        for step, argument in program:
            if step in lists:
                address = lists[step].allocate()
                if address is not None:
                    live.append((address, lists[step].free))
            elif step == "pool":
                address = kernel.pool.allocate(NONPAGED, 1500, TAG)
                if address is not None:
                    live.append((address, kernel.pool.free))
            elif step == "fail":
                assert kernel.pool.allocate(NONPAGED, nonpaged + 1, TAG) is None
            elif step == "free" and live:
                address, give_back = live.pop(argument % len(live))
                give_back(address)
            elif step == "tick":
                kernel.tick(argument)
            elif step == "flush":
                everything[argument - 1].flush()
            elif step == "again":
                made = everything[argument - 1]
                made.delete()
                made.initialize(size=made.size, tag=TAG, pool_type=made.type & ~0x18)
            elif step == "irql":
                with kernel.raise_irql(argument % 2):
                    everything[1].flush()
        kernel.pool.free(kernel.pool.allocate(PAGED, 1, b"Last"))
    assert recording.left_out == []
    assert state(played(recording, nonpaged)) == state(kernel)


# --- what the format cannot say ----------------------------------------------------------


def test_a_free_of_what_was_allocated_before_is_left_out() -> None:
    kernel = Kernel()
    made = new_list(kernel)
    block = got(kernel.pool.allocate(NONPAGED, 8, TAG))
    with record(kernel) as recording:
        kernel.pool.free(block)
    assert recording.events == []
    assert recording.left_out == [f"free of {block:#x}, which was not allocated there"]
    assert made.is_active


def test_calls_on_a_list_initialized_before_are_left_out() -> None:
    kernel = Kernel()
    made = new_list(kernel, "early")
    with record(kernel) as recording:
        entry = made.allocate()
        made.free(entry)
        made.flush()
        made.delete()
    assert recording.events == []
    assert len(recording.left_out) == 4
    for index, text in enumerate(recording.left_out):
        assert ("early" in text) == (index != 1)
    assert "initialized before the recording" in recording.left_out[0]


def test_a_free_to_where_an_address_did_not_come_from_is_left_out() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        first, second = new_list(kernel, "a"), new_list(kernel, "b")
        from_first, from_pool = got(first.allocate()), got(first.allocate())
        from_pool = got(kernel.pool.allocate(NONPAGED, 32, TAG))
        second.free(from_first)
        second.free(from_pool)
    assert [event.op for event in recording.events] == ["init", "init", *["alloc"] * 3]
    assert recording.left_out == [
        f"free of {address:#x}, which was not allocated there"
        for address in (from_first, from_pool)
    ]


def test_a_second_free_of_an_entry_is_left_out() -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        made = new_list(kernel)
        entry = got(made.allocate())
        made.free(entry)
        made.free(entry)
    assert [event.op for event in recording.events] == ["init", "alloc", "free"]
    assert len(recording.left_out) == 1


def _custom_allocate(kernel: Kernel) -> None:
    LookasideList(kernel, "odd").initialize(
        size=8,
        tag=TAG,
        allocate=lambda kind, size, tag, _: kernel.pool.allocate(kind, size, tag),
    )


def _custom_free(kernel: Kernel) -> None:
    LookasideList(kernel, "odd").initialize(
        size=8, tag=TAG, free=lambda entry, _: kernel.pool.free(entry)
    )


def _disabled(kernel: Kernel) -> None:
    kernel.minimum_lookaside_depth = 0
    LookasideList(kernel, "odd").initialize(size=8, tag=TAG)


def _older_small(kernel: Kernel) -> None:
    LookasideList(kernel, "odd").initialize_older(pool_type=0, size=2, tag=TAG)


def _older_both_flags(kernel: Kernel) -> None:
    LookasideList(kernel, "odd").initialize_older(pool_type=24, size=8, tag=TAG)


def _older_zeroed(kernel: Kernel) -> None:
    LookasideList(kernel, "odd").initialize_older(pool_type=0x400, size=8, tag=TAG)


@pytest.mark.parametrize(
    "initialize",
    [
        _custom_allocate,
        _custom_free,
        _disabled,
        _older_small,
        _older_both_flags,
        _older_zeroed,
    ],
)
def test_a_list_that_no_init_event_makes_is_left_out(
    initialize: Callable[[Kernel], None],
) -> None:
    kernel = Kernel()
    with record(kernel) as recording:
        initialize(kernel)
        kernel.lookaside_lists[0].allocate()
    assert any("odd" in text for text in recording.left_out)
    played(recording)


# --- its end -----------------------------------------------------------------------------


def test_nothing_is_recorded_after_the_end_and_hot_paths_are_back() -> None:
    kernel = Kernel()
    made = new_list(kernel)
    entry = made.allocate()
    assert entry is not None
    made.free(entry)
    assert cached_link(kernel, entry) == 0
    with record(kernel) as recording:
        assert kernel.machine.hooks.listening
        assert not kernel.memory.caching
        made.free(made.allocate())
        assert kernel.memory.cached(entry) is None
        recording.events.clear()
    assert not kernel.machine.hooks.listening
    assert kernel.memory.caching
    made.free(made.allocate())
    assert cached_link(kernel, entry) == 0
    kernel.pool.allocate(NONPAGED, 8, TAG)
    kernel.tick()
    assert recording.events == []
    kernel.check()


def test_an_exception_inside_ends_the_recording() -> None:
    kernel = Kernel()
    recordings: list[Recording] = []

    def program() -> None:
        with record(kernel) as recording:
            recordings.append(recording)
            new_list(kernel)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program()
    assert not kernel.machine.hooks.listening
    assert kernel.memory.caching
    assert len(recordings[0].events) == 1


def test_a_stop_ends_the_recording_and_keeps_it() -> None:
    kernel = Kernel()
    recordings: list[Recording] = []

    def program() -> None:
        with record(kernel) as recording:
            recordings.append(recording)
            made = new_list(kernel)
            made.allocate()
            made.delete()
            made.delete()

    with pytest.raises(BugCheck) as caught:
        program()
    assert kernel.bugcheck is caught.value
    assert not kernel.machine.hooks.listening
    (recording,) = recordings
    # The call that stopped it too: replayed, it stops the other machine in the same way.
    assert [event.op for event in recording.events] == ["init", "alloc", "delete", "delete"]
    again = stop_of(lambda: played(recording))
    assert (again.code, again.parameters) == (caught.value.code, caught.value.parameters)
    with pytest.raises(BugCheck):
        kernel.tick()
    assert len(recording.events) == 4


def test_a_stopped_machine_cannot_be_recorded() -> None:
    kernel = Kernel()
    with pytest.raises(BugCheck):
        kernel.read(nowhere(kernel), 1)
    with pytest.raises(BugCheck), record(kernel):
        pytest.fail("the block must not be entered")


def test_two_recordings_of_one_machine_one_after_the_other() -> None:
    kernel = Kernel()
    with record(kernel) as first:
        made = new_list(kernel)
        kernel.tick()
    with record(kernel) as second:
        kernel.pool.allocate(NONPAGED, 8, TAG)
    assert [event.op for event in first.events][:1] == ["init"]
    assert second.events == [Event("alloc", 0, 1, 8, TAG, NONPAGED)]
    assert made.is_active


def test_two_recordings_of_one_kernel_hear_the_same() -> None:
    kernel = Kernel()
    with record(kernel) as outer, record(kernel) as inner:
        new_list(kernel)
        kernel.tick()
    assert [event.op for event in inner.events] == ["init", "irql"]
    assert inner.events == outer.events
