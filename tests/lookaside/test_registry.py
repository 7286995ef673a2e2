"""The system-wide lists: order, links in memory, and what corrupts them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    InvariantError,
    Kernel,
    LookasideList,
    LookasideSimError,
    PoolType,
)
from tests.helpers import (
    allocated,
    both_machines,
    new_list,
    nowhere,
    read_pointer,
    where,
    write_pointer,
)


def entry_of(lookaside: LookasideList) -> int:
    return lookaside.address + where(lookaside.arch.name, "Flink")[0]


def flink(kernel: Kernel, entry: int) -> int:
    return read_pointer(kernel, entry)


def blink(kernel: Kernel, entry: int) -> int:
    return read_pointer(kernel, entry + kernel.arch.pointer_size)


def ring(kernel: Kernel, start: int, step: Callable[[Kernel, int], int]) -> list[int]:
    """The entries in one direction, from an entry around to it."""
    found = [start]
    while (following := step(kernel, found[-1])) != start:
        assert len(found) < 100
        found.append(following)
    return found


def make(kernel: Kernel, count: int = 3, pool_type: int = 0) -> list[LookasideList]:
    """So many active lists, in the order of their initialization."""
    return [
        new_list(kernel, f"drv!List{i}", size=32, tag=b"regi", pool_type=pool_type)
        for i in range(count)
    ]


def assert_corrupt(stop: BugCheck) -> None:
    assert stop.code is BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE
    assert stop.parameters[0] == 3


# --- order -------------------------------------------------------------------------------


def test_a_new_kernel_has_no_lists(kernel: Kernel) -> None:
    assert kernel.lookaside_lists == []


def test_nonpaged_come_first_each_in_order_of_initialization(kernel: Kernel) -> None:
    a, b, c, d, e = (LookasideList(kernel) for _ in range(5))
    for lookaside, pool_type in [
        (d, PoolType.PagedPool),
        (c, PoolType.NonPagedPoolNx),
        (a, PoolType.PagedPoolCacheAligned),
        (b, PoolType.NonPagedPool),
        (e, PoolType.NonPagedPoolSession),
    ]:
        assert lookaside.initialize(pool_type=pool_type, size=32, tag=b"ordr").is_success
    assert kernel.lookaside_lists == [c, b, e, d, a]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
@pytest.mark.parametrize("pool_type", [0, 1])
def test_lists_can_be_deleted_in_any_order(
    kernel: Kernel, order: tuple[int, ...], pool_type: int
) -> None:
    lists = make(kernel, pool_type=pool_type)
    left = list(lists)
    for index in order:
        lists[index].delete()
        left.remove(lists[index])
        assert kernel.lookaside_lists == left


def test_bit_0_of_the_type_decides_at_initialize_only(kernel: Kernel) -> None:
    first, second = make(kernel, 2)
    kernel.write(first.address + {"x64": 0x24, "x86": 0x1C}[kernel.arch.name], b"\x01")
    assert first.type.is_paged
    assert kernel.lookaside_lists == [first, second]
    first.delete()
    assert kernel.lookaside_lists == [second]


# --- links in memory ---------------------------------------------------------------------


def test_an_only_list_and_the_head_point_at_each_other(kernel: Kernel) -> None:
    (lookaside,) = make(kernel, 1)
    entry = entry_of(lookaside)
    head = flink(kernel, entry)
    assert blink(kernel, entry) == head
    assert (flink(kernel, head), blink(kernel, head)) == (entry, entry)
    lookaside.delete()
    assert (flink(kernel, head), blink(kernel, head)) == (head, head)


@pytest.mark.parametrize("pool_type", [0, 1])
def test_the_links_lead_around_both_ways(kernel: Kernel, pool_type: int) -> None:
    lists = make(kernel, 4, pool_type)
    entries = [entry_of(each) for each in lists]
    head = flink(kernel, entries[-1])
    assert head not in entries
    assert ring(kernel, head, flink) == [head, *entries]
    assert ring(kernel, head, blink) == [head, *entries[::-1]]
    lists[1].delete()
    del entries[1]
    assert ring(kernel, head, flink) == [head, *entries]
    assert ring(kernel, head, blink) == [head, *entries[::-1]]


def test_nonpaged_and_paged_lists_have_heads_of_their_own(kernel: Kernel) -> None:
    (nonpaged,) = make(kernel, 1, 0)
    (paged,) = make(kernel, 1, 1)
    assert flink(kernel, entry_of(nonpaged)) != flink(kernel, entry_of(paged))


def test_lists_in_blocks_and_data_are_linked_together(kernel: Kernel) -> None:
    (first,) = make(kernel, 1)
    block = kernel.pool.allocate(0, 0x100, b"DExt")
    inside = new_list(kernel, address=block, size=32, tag=b"insd")
    (last,) = make(kernel, 1)
    for _ in range(2):  # what is remembered of a walk must not differ
        assert kernel.lookaside_lists == [first, inside, last]
    entries = [entry_of(each) for each in (first, inside, last)]
    head = blink(kernel, entries[0])
    assert ring(kernel, head, flink) == [head, *entries]
    inside.delete()
    assert kernel.lookaside_lists == [first, last]
    assert ring(kernel, head, blink) == [head, entries[2], entries[0]]


def test_written_links_reorder_the_lists(kernel: Kernel) -> None:
    first, second, third = make(kernel)
    assert kernel.lookaside_lists == [first, second, third]
    write_pointer(kernel, entry_of(first), entry_of(third))
    assert kernel.lookaside_lists == [first, third]
    head = flink(kernel, entry_of(third))
    write_pointer(kernel, head, entry_of(second))
    assert kernel.lookaside_lists == [second, third]


def test_two_kernels_are_independent(arch: str) -> None:
    one, two = Kernel(arch), Kernel(arch)
    first, second = make(one, 2), make(two, 1)
    assert first[0].address == second[0].address
    one.tick(3)
    first[0].free(first[0].allocate())
    with pytest.raises(BugCheck):
        one.read(nowhere(one), 1)
    assert one.bugcheck is not None
    assert two.bugcheck is None
    assert two.lookaside_lists == second
    assert (two.seconds, second[0].total_allocates) == (0, 0)
    assert two.pool.usage(b"regi").nonpaged_allocs == 0


# --- damage ------------------------------------------------------------------------------


def test_an_insert_checks_the_end_of_the_list(kernel: Kernel) -> None:
    first, second = make(kernel, 2)
    write_pointer(kernel, entry_of(second), entry_of(first))
    third = LookasideList(kernel)
    with pytest.raises(BugCheck) as stop:
        third.initialize(size=32, tag=b"thrd")
    assert_corrupt(stop.value)


def test_an_insert_does_not_check_anything_else(kernel: Kernel) -> None:
    first, _second = make(kernel, 2)
    write_pointer(kernel, entry_of(first), 0x4141_4140)
    write_pointer(kernel, entry_of(first) + kernel.arch.pointer_size, 0x4141_4140)
    assert new_list(kernel, size=32, tag=b"thrd").is_active


@pytest.mark.parametrize("link", ["flink", "blink"])
def test_a_delete_checks_both_neighbors(kernel: Kernel, link: str) -> None:
    first, second, third = make(kernel)
    if link == "flink":
        write_pointer(kernel, entry_of(third) + kernel.arch.pointer_size, entry_of(first))
    else:
        write_pointer(kernel, entry_of(first), entry_of(third))
    with pytest.raises(BugCheck) as stop:
        second.delete()
    assert_corrupt(stop.value)
    assert second.is_active


@pytest.mark.parametrize("link", ["flink", "blink"])
def test_a_delete_through_an_unmapped_neighbor_faults(kernel: Kernel, link: str) -> None:
    _, second, _ = make(kernel)
    size = kernel.arch.pointer_size
    write_pointer(kernel, entry_of(second) + (0 if link == "flink" else size), 0x4141_4140)
    with pytest.raises(BugCheck) as stop:
        second.delete()
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    faulted = 0x4141_4140 + (size if link == "flink" else 0)
    assert stop.value.parameters[:3] == (faulted, 2, 0)


def test_a_link_to_unmapped_memory_faults_in_the_scan(kernel: Kernel) -> None:
    first, _second = make(kernel, 2)
    write_pointer(kernel, entry_of(first), 0x4141_4140)
    with pytest.raises(BugCheck) as stop:
        kernel.tick()
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert stop.value.parameters[:3] == (0x4141_4140, 2, 0)


def test_a_null_link_faults(kernel: Kernel) -> None:
    (lookaside,) = make(kernel, 1)
    write_pointer(kernel, entry_of(lookaside), 0)
    with pytest.raises(BugCheck) as stop:
        kernel.tick()
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert stop.value.parameters[:3] == (0, 2, 0)


def test_a_link_to_other_memory_makes_a_list_of_it(kernel: Kernel) -> None:
    (lookaside,) = make(kernel, 1)
    block = allocated(kernel, 0x100, b"fake")
    kernel.write(block, bytes(0x100))
    offset, depth = where(kernel.arch.name, "Flink")[0], kernel.arch.slist_header_size
    head = flink(kernel, entry_of(lookaside))
    kernel.write(block + depth, b"\x20\x00\x00\x01")  # Depth 32, MaximumDepth 256
    write_pointer(kernel, block + offset, head)
    write_pointer(kernel, entry_of(lookaside), block + offset)
    found = kernel.lookaside_lists
    assert [each.address for each in found] == [lookaside.address, block]
    assert found[1].depth == 32
    kernel.tick()
    assert kernel.read(block + depth, 2) == (22).to_bytes(2, "little")


def test_a_ring_is_detected(kernel: Kernel) -> None:
    first, second, third = make(kernel)
    write_pointer(kernel, entry_of(third), entry_of(first))
    assert kernel.lookaside_lists == [first, second, third]  # a look ends where it closes
    with pytest.raises(LookasideSimError, match="runs in a ring") as error:
        kernel.tick()
    assert not isinstance(error.value, BugCheck)
    assert kernel.bugcheck is None


# --- initialized twice -------------------------------------------------------------------


def test_initializing_an_active_list_loses_those_behind_it(kernel: Kernel) -> None:
    first, second, third = make(kernel)
    assert second.initialize(size=64, tag=b"twce").is_success
    # second is the new end; first still leads to it, third leads to it too, nothing to third.
    assert kernel.lookaside_lists == [first, second]
    assert flink(kernel, entry_of(third)) == entry_of(second)
    assert blink(kernel, entry_of(second)) == entry_of(third)


def test_deleting_behind_a_list_initialized_twice_stops(kernel: Kernel) -> None:
    first, second, _third = make(kernel)
    first.initialize(size=64, tag=b"twce")
    with pytest.raises(BugCheck) as stop:
        second.delete()  # its Blink is first, which now leads to the head
    assert_corrupt(stop.value)


def test_a_list_initialized_twice_forgets_its_entries(kernel: Kernel) -> None:
    first, _second = make(kernel, 2)
    first.free(first.allocate())
    first.initialize(size=32, tag=b"regi")
    assert first.current_depth == 0
    assert kernel.pool.usage(b"regi").outstanding == 1


def test_initializing_the_last_list_again_links_it_to_itself(kernel: Kernel) -> None:
    # The append finds the old end, which is this very entry, still pointing at the head.
    first, second = make(kernel, 2)
    assert second.initialize(size=64, tag=b"twce").is_success
    entry = entry_of(second)
    assert (flink(kernel, entry), blink(kernel, entry)) == (entry, entry)
    with pytest.raises(LookasideSimError, match="ring"):
        kernel.tick()
    assert first.is_active


def test_moving_to_the_other_kind_by_initializing_twice(kernel: Kernel) -> None:
    first, second = make(kernel, 2)
    first.initialize(pool_type=1, size=64, tag=b"twce")
    # The nonpaged list now leads into the paged one, and never comes back.
    assert {each.address for each in kernel.lookaside_lists} >= {first.address}
    with pytest.raises(LookasideSimError, match="ring"):
        kernel.tick()
    assert second.is_active


# --- looking -----------------------------------------------------------------------------


@pytest.mark.parametrize("link", [0, 8, 0x1000, -8])
def test_looking_never_stops_the_machine(kernel: Kernel, link: int) -> None:
    first, second, third = make(kernel)
    write_pointer(kernel, entry_of(second), link % (1 << kernel.arch.address_bits))
    assert kernel.lookaside_lists == [first, second]
    assert kernel.bugcheck is None
    with pytest.raises(BugCheck):
        kernel.tick()
    assert kernel.lookaside_lists == [first, second]
    assert third.is_active


@both_machines
@pytest.mark.parametrize("paged", [False, True])
def test_a_check_follows_the_links_both_ways(arch: str, paged: bool) -> None:
    kernel = Kernel(arch)
    lists = [new_list(kernel, f"list {n}", pool_type=int(paged)) for n in range(3)]
    kernel.check()
    size, entries = (
        kernel.arch.pointer_size,
        [each.address + kernel.arch.list_entry_offset for each in lists],
    )
    links = kernel.read(entries[1], 2 * size)
    for at, value in (
        (entries[1], 0),  # Flink
        (entries[1], entries[0]),
        (entries[1], entries[1]),
        (entries[1], entries[2] + 8),
        (entries[1] + size, 0x10),  # Blink
        (entries[1] + size, entries[2]),
    ):
        kernel.write(at, value.to_bytes(size, "little"))
        with pytest.raises(
            InvariantError, match=r"does not point back|is on no system-wide list"
        ):
            kernel.check()
        kernel.write(entries[1], links)
        kernel.check()
    head = kernel.registry.paged if paged else kernel.registry.nonpaged
    blink, head.blink = head.blink, entries[0]
    with pytest.raises(InvariantError, match="its head points back at"):
        kernel.check()
    head.blink = blink
    head.flink = head.blink = head.address
    with pytest.raises(InvariantError, match=f"list at {lists[0].address:#x} is on no system"):
        kernel.check()
    assert kernel.bugcheck is None


def test_a_check_finds_a_list_left_behind() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("left.sys")
    with driver:
        new_list(kernel)
    driver.unload()
    with pytest.raises(InvariantError, match="does not point back"):
        kernel.check()
    assert kernel.bugcheck is None
