"""Free checks nothing: whatever it is given is an entry, if it can be an address at all."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideList,
    PoolType,
    windbg,
)
from tests.helpers import counters, new_list, read_pointer, take

# --- nothing is checked ------------------------------------------------------------------


def test_a_foreign_entry_is_taken(kernel: Kernel, lookaside: LookasideList) -> None:
    block = kernel.pool.allocate(PoolType.PagedPool, 4000, b"forn")
    lookaside.free(block)
    assert counters(lookaside) == (0, 0, 1, 0)
    assert lookaside.allocate() == block


def test_another_lists_entry_is_taken(kernel: Kernel, lookaside: LookasideList) -> None:
    other = new_list(kernel, pool_type=1, size=100, tag=b"othr")
    (entry,) = take(other, 1)
    lookaside.free(entry)
    assert other.current_depth == 0
    assert lookaside.allocate() == entry
    assert counters(other) == (1, 1, 0, 0)


def test_a_big_block_is_an_entry_like_any_other(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=0x5000, tag=b"bigs")
    a, b = take(blank, 2)
    assert a % 0x1000 == 0
    blank.free(a)
    blank.free(b)
    assert take(blank, 2) == [b, a]
    assert read_pointer(kernel, b) == a


def test_an_untouched_big_block_freed_first_gets_its_link(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    block = kernel.pool.allocate(0, 0x9000, b"bigs")
    lookaside.free(block)
    assert block is not None
    assert read_pointer(kernel, block) == 0
    assert lookaside.allocate() == block


# --- arguments that no caller could pass -------------------------------------------------


BAD_ENTRIES: list[tuple[object, type[Exception]]] = [
    (-1, ValueError),
    (-16, ValueError),
    (1 << 64, ValueError),
    (1 << 100, ValueError),
    (1.5, TypeError),
    ("entry", TypeError),
    (b"12345678", TypeError),
    (True, TypeError),
    (False, TypeError),
    ([], TypeError),
]


@pytest.mark.parametrize(
    ("entry", "error"), BAD_ENTRIES, ids=[repr(entry) for entry, _ in BAD_ENTRIES]
)
@pytest.mark.parametrize("depth", [0, 4])
def test_what_is_no_address_is_refused_and_not_counted(
    kernel: Kernel,
    lookaside: LookasideList,
    depth: int,
    entry: object,
    error: type[Exception],
) -> None:
    windbg.set_depth(lookaside, depth)
    before = bytes(lookaside)
    with pytest.raises(error):
        lookaside.free(entry)  # type: ignore[arg-type]
    assert bytes(lookaside) == before
    assert kernel.bugcheck is None


def test_an_address_as_a_float_is_refused(kernel: Kernel, lookaside: LookasideList) -> None:
    block = kernel.pool.allocate(0, 0x4000, b"flot")  # page aligned: a float holds it exactly
    assert block is not None
    before = bytes(lookaside)
    with pytest.raises(TypeError, match="entry"):
        lookaside.free(float(block))  # type: ignore[arg-type]
    assert bytes(lookaside) == before


class Address:
    """Not an int, but one for the asking, as numpy's integers are."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.mark.parametrize("depth", [0, 4])
def test_whatever_has_an_index_is_an_address(
    kernel: Kernel, lookaside: LookasideList, depth: int
) -> None:
    (entry,) = take(lookaside, 1)
    windbg.set_depth(lookaside, depth)
    lookaside.free(Address(entry))  # type: ignore[arg-type]
    assert counters(lookaside) == (1, 1, 1, int(depth == 0))
    if depth:
        assert lookaside.allocate() == entry
    else:
        assert kernel.pool.query(entry) is None


@pytest.mark.parametrize("entry", [None, 0, 0x7000])
def test_a_full_list_gives_the_pool_what_it_gets(
    kernel: Kernel, lookaside: LookasideList, entry: int | None
) -> None:
    windbg.set_depth(lookaside, 0)
    with pytest.raises(BugCheck) as stop:
        lookaside.free(entry)
    assert stop.value.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.value.parameters == (0x40, entry or 0, kernel.arch.system_start, 0)
    assert counters(lookaside) == (0, 0, 1, 1)


def test_the_header_of_a_low_address_lies_at_the_top_of_memory(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    windbg.set_depth(lookaside, 0)
    with pytest.raises(BugCheck) as stop:
        lookaside.free(4)
    header = (4 - {"x64": 16, "x86": 8}[arch]) % (1 << {"x64": 64, "x86": 32}[arch])
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.value.parameters == (header, 0, 0, 0)


def test_a_double_free_to_a_full_list_stops_in_the_pool(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    entry, _keep = take(lookaside, 2)
    windbg.set_depth(lookaside, 0)
    lookaside.free(entry)
    with pytest.raises(BugCheck) as stop:
        lookaside.free(entry)
    assert stop.value.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.value.parameters[0] == 7
    assert stop.value.parameters[3] == entry
