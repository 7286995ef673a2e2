"""Who is told of calls, of which, when, and in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideAllocator,
    LookasideList,
    LookasideSimError,
    PoolTag,
    PoolType,
    ddi,
    windbg,
)
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
    SetDepth,
    is_inside_list_call,
)
from lookaside_sim.machine.calls import (
    Call,
    LowerIrql,
    RaiseIrql,
    ReadMemory,
    Tick,
    WriteMemory,
)
from lookaside_sim.pool.calls import AllocateBlock, FreeBlock
from lookaside_sim.system.calls import UnloadDriver
from tests.helpers import allocated, fill, new_list, nowhere, stop_of
from tests.machine.helpers import Heard


@pytest.fixture
def heard(kernel: Kernel, blank: LookasideList) -> Heard:
    """Listens, from after the list's memory was made."""
    return Heard(kernel)


# --- what is told ------------------------------------------------------------------------


def test_the_calls_on_a_list_in_order(blank: LookasideList, heard: Heard) -> None:
    blank.initialize(size=32, tag=b"told")
    a, b = blank.allocate(), blank.allocate()
    blank.free(a)
    assert blank.allocate() == a
    blank.free(b)
    blank.flush()
    windbg.set_depth(blank, 0)
    blank.free(a)
    blank.delete()
    told = []
    for call in heard.calls:
        assert getattr(call, "lookaside", None) is blank
        told.append((type(call), call.result, getattr(call, "entry", None)))
    assert told == [
        (InitializeList, 0, None),
        (AllocateEntry, a, None),
        (AllocateEntry, b, None),
        (FreeEntry, None, a),
        (AllocateEntry, a, None),
        (FreeEntry, None, b),
        (FlushList, None, None),
        (SetDepth, None, None),
        (FreeEntry, None, a),
        (DeleteList, None, None),
    ]


def test_pool_time_and_irql(kernel: Kernel, heard: Heard) -> None:
    address = kernel.pool.allocate(PoolType.PagedPool, 100, PoolTag(b"pool"))
    kernel.tick(2)
    with kernel.raise_irql(1):
        kernel.raise_irql(1)
    kernel.pool.free(address, PoolTag(b"pool"))
    with kernel:
        zeroed = ddi.ExAllocatePoolZero(0, 8, b"zero")
    paged, tick, first, second, lower, free, zero = heard.calls
    assert isinstance(paged, AllocateBlock)
    assert (paged.pool_type, paged.size, paged.tag) == (
        PoolType.PagedPool,
        100,
        PoolTag(b"pool"),
    )
    assert (paged.result, paged.charged, paged.priority) == (address, False, None)
    assert isinstance(tick, Tick)
    assert tick.seconds == 2
    assert isinstance(first, RaiseIrql)
    assert (first.level, first.result) == (1, 0)
    assert isinstance(second, RaiseIrql)
    assert (second.level, second.result) == (1, 1)
    assert isinstance(lower, LowerIrql)
    assert lower.level == 0
    assert isinstance(free, FreeBlock)
    assert (free.address, free.tag) == (address, PoolTag(b"pool"))
    assert isinstance(zero, AllocateBlock)
    assert (zero.pool_type, zero.tag) == (PoolType(0x400), PoolTag(b"zero"))
    assert zero.result == zeroed


def test_requests_of_another_kind_say_so(kernel: Kernel, heard: Heard) -> None:
    kernel.quota.allocate(0, 8, b"quot")
    kernel.pool.allocate_with_priority(0, 9, b"prio", 32)
    kernel.pool.allocate_special(0, 10, b"spec")
    told = [
        (call.size, call.charged, call.priority, call.special)
        for call in heard.calls
        if isinstance(call, AllocateBlock)
    ]
    assert told == [(8, True, None, False), (9, False, 32, False), (10, False, None, True)]


