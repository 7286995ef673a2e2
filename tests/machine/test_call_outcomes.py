"""How calls end: branches, refusals, statuses, stops, and listeners that raise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideList,
    NtStatus,
    NtStatusError,
    SanitizerError,
    Verifier,
)
from lookaside_sim.lookaside.calls import AllocateEntry, FreeEntry, InitializeList
from lookaside_sim.machine.calls import Branch, Call, Outcome, Tick, WriteMemory
from lookaside_sim.pool.calls import AllocateBlock
from tests.helpers import allocated, both_machines, new_list, nowhere, take
from tests.machine.helpers import Heard


def endings(heard: Heard) -> list[tuple[type[Call], Branch | None, Outcome | None]]:
    return [(type(call), call.branch, call.outcome) for is_over, call in heard.told if is_over]


# --- branches ------------------------------------------------------------------------------


def test_hits_misses_and_a_full_list(kernel: Kernel, lookaside: LookasideList) -> None:
    lookaside.set_depth(1)
    heard = Heard(kernel)
    a, b = take(lookaside, 2)
    lookaside.free(a)
    lookaside.free(b)
    lookaside.allocate()
    assert [(type(call), call.branch) for call in heard.calls] == [
        (AllocateEntry, Branch.MISS),
        (AllocateEntry, Branch.MISS),
        (FreeEntry, Branch.HIT),
        (FreeEntry, Branch.FULL),
        (AllocateEntry, Branch.HIT),
    ]
    assert {call.outcome for call in heard.calls} == {Outcome.RETURNED}


def test_a_branch_is_not_known_when_the_call_begins(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    begun: list[tuple[object, ...]] = []

    def hear(call: Call) -> None:
        if not begun:
            begun.append((call.branch, call.result, call.error, call.outcome, call.is_over))

    kernel.listen(hear)
    lookaside.allocate()
    assert begun == [(None, None, None, None, False)]


def test_a_call_inside_does_not_take_the_branch_of_the_one_around(kernel: Kernel) -> None:
    inner = new_list(kernel)
    inner.free(inner.allocate())
    outer = new_list(kernel, allocate=lambda *_: inner.allocate())
    heard = Heard(kernel)
    outer.allocate()
    assert [call.branch for call in heard.calls] == [Branch.MISS, Branch.HIT]
    heard.stop()
    kept: list[Call] = []

    def keep(call: Call) -> None:
        kept.append(call)
        stop()

    stop = kernel.listen(keep)
    outer.allocate()  # nobody listens any more when the inner one is called
    assert kept[0].branch is None


@pytest.mark.parametrize("sanitizer", [False, True])
def test_a_sanitized_list_takes_the_same_branches(sanitizer: bool) -> None:
    kernel = Kernel(sanitizer=sanitizer)
    lookaside = new_list(kernel)
    heard = Heard(kernel)
    entries = take(lookaside, 6)
    for entry in entries:
        lookaside.free(entry)
    lookaside.allocate()
    branches = [call.branch for call in heard.calls]
    assert branches == [Branch.MISS] * 6 + [Branch.HIT] * 4 + [Branch.FULL] * 2 + [Branch.HIT]


# --- refused, raised -------------------------------------------------------------------------


@both_machines
def test_exhaustion_is_a_refusal(arch: str) -> None:
    kernel = Kernel(arch, nonpaged_pool_bytes=0)
    lookaside = new_list(kernel)
    heard = Heard(kernel)
    assert kernel.pool.allocate(0, 32, b"none") is None
    assert lookaside.allocate() is None
    assert kernel.pool.allocate_with_priority(0, 32, b"none", 0) is None
    assert endings(heard) == [
        (AllocateBlock, None, Outcome.REFUSED),
        (AllocateEntry, Branch.MISS, Outcome.REFUSED),
        (AllocateBlock, None, Outcome.REFUSED),
    ]


def test_no_irp_and_no_mdl_are_refusals() -> None:
    kernel = Kernel(nonpaged_pool_bytes=0)
    heard = Heard(kernel)
    assert kernel.io_lists.allocate_irp(1) == kernel.io_lists.allocate_mdl(0, 8) == 0
    assert {call.outcome for call in heard.calls} == {Outcome.REFUSED}


@both_machines
def test_a_raised_status(arch: str) -> None:
    kernel = Kernel(arch, nonpaged_pool_bytes=0)
    lookaside = new_list(kernel, flags=1)
    heard = Heard(kernel)
    with pytest.raises(NtStatusError):
        lookaside.allocate()
    with pytest.raises(NtStatusError):
        kernel.pool.allocate(16, 32, b"rais")
    with pytest.raises(NtStatusError):
        kernel.quota.allocate(0, 32, b"rais")
    assert [call.outcome for call in heard.calls] == [Outcome.RAISED] * 3
    assert heard.calls[0].branch is Branch.MISS
    assert lookaside.total_allocates == 1


def test_an_initialization_that_is_refused(kernel: Kernel, blank: LookasideList) -> None:
    heard = Heard(kernel)
    blank.initialize(size=32, tag=b"fail", depth=1)
    (call,) = heard.calls
    assert isinstance(call, InitializeList)
    assert (call.outcome, call.size) == (Outcome.REFUSED, 32)
    assert call.result is call.settings is NtStatus.STATUS_INVALID_PARAMETER_8


def test_what_a_custom_routine_raises(kernel: Kernel, blank: LookasideList) -> None:
    def allocate(*_: object) -> int:
        raise RuntimeError("routine")

    blank.initialize(size=32, tag=b"fail", allocate=allocate)
    heard = Heard(kernel)
    with pytest.raises(RuntimeError) as caught:
        blank.allocate()
    (call,) = heard.calls
    assert (call.outcome, call.error) == (Outcome.RAISED, caught.value)
    assert kernel.machine.hooks.call is None


def test_what_the_sanitizer_does_not_let_happen_is_refused() -> None:
    kernel = Kernel(sanitizer=True)
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    held = take(lookaside, 1)
    heard = Heard(kernel)
    misuses: list[Callable[[], object]] = [
        lambda: lookaside.free(entry + 16),
        lookaside.delete,
        lambda: LookasideList(kernel).allocate(),
        lambda: LookasideList(kernel).flush(),
    ]
    for misuse in misuses:
        before = bytes(lookaside)
        with pytest.raises(SanitizerError) as caught:
            misuse()
        assert heard.last().error is caught.value
        assert heard.last().outcome is Outcome.REFUSED
        assert bytes(lookaside) == before
    with pytest.raises(SanitizerError), kernel.raise_irql(3):
        lookaside.free(held[0])
    assert FreeEntry in heard.kinds
    assert len(heard.calls) == len(misuses) + 3


def test_a_refusal_inside_is_raised_outside() -> None:
    # The inner free did nothing; the outer one has counted a miss.
    kernel = Kernel(sanitizer=True)
    inner = new_list(kernel)
    outer = new_list(kernel, free=lambda entry, _: inner.free(entry))
    (entry,) = take(outer, 1)
    outer.set_depth(0)
    heard = Heard(kernel)
    with pytest.raises(SanitizerError):
        outer.free(entry)
    assert [call.outcome for call in heard.calls] == [Outcome.RAISED, Outcome.REFUSED]
    assert outer.free_misses == 1


# --- stops ---------------------------------------------------------------------------------


def test_the_call_that_stops_is_told_with_what_it_had_done(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    block = allocated(kernel)
    kernel.pool.free(block)
    lookaside.set_depth(0)
    heard = Heard(kernel)
    seen: list[tuple[int, int]] = []
    kernel.listen(lambda call: seen.append((lookaside.total_frees, lookaside.free_misses)))
    with pytest.raises(BugCheck) as caught:
        lookaside.free(block)
    call = heard.last()
    assert isinstance(call, FreeEntry)
    assert (call.outcome, call.error, call.entry) == (Outcome.STOPPED, caught.value, block)
    assert call.branch is Branch.FULL
    assert seen == [(0, 0), (1, 1)]
    with pytest.raises(BugCheck):
        lookaside.free(block)
    assert len(heard.calls) == 1


def test_a_stop_in_the_middle_of_a_tick(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    block = allocated(kernel, 0x200)
    new_list(kernel, address=block)
    kernel.pool.free(block)
    kernel.write(lookaside.address + {8: 0x40, 4: 0x30}[kernel.arch.pointer_size], b"\x08")
    heard = Heard(kernel)
    with pytest.raises(BugCheck):
        kernel.tick(5)
    assert endings(heard) == [(Tick, None, Outcome.STOPPED)]


def test_the_verifiers_stop_comes_before_any_effect() -> None:
    kernel = Kernel(verifier=Verifier())
    lookaside = LookasideList(kernel)
    heard = Heard(kernel)
    with pytest.raises(BugCheck):
        lookaside.initialize(size=1, tag=b"tiny")
    call = heard.last()
    assert (call.outcome, call.result) == (Outcome.STOPPED, None)
    assert isinstance(call.error, BugCheck)
    assert kernel.bugcheck is call.error
    assert call.error.code is BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION
    assert not lookaside.is_active


def test_a_write_that_stops(kernel: Kernel) -> None:
    heard = Heard(kernel)
    with pytest.raises(BugCheck):
        kernel.write(nowhere(kernel), b"word")
    assert endings(heard) == [(WriteMemory, None, Outcome.STOPPED)]


# --- listeners that raise ----------------------------------------------------------------------


class BrokenError(Exception):
    """What a broken listener raises."""


def test_a_listener_that_raises_at_the_beginning_keeps_the_call_from_happening(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    before = bytes(lookaside)

    def hear(call: Call) -> None:
        if not call.is_over:
            raise BrokenError

    first, stop, second = Heard(kernel), kernel.listen(hear), Heard(kernel)
    with pytest.raises(BrokenError) as caught:
        lookaside.allocate()
    assert bytes(lookaside) == before
    for heard in (first, second):
        assert [is_over for is_over, _ in heard.told] == [False, True]
        assert (heard.last().outcome, heard.last().error) == (Outcome.RAISED, caught.value)
    check_told_right(kernel, lookaside, stop, first)


def test_a_listener_that_raises_at_the_end_leaves_the_effect(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    def hear(call: Call) -> None:
        if call.is_over:
            raise BrokenError

    first, stop, second = Heard(kernel), kernel.listen(hear), Heard(kernel)
    other = kernel.listen(hear)
    with pytest.raises(BrokenError):
        lookaside.allocate()
    other()
    assert lookaside.total_allocates == 1
    for heard in (first, second):
        assert [is_over for is_over, _ in heard.told] == [False, True]
        assert (heard.last().outcome, heard.last().error) == (Outcome.RETURNED, None)
    check_told_right(kernel, lookaside, stop, first)


def check_told_right(
    kernel: Kernel, lookaside: LookasideList, stop: Callable[[], None], heard: Heard
) -> None:
    """After a listener has raised, nothing is left of it."""
    assert kernel.machine.hooks.call is None
    stop()
    heard.forget()
    lookaside.allocate()
    assert heard.kinds == [AllocateEntry]
    assert heard.last().branch is Branch.MISS
    heard.stop()
    kernel.check()


def test_a_listener_that_raises_inside_a_custom_routine(kernel: Kernel) -> None:
    def hear(call: Call) -> None:
        if isinstance(call, AllocateBlock):
            raise BrokenError

    lookaside = new_list(kernel, allocate=lambda *_: kernel.pool.allocate(0, 64, b"in  "))
    heard = Heard(kernel)
    stop = kernel.listen(hear)
    with pytest.raises(BrokenError):
        lookaside.allocate()
    assert [call.outcome for call in heard.calls] == [Outcome.RAISED, Outcome.RAISED]
    assert kernel.machine.hooks.call is None
    stop()
    heard.forget()
    lookaside.allocate()
    assert [call.outer for call in heard.calls] == [None, heard.calls[0]]


def test_the_stop_is_what_a_listener_that_raises_at_it_came_from(kernel: Kernel) -> None:
    def hear(call: Call) -> None:
        if call.is_over:
            raise BrokenError

    kernel.listen(hear)
    with pytest.raises(BrokenError) as caught:
        kernel.write(nowhere(kernel), b"word")
    assert caught.value.__context__ is kernel.bugcheck
