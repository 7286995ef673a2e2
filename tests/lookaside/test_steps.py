"""The SLIST of free entries: links in the entries' own memory, trusted as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import Kernel, LookasideList
from tests.helpers import (
    POINTERS,
    allocated,
    fill,
    new_list,
    read_pointer,
    slist_header,
    take,
    violation_of,
    write_pointer,
)


def test_an_empty_list(lookaside: LookasideList) -> None:
    assert slist_header(lookaside) == (0, 0, 0)
    assert list(lookaside.entries()) == []


def test_a_push_links_the_entry_to_the_old_first(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    a, b, c = take(lookaside, 3)
    for count, (entry, behind) in enumerate([(a, 0), (b, a), (c, b)], 1):
        lookaside.free(entry)
        assert read_pointer(kernel, entry) == behind
        assert slist_header(lookaside) == (count, count, entry)
    assert list(lookaside.entries()) == [c, b, a]


def test_a_push_writes_one_pointer_and_nothing_else(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    (entry,) = take(lookaside, 1)
    kernel.write(entry, bytes(range(100, 148)))
    lookaside.free(entry)
    width = POINTERS[arch]
    assert kernel.read(entry, 48) == bytes(width) + bytes(range(100 + width, 148))


def test_a_popped_entry_carries_its_stale_link(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    a, b = take(lookaside, 2)
    kernel.write(b, bytes(range(48)))
    lookaside.free(a)
    lookaside.free(b)
    assert lookaside.allocate() == b
    width = kernel.arch.pointer_size
    assert read_pointer(kernel, b) == a
    assert kernel.read(b + width, 48 - width) == bytes(range(width, 48))
    assert slist_header(lookaside) == (1, 2, a)


def test_a_pop_keeps_the_sequence(lookaside: LookasideList) -> None:
    (entry,) = take(lookaside, 1)
    for round_number in range(1, 6):
        lookaside.free(entry)
        assert slist_header(lookaside) == (1, round_number, entry)
        assert lookaside.allocate() == entry
        assert slist_header(lookaside) == (0, round_number, 0)


def test_a_miss_does_not_push(kernel: Kernel, lookaside: LookasideList) -> None:
    entries = fill(lookaside, 6)
    assert slist_header(lookaside) == (4, 4, entries[3])
    assert read_pointer(kernel, entries[3]) == entries[2]


def test_a_flush_keeps_the_sequence(lookaside: LookasideList) -> None:
    fill(lookaside, 3)
    lookaside.flush()
    assert slist_header(lookaside) == (0, 3, 0)


def test_the_sequence_wraps(kernel: Kernel, lookaside: LookasideList, arch: str) -> None:
    (entry,) = take(lookaside, 1)
    if arch == "x64":
        kernel.write(lookaside.address + 2, b"\xfe" + b"\xff" * 5)
        expected = [(1 << 48) - 1, 0, 1]
    else:
        kernel.write(lookaside.address + 6, b"\xfe\xff")
        expected = [0xFFFF, 0, 1]
    seen = []
    for _ in range(3):
        lookaside.free(entry)
        seen.append(slist_header(lookaside)[1])
        lookaside.allocate()
    assert seen == expected


def test_the_sequence_survives_written_counters(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    lookaside.allocate()
    offset = {"x64": 0x1C, "x86": 0x14}[arch]
    kernel.write(lookaside.address + offset, b"\xff\xff\xff\xff")  # TotalFrees
    lookaside.free(entry)
    assert lookaside.total_frees == 0
    assert slist_header(lookaside) == (1, 2, entry)
    lookaside.reset_counters()
    assert slist_header(lookaside) == (1, 2, entry)
    lookaside.allocate()
    lookaside.free(entry)
    assert slist_header(lookaside) == (1, 3, entry)


def test_the_depth_wraps_at_16_bits(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    lookaside.free(entry)  # a ring: the chain never ends, the depth runs out first
    assert [lookaside.allocate() for _ in range(5)] == [entry] * 5
    assert lookaside.current_depth == 0x10000 - 3
    assert slist_header(lookaside)[0] == 0xFFFD


def test_a_wrapped_depth_counts_as_full(kernel: Kernel, lookaside: LookasideList) -> None:
    (entry, other) = take(lookaside, 2)
    lookaside.free(entry)
    lookaside.free(entry)
    for _ in range(3):
        lookaside.allocate()
    assert lookaside.current_depth == 0xFFFF
    lookaside.free(other)
    assert lookaside.free_misses == 1
    assert kernel.pool.query(other) is None


def test_a_forged_link_is_followed_by_the_allocate_after_the_next(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    a, b = take(lookaside, 2)
    target = allocated(kernel, 48, b"targ")
    write_pointer(kernel, target, 0)
    lookaside.free(a)
    lookaside.free(b)
    write_pointer(kernel, b, target)
    assert lookaside.allocate() == b
    assert lookaside.allocate() == target
    assert lookaside.allocate_misses == 2


def test_a_forged_link_of_the_only_entry_is_followed(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    # The pop looks at NextEntry: that Depth reached 0 does not matter.
    (entry,) = take(lookaside, 1)
    target = allocated(kernel, 48, b"targ")
    write_pointer(kernel, target, 0)
    lookaside.free(entry)
    write_pointer(kernel, entry, target)
    assert lookaside.allocate() == entry
    assert slist_header(lookaside) == (0, 1, target)
    assert lookaside.allocate() == target
    assert slist_header(lookaside) == (0xFFFF, 1, 0)
    assert lookaside.allocate_misses == 1


def test_a_forged_null_ends_the_list_early(kernel: Kernel, lookaside: LookasideList) -> None:
    a, b = take(lookaside, 2)
    lookaside.free(a)
    lookaside.free(b)
    write_pointer(kernel, b, 0)
    assert lookaside.allocate() == b
    assert lookaside.current_depth == 1
    fresh = lookaside.allocate()
    assert fresh not in (a, b)
    assert (lookaside.current_depth, lookaside.allocate_misses) == (1, 3)


def test_a_double_free_hands_out_one_address_twice(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    lookaside.free(entry)
    assert read_pointer(kernel, entry) == entry
    assert lookaside.current_depth == 2
    assert lookaside.allocate() == entry
    assert lookaside.allocate() == entry
    assert lookaside.allocate_misses == 1
    assert kernel.bugcheck is None


def test_a_use_after_free_redirects_the_list(kernel: Kernel, lookaside: LookasideList) -> None:
    a, b, victim = take(lookaside, 3)
    lookaside.free(a)
    lookaside.free(b)
    kernel.write(b, victim.to_bytes(kernel.arch.pointer_size, "little") + b"late write")
    assert lookaside.allocate() == b
    assert lookaside.allocate() == victim  # which its owner still holds
    assert kernel.bugcheck is None


def test_a_use_after_free_behind_the_link_does_nothing(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    a, b = take(lookaside, 2)
    lookaside.free(a)
    lookaside.free(b)
    kernel.write(b + kernel.arch.pointer_size, b"\xff" * 24)
    assert [lookaside.allocate(), lookaside.allocate()] == [b, a]


@pytest.mark.parametrize("excess", [1, 4, 8, 15])
def test_an_unaligned_link_loses_its_low_bits_on_x64(
    kernel: Kernel, lookaside: LookasideList, arch: str, excess: int
) -> None:
    a, b = take(lookaside, 2)
    target = allocated(kernel, 64, b"targ")
    kernel.write(target, bytes(64))
    lookaside.free(a)
    lookaside.free(b)
    write_pointer(kernel, b, target + excess)
    assert lookaside.allocate() == b
    assert lookaside.allocate() == (target if arch == "x64" else target + excess)


def test_an_unaligned_link_read_again_loses_its_low_bits_again(kernel: Kernel) -> None:
    # The word of an entry that was popped once with such a link.
    lookaside = new_list(kernel, size=48, tag=b"slst")
    a, b, c = take(lookaside, 3)
    for entry in (c, b, a):
        lookaside.free(entry)
    write_pointer(kernel, a, b + 4)
    write_pointer(kernel, b, a)
    lost = 0 if kernel.arch.pointer_size == 8 else 4
    if lost:
        write_pointer(kernel, b + 4, a)  # what the unaligned entry links to
    found = [lookaside.allocate() for _ in range(4)]
    assert found == [a, b + lost, a, b + lost]


def test_an_unaligned_word_cached_by_another_list_loses_its_low_bits(
    kernel: Kernel, arch: str
) -> None:
    first, second = LookasideList(kernel), LookasideList(kernel)
    for each in (first, second):
        each.initialize(size=48, tag=b"slst")
    a, b = take(first, 2)
    first.free(a)
    second.free(a)
    write_pointer(kernel, a, b + 4)
    kernel.write(b, bytes(48))
    assert second.allocate() == a
    assert first.allocate() == a
    assert slist_header(first)[2] == (b if arch == "x64" else b + 4)


def test_an_unaligned_entry_is_written_where_it_is_and_found_rounded(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    (entry,) = take(lookaside, 1)
    kernel.write(entry, bytes(48))
    lookaside.free(entry + 4)
    assert kernel.read(entry, 16) == bytes(16)  # the link of the last entry is NULL
    assert lookaside.allocate() == (entry if arch == "x64" else entry + 4)


@pytest.mark.parametrize("followed_by", ["allocate", "flush"])
def test_an_unmapped_link_is_a_page_fault_at_its_address(
    kernel: Kernel, lookaside: LookasideList, followed_by: str
) -> None:
    a, b = take(lookaside, 2)
    lookaside.free(a)
    lookaside.free(b)
    write_pointer(kernel, b, 0x1234_5670)
    if followed_by == "allocate":
        assert lookaside.allocate() == b
    act = lookaside.allocate if followed_by == "allocate" else lookaside.flush
    assert violation_of(act) == (0, 0x1234_5670)
    assert kernel.bugcheck is None


def test_an_unmapped_entry_is_a_page_fault_on_write(lookaside: LookasideList) -> None:
    before = slist_header(lookaside)
    assert violation_of(lambda: lookaside.free(0x1234_5670)) == (1, 0x1234_5670)
    assert slist_header(lookaside) == before  # the push faulted before it touched the header


def test_null_freed_is_a_page_fault_at_null(lookaside: LookasideList) -> None:
    assert violation_of(lambda: lookaside.free(None)) == (1, 0)


def test_an_entry_of_any_mapped_memory_is_taken(kernel: Kernel, blank: LookasideList) -> None:
    # Even another structure: the first pointer of its own list head is overwritten.
    blank.initialize(size=48, tag=b"slst")
    victim = new_list(kernel, size=48, tag=b"vict")
    (entry,) = take(victim, 1)
    victim.free(entry)
    blank.free(victim.address)
    assert bytes(victim)[: kernel.arch.pointer_size] == bytes(kernel.arch.pointer_size)
    assert blank.allocate() == victim.address


def test_a_word_freed_to_the_pool_and_reused_is_the_new_owners(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    lookaside.flush()
    block = kernel.pool.allocate(0, 48, b"next")
    assert block == entry
    kernel.write(block, b"\x11" * 48)
    assert kernel.read(block, 48) == b"\x11" * 48


@given(
    arch=st.sampled_from(["x64", "x86"]),
    operations=st.lists(st.one_of(st.just(-1), st.integers(0, 7)), max_size=40),
)
def test_the_links_in_memory_are_the_stack(arch: str, operations: list[int]) -> None:
    kernel = Kernel(arch, windows="8")
    lookaside = new_list(kernel, size=32, tag=b"stck")
    lookaside.set_depth(100)
    held, stack, pushes = take(lookaside, 8), list[int](), 0
    for operation in operations:
        if operation < 0 and stack:
            entry = stack.pop()
            assert lookaside.allocate() == entry
            held.append(entry)
        elif 0 <= operation < len(held):
            entry = held.pop(operation)
            lookaside.free(entry)
            stack.append(entry)
            pushes += 1
        assert slist_header(lookaside) == (len(stack), pushes, stack[-1] if stack else 0)
        assert [read_pointer(kernel, entry) for entry in stack] == [0, *stack][: len(stack)]
    assert list(lookaside.entries()) == stack[::-1]