def test_writes_are_told_and_reads_on_demand(kernel: Kernel) -> None:
    block = allocated(kernel)
    quiet, curious = Heard(kernel), Heard(kernel, reads=True)
    kernel.write(block, b"word")
    assert kernel.read(block, 4) == b"word"
    assert quiet.kinds == [WriteMemory]
    assert curious.kinds == [WriteMemory, ReadMemory]
    write, read = curious.calls
    assert isinstance(write, WriteMemory)
    assert (write.address, write.data, write.size) == (block, b"word", 4)
    assert isinstance(read, ReadMemory)
    assert (read.address, read.size, read.result) == (block, 4, b"word")
    curious.stop()
    kernel.read(block, 4)
    assert curious.kinds == [WriteMemory, ReadMemory]


def test_the_front_ends_are_heard_as_their_lists(kernel: Kernel, heard: Heard) -> None:
    allocator = LookasideAllocator(kernel)
    allocator.init(16, 0)
    with allocator.box(bytes(16)) as box:
        pointer = box.pointer
    allocator.destroy()
    lookaside = LookasideList(kernel)
    ddi.ExInitializePagedLookasideList(lookaside, 0, 0, 0, 32, b"oldr", 0)
    ddi.ExDeletePagedLookasideList(lookaside)
    lists = [call for call in heard.calls if not isinstance(call, WriteMemory)]
    assert [type(call) for call in lists] == [
        InitializeList,
        AllocateEntry,
        FreeEntry,
        DeleteList,
        InitializeList,
        DeleteList,
    ]
    assert lists[1].result == pointer
    older = lists[4]
    assert isinstance(older, InitializeList)
    assert older.is_older


def test_a_context_manager_is_heard_as_its_delete(blank: LookasideList, heard: Heard) -> None:
    with blank:
        blank.initialize(size=32, tag=b"with")
    assert heard.kinds == [InitializeList, DeleteList]


def test_what_no_caller_could_pass_is_no_call(
    kernel: Kernel, blank: LookasideList, heard: Heard
) -> None:
    blank.initialize(size=32, tag=b"fail")
    heard.forget()
    with pytest.raises(ValueError, match="give"):
        blank.free(-1)
    with pytest.raises(ValueError, match="seconds"):
        kernel.tick(-1)
    with pytest.raises(ValueError, match="IRQL"):
        kernel.raise_irql(32)
    with pytest.raises(TypeError, match="bytes"):
        kernel.write(0, "text")  # type: ignore[arg-type]
    assert heard.told == []


# --- several listeners ---------------------------------------------------------------------


def test_several_listeners_hear_the_same_values_in_order(kernel: Kernel) -> None:
    order: list[tuple[str, bool, Call]] = []

    def named(name: str) -> Callable[[Call], None]:
        return lambda call: order.append((name, call.is_over, call))

    stops = [kernel.listen(named(name)) for name in ("first", "second")]
    kernel.tick()
    assert [entry[:2] for entry in order] == [
        ("first", False),
        ("second", False),
        ("first", True),
        ("second", True),
    ]
    assert len({id(call) for _, _, call in order}) == 1
    stops[0]()
    stops[0]()
    kernel.tick()
    assert [name for name, _, _ in order[4:]] == ["second", "second"]
    stops[1]()
    kernel.tick()
    assert len(order) == 6


def test_one_function_may_listen_twice(kernel: Kernel) -> None:
    told: list[bool] = []

    def hear(call: Call) -> None:
        told.append(call.is_over)

    stop = kernel.listen(hear)
    kernel.listen(hear)
    kernel.tick()
    assert told == [False, False, True, True]
    stop()
    kernel.tick()
    assert told[4:] == [False, True]


def test_a_listener_that_stops_in_its_own_call_hears_no_more_of_it(kernel: Kernel) -> None:
    told: list[bool] = []

    def hear_once(call: Call) -> None:
        told.append(call.is_over)
        stop()

    before, stop, after = Heard(kernel), kernel.listen(hear_once), Heard(kernel)
    kernel.tick()
    kernel.tick()
    assert told == [False]
    assert before.kinds == after.kinds == [Tick, Tick]


