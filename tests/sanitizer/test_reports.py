"""What a report says, word for word, and the boundaries at which there is none."""

from __future__ import annotations

import re

import pytest

from lookaside_sim import Kernel, LookasideList, SanitizerError
from lookaside_sim.memory.touch import EXECUTE
from lookaside_sim.sanitizer.list import SanitizedList
from tests.helpers import allocated, new_list, stop_of, take


def told(call: object) -> tuple[str, int, str]:
    """The kind, address and words of a report, without where it happened."""
    assert callable(call)
    with pytest.raises(SanitizerError) as caught:
        call()
    error = caught.value
    return error.kind, error.address, re.sub(r" in \S+ \(\w+\.py:\d+\)", "", error.message)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(sanitizer=True)


@pytest.mark.parametrize(("pool_type", "ceiling"), [(0, 2), (1, 1), (512, 2)])
@pytest.mark.parametrize("verb", ["initialized", "flushed", "deleted", "allocated from"])
def test_the_highest_irql_is_no_mistake_and_the_next_one_is(
    kernel: Kernel, pool_type: int, ceiling: int, verb: str
) -> None:
    lookaside = kernel.lookaside_list("it")

    def use(lookaside: LookasideList) -> None:
        if verb == "initialized":
            lookaside.initialize(size=32, tag=b"Edge", pool_type=pool_type)
        elif verb == "flushed":
            lookaside.flush()
        elif verb == "deleted":
            lookaside.delete()
        else:
            lookaside.allocate()

    if verb != "initialized":
        lookaside.initialize(size=32, tag=b"Edge", pool_type=pool_type)
    kind = "paged" if pool_type == 1 else "nonpaged"
    with kernel.raise_irql(ceiling + 1):
        seen = told(lambda: use(lookaside))
    assert seen[:2] == ("irql", lookaside.address)
    assert f": the {kind} list was {verb} at IRQL {ceiling + 1}, and {ceiling} is" in seen[2]
    with kernel.raise_irql(ceiling):
        use(lookaside)


def test_whose_entry_it_is_and_what_state_it_is_in(kernel: Kernel) -> None:
    lookaside = new_list(kernel, "mine", size=48)
    (entry,) = take(lookaside, 1)
    words = f"the entry {entry:#x} of the list 'mine' at {lookaside.address:#x} was freed to the pool"
    kind, address, message = told(lambda: kernel.pool.free(entry))
    assert (kind, address) == ("freed-entry", entry)
    assert message.endswith(f"{words}; it is out, and goes back to its list only")
    lookaside.free(entry)
    assert told(lambda: kernel.pool.free(entry))[2].endswith(
        f"{words}; it lies free on the list, and goes back to its list only"
    )


def test_which_byte_was_read_or_written(kernel: Kernel) -> None:
    lookaside = new_list(kernel, size=48)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    state = f"of the entry {entry:#x}, which lies free on the list"
    for at, size, byte in ((0, 1, 0), (47, 1, 47), (-8, 9, 0)):
        where = entry + at
        assert told(lambda: kernel.read(where, size)) == (  # noqa: B023
            "use-after-free",
            where,
            f"{where:#x} was read: byte {byte} {state}",
        )
        assert told(lambda: kernel.write(where, bytes(size))) == (  # noqa: B023
            "use-after-free",
            where,
            f"{where:#x} was written: byte {byte} {state}",
        )
    lookaside.flush()
    gone = f"byte 5 of the entry {entry:#x}, which was given back to the pool"
    assert told(lambda: kernel.read(entry + 5, 1))[2] == f"{entry + 5:#x} was read: {gone}"


def test_what_touches_nothing_of_an_entry_is_no_mistake(kernel: Kernel) -> None:
    lookaside = new_list(kernel, size=48)
    first, second = take(lookaside, 2)
    lookaside.free(first)
    assert len(kernel.read(second, 48)) == 48
    assert kernel.read(first, 0) == b""
    for check in kernel.machine.touch_checks:
        check(first, 8, EXECUTE, True)  # runs what lies there, and reads nothing
        check(first, 8, 0, False)  # NT's own touch
    lookaside.flush()
    again = allocated(kernel, 48)
    assert again == first  # somebody else's now
    assert len(kernel.read(first, 48)) == 48


