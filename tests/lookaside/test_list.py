"""Looking at a list: its repr, its routines, and its invariants."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheck,
    InvariantError,
    Kernel,
    LookasideList,
    LookasideSimError,
)
from tests.helpers import fill, list_in_block, new_list, poke

BEYOND_CACHES = 0x40_0000  # bytes of a block whose pages are unmapped when it is freed


def test_repr_names_what_matters(kernel: Kernel) -> None:
    lookaside = new_list(kernel, "drv!Irps", size=40, tag=b"tsLL")
    assert repr(lookaside) == (
        f"<LookasideList drv!Irps @ {lookaside.address:#x} tsLL size=40 depth=0/4 active>"
    )
    lookaside.delete()
    assert repr(lookaside).endswith("inactive>")
    assert " @ " in repr(LookasideList(kernel))


LOOKS: dict[str, Callable[[LookasideList], object]] = {
    "bytes": bytes,
    "depth": lambda each: each.depth,
    "total_allocates": lambda each: each.total_allocates,
    "entries": lambda each: list(each.entries()),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("stopped", [False, True])
def test_looking_at_a_list_whose_page_is_gone_does_not_stop_the_machine(
    kernel: Kernel, look: str, stopped: bool
) -> None:
    lookaside = list_in_block(kernel, size=BEYOND_CACHES)
    lookaside.initialize(size=32, tag=b"gone")
    kernel.pool.free(lookaside.address)
    if stopped:
        with pytest.raises(BugCheck):
            kernel.lower_irql(15)
    stop = kernel.bugcheck
    assert repr(lookaside) == f"<LookasideList @ {lookaside.address:#x} not mapped>"
    with pytest.raises(LookasideSimError, match=f"{lookaside.address:#x}"):
        LOOKS[look](lookaside)
    assert lookaside.peek() is None
    assert kernel.bugcheck is stop


def test_a_list_tells_whether_its_routines_are_the_defaults(
    kernel: Kernel, blank: LookasideList, arch: str
) -> None:
    assert not blank.has_default_routines
    blank.initialize(size=32, tag=b"dflt")
    assert blank.has_default_routines
    poke(kernel, blank, FreeEx=0)
    assert not blank.has_default_routines
    blank.delete()
    blank.initialize(size=32, tag=b"cust", allocate=lambda *_: None)
    assert not blank.has_default_routines


def test_check_accepts_a_list_in_correct_use(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"good")
    fill(blank, 6)
    blank.check()
    kernel.check()
    assert len(list(blank.entries())) == 4


def test_check_finds_a_wrong_depth(kernel: Kernel, blank: LookasideList, arch: str) -> None:
    blank.initialize(size=32, tag=b"chck")
    blank.free(blank.allocate())
    kernel.write(blank.address + (0 if arch == "x64" else 4), b"\x02\x00")
    with pytest.raises(InvariantError, match="says it has 2 entries and has 1"):
        blank.check()


def test_check_finds_a_ring(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"chck")
    entry = blank.allocate()
    blank.free(entry)
    blank.free(entry)
    with pytest.raises(InvariantError, match="ring"):
        blank.check()


def test_check_finds_an_entry_outside_a_live_block(
    kernel: Kernel, blank: LookasideList
) -> None:
    keep = kernel.pool.allocate(0, 64, b"keep")
    blank.initialize(size=32, tag=b"chck")
    entry = blank.allocate()
    blank.free(entry)
    kernel.pool.free(entry)
    kernel.write(entry or 0, bytes(8))
    with pytest.raises(InvariantError, match="in no live block"):
        blank.check()
    assert keep is not None


def test_check_finds_an_entry_that_is_too_small(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=64, tag=b"chck")
    small = kernel.pool.allocate(0, 16, b"smal")
    blank.free(small)
    with pytest.raises(InvariantError, match="in no live block"):
        blank.check()


def test_check_finds_a_depth_over_the_maximum(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=64, tag=b"chck")
    poke(kernel, blank, Depth=257)
    with pytest.raises(InvariantError, match="over maximum depth 256"):
        blank.check()
    poke(kernel, blank, MaximumDepth=0xFFFF)
    blank.check()