def test_the_only_listener_may_stop_in_its_own_call(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    calls: list[Call] = []

    def hear_once(call: Call) -> None:
        calls.append(call)
        stop()

    stop = kernel.listen(hear_once)
    entry = lookaside.allocate()
    (call,) = calls
    assert not kernel.machine.hooks.listening
    assert kernel.machine.hooks.call is None
    assert (call.is_over, call.result) == (True, entry)
    assert kernel.memory.caching


def test_who_begins_inside_a_call_does_not_hear_its_end(kernel: Kernel) -> None:
    late: list[Heard] = []
    driver = kernel.load_driver("late.sys")

    def unload() -> None:
        late.append(Heard(kernel))
        kernel.tick()

    driver.on_unload(unload)
    heard = Heard(kernel)
    driver.unload()
    assert heard.kinds == [UnloadDriver]
    assert [(is_over, type(call)) for is_over, call in late[0].told] == [
        (False, Tick),
        (True, Tick),
    ]


def test_what_cannot_be_called_does_not_listen(kernel: Kernel) -> None:
    with pytest.raises(TypeError, match="listener None"):
        kernel.listen(None)  # type: ignore[arg-type]
    assert not kernel.machine.hooks.listening


def test_a_stopped_machine_can_be_listened_to(kernel: Kernel) -> None:
    stop_of(lambda: kernel.read(nowhere(kernel), 1))
    heard = Heard(kernel)
    with pytest.raises(BugCheck):
        kernel.tick()
    # The stop raised again is no call; going back to a processor is one, and still happens.
    assert heard.told == []
    with kernel.on_processor(0):
        pass
    assert len(heard.kinds) == 2
    heard.stop()
    assert not kernel.machine.is_plain
    assert not kernel.memory.caching


# --- calls inside calls ----------------------------------------------------------------------


def test_calls_in_custom_routines_know_the_call_around_them(
    kernel: Kernel, blank: LookasideList, heard: Heard
) -> None:
    other = new_list(kernel, "other", size=32)

    def allocate(
        pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
    ) -> int | None:
        kernel.pool.free(kernel.pool.allocate(pool_type, size, tag))
        return other.allocate()

    def free(entry: int, lookaside: LookasideList) -> None:
        other.free(entry)

    blank.initialize(size=32, tag=b"nest", allocate=allocate, free=free)
    heard.forget()
    a = blank.allocate()
    outer, block, freed, inner = heard.calls
    assert [(is_over, type(call)) for is_over, call in heard.told] == [
        (False, AllocateEntry),
        (False, AllocateBlock),
        (True, AllocateBlock),
        (False, FreeBlock),
        (True, FreeBlock),
        (False, AllocateEntry),
        (True, AllocateEntry),
        (True, AllocateEntry),
    ]
    assert outer.outer is None
    assert block.outer is freed.outer is inner.outer is outer
    assert outer.result == inner.result == a
    assert is_inside_list_call(inner)
    assert not is_inside_list_call(outer)
    windbg.set_depth(blank, 0)
    blank.free(a)
    blank.free(other.allocate())
    blank.flush()
    assert heard.kinds == [
        AllocateEntry,
        SetDepth,
        FreeEntry,
        AllocateEntry,
        FreeEntry,
        FlushList,
    ]
    assert other.current_depth == 1
    assert kernel.machine.hooks.call is None


def test_calls_in_an_unload_routine_are_inside_the_unload(kernel: Kernel) -> None:
    driver = kernel.load_driver("mydrv.sys")
    lookaside = driver.lookaside_list("mydrv!List")
    with driver:
        lookaside.initialize(size=32, tag=b"mydv")
        fill(lookaside, 2)
    driver.on_unload(lookaside.delete)
    heard = Heard(kernel)
    driver.unload()
    unload, delete = heard.calls
    assert isinstance(unload, UnloadDriver)
    assert unload.driver is driver
    assert delete.outer is unload
    assert not is_inside_list_call(delete)
    assert [is_over for is_over, _ in heard.told] == [False, False, True, True]


def test_each_thread_has_calls_of_its_own(kernel: Kernel) -> None:
    def allocate(*_: object) -> int | None:
        thread = threading.Thread(target=kernel.tick)
        thread.start()
        thread.join()
        return kernel.pool.allocate(0, 8, b"mine")

    lookaside = new_list(kernel, allocate=allocate)
    heard = Heard(kernel)
    with kernel.step_through(lambda of, point: None):
        lookaside.allocate()
    outer, tick, block = heard.calls
    assert tick.outer is None
    assert block.outer is outer


def test_a_call_is_made_by_position_or_by_name_with_its_defaults() -> None:
    tag = PoolTag(b"tseT")
    by_position = AllocateBlock(PoolType.PagedPool, 24, tag, True)
    by_name = AllocateBlock(PoolType.PagedPool, 24, tag=tag, charged=True)
    for call in (by_position, by_name):
        assert (call.pool_type, call.size, call.tag) == (PoolType.PagedPool, 24, tag)
        assert (call.charged, call.priority, call.special) == (True, None, False)
        assert (call.result, call.error, call.branch, call.outer) == (None,) * 4
        assert not call.is_over
    assert repr(by_name) == (
        f"AllocateBlock(result=None, error=None, branch=None, pool_type={PoolType.PagedPool!r},"
        f" size=24, tag={tag!r}, charged=True, priority=None, special=False)"
    )
    assert by_position != by_name


def test_a_kind_of_call_takes_the_fields_of_its_base_first() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    call = SetDepth(lookaside, 7)
    assert (call.lookaside, call.depth, call.word) == (lookaside, 7, "depth")
    assert DeleteList(lookaside).lookaside is lookaside


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3)])
def test_a_call_takes_all_its_fields_and_no_more(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="argument"):
        ReadMemory(*arguments)
    with pytest.raises(TypeError, match="unknown"):
        ReadMemory(1, 2, unknown=3)  # type: ignore[call-arg]