def test_only_the_block_that_holds_a_list_is_refused(kernel: Kernel) -> None:
    block, other = allocated(kernel, 0x100), allocated(kernel, 0x100)
    lookaside = new_list(kernel, "inside", address=block + 0xA0)
    kernel.pool.free(other)
    kind, address, message = told(lambda: kernel.pool.free(block))
    assert (kind, address) == ("freed-list", block)
    assert message.endswith(f"the active list 'inside' at {lookaside.address:#x} lies in it")
    lookaside.delete()
    kernel.pool.free(block)


def test_foreign_addresses_are_told_apart(kernel: Kernel) -> None:
    lookaside = new_list(kernel, "", size=48)
    (entry,) = take(lookaside, 1)
    start = f"list at {lookaside.address:#x}: "
    for offset in (1, 47):
        where = entry + offset
        assert told(lambda: lookaside.free(where)) == (  # noqa: B023
            "foreign-entry",
            where,
            f"{start}{where:#x} was freed: it lies {offset} bytes into the entry {entry:#x}",
        )
    for where in (entry + 48, entry - 16):
        assert told(lambda: lookaside.free(where)) == (  # noqa: B023
            "foreign-entry",
            where,
            f"{start}{where:#x} was freed: no list allocated it",
        )
    assert told(lambda: lookaside.free(None))[1] == 0
    lookaside.free(entry)
    lookaside.flush()
    assert told(lambda: lookaside.free(entry))[0] == "double-free"
    assert allocated(kernel, 48) == entry
    assert told(lambda: lookaside.free(entry))[0] == "foreign-entry"  # another's block by now


def test_a_list_that_may_not_be_used_says_what_was_tried_with_what(kernel: Kernel) -> None:
    fresh, old = kernel.lookaside_list("fresh"), new_list(kernel, "old")
    (entry,) = take(old, 1)
    old.free(entry)
    old.delete()
    assert told(fresh.flush)[1:] == (
        fresh.address,
        f"list 'fresh' at {fresh.address:#x}: the list was flushed; it was never initialized",
    )
    for value, address in ((entry, entry), (None, old.address)):
        assert told(lambda: old.free(value))[1:] == (  # noqa: B023
            address,
            f"list 'old' at {old.address:#x}: the list was freed to; it was deleted",
        )


def test_entries_of_several_lists_are_each_its_own(kernel: Kernel) -> None:
    one, other = new_list(kernel, "one", size=48), new_list(kernel, "other", size=48)
    (entry,) = take(one, 1)
    assert told(lambda: other.free(entry))[2].endswith(
        f"the entry {entry:#x} of the list 'one' at {one.address:#x} was freed to this one"
    )
    for lookaside in (one, other):  # an entry goes from list to list by way of the pool
        if lookaside is other:
            (entry,) = take(other, 1)
        lookaside.free(entry)
        lookaside.flush()
    assert [each.live_entries for each in (one, other) if isinstance(each, SanitizedList)] == [
        frozenset(),
        frozenset(),
    ]


def test_a_leak_names_the_first_eight_entries(kernel: Kernel) -> None:
    lookaside = new_list(kernel, "mine")
    entries = sorted(take(lookaside, 10))
    kind, address, message = told(lookaside.delete)
    assert (kind, address) == ("entry-leaked", entries[0])
    shown = ", ".join(map(hex, entries[:8]))
    assert message.endswith(f" with 10 entries still out: {shown}")


def test_a_list_that_was_never_initialized_holds_nothing(kernel: Kernel) -> None:
    fresh = kernel.lookaside_list("fresh")
    assert isinstance(fresh, SanitizedList)
    assert (fresh.live_entries, fresh.entry_size) == (frozenset(), 0)
    assert not fresh.holds_out(0)


def test_wrong_frees_with_a_list_in_a_block_are_left_to_the_pool() -> None:
    for offset in (16, 0x1000):
        kernel = Kernel(sanitizer=True)
        block = allocated(kernel, 0x100)
        new_list(kernel, address=block + 0xA0)
        stop_of(lambda: kernel.pool.free(block + offset))  # noqa: B023
