"""Copies of a machine: what they share, what they leave out, how they are reached."""

from __future__ import annotations

import copy
import gc
import pickle
from functools import partial
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    LookasideList,
    PoolTag,
    PoolType,
    Verifier,
    VerifierFlags,
)
from lookaside_sim.clone import _VALUES
from lookaside_sim.ddi import ExAllocatePoolWithTag
from lookaside_sim.machine.calls import Call
from lookaside_sim.machine.spin_lock import SpinLock
from lookaside_sim.memory.regions import Region
from lookaside_sim.pool.ledger import BlockRecord
from lookaside_sim.testing import FaultInjector
from tests.helpers import allocated, fill, list_in_block, new_list, stop_of, take, violation_of
from tests.same import assert_same
from tests.stateful.world import World, allocate_ex, free_ex

UNLOADED = BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS


def everything() -> World:
    """A machine that has one of everything."""
    world = World(
        Kernel(
            processors=2,
            verifier=Verifier(VerifierFlags.STANDARD | VerifierFlags.SYSTEMATIC_LOW_RESOURCES),
            sanitizer=True,
            small_pool_lists=True,
            delayed_free=True,
        ),
        careful=True,
    )
    world.kernel.memory.map(Region(0x10000, 0x3000, contents=b"abc"))
    FaultInjector(world.kernel).fail(10_000)
    world.run(seed=5, steps=150)
    return world


# --- sharing -----------------------------------------------------------------------------


_UNCHANGING = (str, int, float, bytes, type, FunctionType, CodeType, ModuleType, *_VALUES)


# Values may share what values are made of; a record without an owner never changes.
_HARMLESS = (tuple, frozenset, MappingProxyType, BlockRecord)


def changeable(kernel: Kernel) -> dict[int, object]:
    """All that can be reached from a machine and may change, by identity."""
    found: dict[int, object] = {}
    waiting: list[object] = [kernel]
    while waiting:
        each = waiting.pop()
        if id(each) in found or each is None or isinstance(each, _UNCHANGING):
            # What a function closes over is reached, too.
            if isinstance(each, FunctionType) and each.__closure__:
                waiting += [cell.cell_contents for cell in each.__closure__]
            continue
        found[id(each)] = each
        waiting += [] if isinstance(each, memoryview) else gc.get_referents(each)
        if isinstance(each, memoryview):
            waiting.append(each.obj)
    return found


def test_a_copy_shares_nothing_that_changes() -> None:
    world = everything()
    kernel = world.kernel
    one, other = changeable(kernel), changeable(kernel.clone())
    assert len(one) > 300
    shared = [each for identity, each in one.items() if identity in other]
    assert [each for each in shared if not isinstance(each, _HARMLESS)] == []


def test_a_copy_of_everything_is_the_same() -> None:
    world = everything()
    twin = world.clone()
    assert_same(world.kernel, twin.kernel)
    assert world.run(6, 60) == twin.run(6, 60)
    assert_same(world.kernel, twin.kernel)


def test_a_copy_of_a_copy_is_the_same() -> None:
    world = everything()
    assert_same(world.kernel, world.kernel.clone().clone())


def test_views_of_one_buffer_stay_views_of_one_buffer(kernel: Kernel) -> None:
    for _ in range(300):
        allocated(kernel, 4000)  # the buffer becomes a mapping of the system's
    twin = kernel.clone()
    for pool in twin.pool.descriptors:
        arena = pool.arena
        arena.data[0x10:0x18] = b"ABCDEFGH"
        assert bytes(arena.words)[0x10:0x18] == bytes(arena.ulongs)[0x10:0x18] == b"ABCDEFGH"
        assert pool.hot[1] is arena.words
        assert pool.hot[3] is arena.states


# --- what is left out --------------------------------------------------------------------


def test_nobody_listens_to_the_copy(kernel: Kernel) -> None:
    heard: list[Call] = []
    changes: list[object] = []
    lookaside = new_list(kernel)
    lookaside.free(lookaside.allocate())
    kernel.listen(heard.append)
    kernel.memory.listen(changes.append)
    twin = kernel.clone()
    there = twin.list_at(lookaside.address)
    there.free(there.allocate())
    twin.memory.map(Region(0x10000, 0x1000))
    assert heard == changes == []
    assert twin.machine.is_plain
    assert twin.memory.caching
    assert not twin.machine.hooks.listening
    assert kernel.machine.hooks.listening
    lookaside.allocate()
    assert len(heard) == 2