# --- threads -----------------------------------------------------------------------------------


def test_a_second_thread_is_refused_while_a_call_is_under_way(kernel: Kernel) -> None:
    refused: list[str] = []

    def in_another_thread() -> None:
        with ThreadPoolExecutor(1) as threads:
            with pytest.raises(LookasideSimError, match="one thread at a time") as caught:
                threads.submit(kernel.tick).result()
            refused.append(str(caught.value))

    driver = kernel.load_driver("mydrv.sys")
    driver.on_unload(in_another_thread)
    driver.unload()
    assert len(refused) == 1
    assert refused[0].startswith("'tick' was called while")
    assert kernel.seconds == 0
    kernel.tick()
    assert kernel.seconds == 1


def test_threads_one_after_the_other_may_use_one_machine(kernel: Kernel) -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(kernel.tick).result()
    kernel.tick()
    assert kernel.seconds == 2


def test_threads_that_take_turns_are_not_refused(kernel: Kernel) -> None:
    lookaside = new_list(kernel)

    def take_turns(of: object, point: object) -> None:
        if kernel.seconds == 0:
            with ThreadPoolExecutor(1) as threads:
                threads.submit(kernel.tick).result()

    stop = kernel.listen(lambda call: None)
    with kernel.step_through(take_turns):
        lookaside.allocate()
    stop()
    assert kernel.seconds == 1


def test_a_copy_made_inside_a_call_can_be_used_by_another_thread(kernel: Kernel) -> None:
    copies: list[Kernel] = []
    driver = kernel.load_driver("mydrv.sys")
    driver.on_unload(lambda: copies.append(kernel.clone()))
    driver.unload()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(copies[0].tick).result()
    assert copies[0].seconds == 1