def test_a_copy_is_not_the_current_kernel(kernel: Kernel) -> None:
    with kernel:
        twin = kernel.clone()
        before = twin.pool.usage(b"Mine")
        ExAllocatePoolWithTag(PoolType.NonPagedPool, 16, b"Mine")
        assert twin.pool.usage(b"Mine") == before
        with twin:
            ExAllocatePoolWithTag(PoolType.NonPagedPool, 16, b"Mine")
        ExAllocatePoolWithTag(PoolType.NonPagedPool, 16, b"Mine")
    assert kernel.pool.usage(b"Mine").nonpaged_allocs == 2
    assert twin.pool.usage(b"Mine").nonpaged_allocs == 1


def test_a_call_under_way_ends_in_the_original_only(kernel: Kernel) -> None:
    twins: list[Kernel] = []

    def allocate(pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList) -> int | None:
        twins.append(kernel.clone())
        return of.pool.allocate(pool_type, size, tag)

    lookaside = new_list(kernel, allocate=allocate)
    kernel.listen(lambda call: None)
    entry = lookaside.allocate()
    there = twins[0].list_at(lookaside.address)
    assert (there.total_allocates, there.allocate_misses) == (1, 1)
    assert kernel.pool.query(entry or 0) is not None
    assert twins[0].pool.query(entry or 0) is None
    assert twins[0].machine.hooks.call is None
    assert there.allocate() == entry


def test_a_copy_stands_where_the_machine_stands() -> None:
    kernel = Kernel(processors=2)
    driver = kernel.load_driver("my.sys")
    with kernel.on_processor(1), kernel.raise_irql(2), driver:
        twin = kernel.clone()
    assert (kernel.processor, kernel.irql, kernel.drivers.current) == (0, 0, None)
    assert (twin.processor, twin.irql) == (1, 2)
    assert twin.drivers.current is twin.drivers.named("my.sys")


def test_who_steps_and_whose_stack_is_told_belong_to_the_original(kernel: Kernel) -> None:
    kernel.machine.reached = lambda of, point: None
    kernel.machine.program.stack_provider = lambda: ()
    twin = kernel.clone()
    assert twin.machine.reached is None
    assert twin.machine.program.stack_provider is None
    assert kernel.machine.reached is not None


# --- reaching what is in a copy ----------------------------------------------------------


def test_a_list_is_found_at_its_address(lookaside: LookasideList, kernel: Kernel) -> None:
    entries = fill(lookaside, 3)
    assert kernel.list_at(lookaside.address) is lookaside
    twin = kernel.clone()
    there = twin.list_at(lookaside.address)
    assert there is not lookaside
    assert bytes(there) == bytes(lookaside)
    assert there.name == lookaside.name
    assert take(there, 3) == entries[::-1]
    assert lookaside.current_depth == 3
    there.delete()
    assert lookaside.is_active
    assert not there.is_active


def test_an_object_over_memory_stands_for_what_no_list_is_known_at(kernel: Kernel) -> None:
    known = list_in_block(kernel)
    found = kernel.list_at(known.address)
    assert found is not known
    assert bytes(found) == bytes(known)
    assert found.initialize(size=32, tag=b"List").is_success
    assert kernel.list_at(known.address) is found
    blank = LookasideList(kernel, "blank")
    assert kernel.list_at(blank.address) is blank
    # Nothing is mapped there: using it is what touches it.
    assert violation_of(kernel.list_at(0x5000).allocate) == (0, 0x5000)


@pytest.mark.parametrize("wrong", [-1, 1 << 64])
def test_a_list_needs_an_address(kernel: Kernel, wrong: int) -> None:
    with pytest.raises(ValueError, match="address"):
        kernel.list_at(wrong)
    with pytest.raises(TypeError, match="address"):
        kernel.list_at("here")  # type: ignore[arg-type]


def test_a_spin_lock_is_found_at_its_address(kernel: Kernel) -> None:
    lock = SpinLock(kernel, "lock")
    with lock:
        twin = kernel.clone()
    assert twin.spin_locks.owner_of(lock.address) == 0
    assert lock.owner is None
    assert twin.spin_locks.held() == [lock.address]
    twin.spin_locks.release(lock.address, 0)
    assert twin.irql == 0


# --- the program's routines --------------------------------------------------------------


def test_custom_routines_serve_the_list_that_calls_them(kernel: Kernel) -> None:
    lookaside = new_list(kernel, allocate=allocate_ex, free=free_ex)
    twin = kernel.clone()
    there = twin.list_at(lookaside.address)
    entry = there.allocate()
    assert entry is not None
    assert twin.pool.query(entry) is not None
    assert kernel.pool.query(entry) is None
    # Both know the routine by one address, so that a list made later has it, too.
    assert new_list(twin, allocate=allocate_ex).allocate_ex == lookaside.allocate_ex


def test_a_drivers_routines_are_the_copied_drivers_in_the_copy(kernel: Kernel) -> None:
    driver = kernel.load_driver("my.sys")
    routines = driver.routines(allocate_ex, free_ex)
    lookaside = new_list(kernel, allocate=routines[0], free=routines[1])
    twin = kernel.clone()
    there = twin.list_at(lookaside.address)
    copied = twin.drivers.named("my.sys")
    assert copied is not driver
    entry = there.allocate()
    assert [each.address for each in copied.pool] == [entry]
    assert list(driver.pool) == []
    copied.unload()
    assert stop_of(there.allocate).code is UNLOADED
    assert driver.loaded
    assert lookaside.allocate() == entry
    assert [each.address for each in driver.pool] == [entry]


def test_no_driver_is_named_that_is_not_loaded(kernel: Kernel) -> None:
    kernel.load_driver("my.sys").unload()
    with pytest.raises(
        ValueError, match=r"driver 'my\.sys': give the name of a driver that is"
    ):
        kernel.drivers.named("my.sys")


class Owner:
    """A program's own object, whose method is a routine."""

    def __init__(self) -> None:
        self.freed: list[int] = []

    def free(self, entry: int, of: LookasideList) -> None:
        self.freed.append(entry)
        of.pool.free(entry)


@pytest.mark.parametrize("wrap", [lambda method: method, partial])
def test_objects_of_the_program_are_one_for_both(kernel: Kernel, wrap: Any) -> None:
    owner = Owner()
    lookaside = new_list(kernel, free=wrap(owner.free))
    entries = fill(lookaside, 2)
    twin = kernel.clone()
    twin.list_at(lookaside.address).flush()
    assert owner.freed == entries[::-1]


# --- stopped machines --------------------------------------------------------------------


def test_a_stop_is_copied(kernel: Kernel) -> None:
    block = allocated(kernel)
    kernel.pool.free(block)
    stop = stop_of(lambda: kernel.pool.free(block))
    twin = kernel.clone()
    again = stop_of(lambda: twin.pool.allocate(0, 16, b"Test"))
    assert again is twin.bugcheck
    assert again is not stop
    assert (again.code, again.parameters, again.message) == (
        stop.code,
        stop.parameters,
        stop.message,
    )
    assert str(again) == str(stop)


def test_the_leaks_of_a_stop_are_the_copys_own() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    driver.allocate(PoolType.NonPagedPool, 24, b"Leak")
    stop = stop_of(driver.unload)
    twin = kernel.clone()
    assert twin.bugcheck is not None
    leak: Any = twin.bugcheck.leaks[0]
    assert leak is not stop.leaks[0]
    assert leak.owner is twin.drivers.all[0]
    assert str(leak) == str(stop.leaks[0])


# --- other ways to copy ------------------------------------------------------------------


def test_a_deep_copy_is_a_clone(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    fill(lookaside, 2)
    assert_same(kernel, copy.deepcopy(kernel))


def test_a_shallow_copy_and_pickling_are_refused(kernel: Kernel) -> None:
    with pytest.raises(TypeError, match=r"a shallow copy of a Kernel .* use Kernel\.clone"):
        copy.copy(kernel)
    with pytest.raises(TypeError, match=r"a Kernel cannot be pickled: .* Kernel\.clone"):
        pickle.dumps(kernel)


def test_a_kernel_of_another_class_stays_one() -> None:
    class Mine(Kernel):
        """With an attribute of the program's."""

    kernel = Mine()
    kernel.note = owner = Owner()  # type: ignore[attr-defined]
    twin = kernel.clone()
    assert type(twin) is Mine
    assert twin.note is owner  # type: ignore[attr-defined]


def test_methods_of_the_machine_are_the_copys() -> None:
    kernel = Kernel()
    twin = kernel.clone()
    cached = twin.memory.cached
    assert isinstance(cached, MethodType)
    assert cached.__self__ is twin.memory.links
    assert cached.__self__ is not kernel.memory.links
    twin.pool.allocate(0, 100, b"Test")
    blocks: Any = twin.pool.requests._blocks
    assert blocks._by_address is twin.memory.slots.by_address
