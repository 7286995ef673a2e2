"""The debugger's views, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideList,
    PoolTag,
    PoolType,
    windbg,
)
from lookaside_sim.testing import LeakTracker
from tests.helpers import (
    allocated,
    both_machines,
    fill,
    new_list,
    nowhere,
    poke,
    where,
    write_pointer,
)

CRATE = """\
Lookaside "" @ 0xfffff80474866030  Tag(hex): 0x61616262 "bbaa"
    Type           =       0000  NonPagedPool
    Current Depth  =          0  Max Depth  =          4
    Size           =          8  Max Alloc  =         32
    AllocateMisses =          4  FreeMisses =          0
    TotalAllocates =          4  TotalFrees =          4
    Hit Rate       =          0% Hit Rate   =        100%"""

NTFS = """\
Lookaside "" @ 0xfffff88001294f80  Tag(hex): 0x7366744e "Ntfs"
    Type           =       0011  PagedPool RaiseIfAllocationFailure
    Current Depth  =          0  Max Depth  =          4
    Size           =        496  Max Alloc  =       1984
    AllocateMisses =          8  FreeMisses =          0
    TotalAllocates =     272492  TotalFrees =     272488
    Hit Rate       =         99% Hit Rate   =        100%"""

TWILIGHT = """\
Lookaside "nt!CcTwilightLookasideList" @ 0xfffff80002c49280  Tag(hex): 0x6b576343 "CcWk"
    Type           =       0000  NonPagedPool
    Current Depth  =          0  Max Depth  =         34
    Size           =         32  Max Alloc  =       1088
    AllocateMisses =        534  FreeMisses =        467
    TotalAllocates =        759  TotalFrees =        715
    Hit Rate       =         29% Hit Rate   =         34%"""


def set_counters(
    kernel: Kernel,
    lookaside: LookasideList,
    allocates: int,
    misses: int,
    frees: int,
    free_misses: int,
) -> None:
    """Write TotalAllocates, AllocateMisses, TotalFrees, FreeMisses."""
    poke(kernel, lookaside, TotalAllocates=allocates, AllocateMisses=misses)
    poke(kernel, lookaside, TotalFrees=frees, FreeMisses=free_misses)


def crate(kernel: Kernel) -> LookasideList:
    """Four creates, removes in the order 1, 3, 4, 2."""
    lookaside = new_list(
        kernel, address=0xFFFF_F804_7486_6030, size=0, tag=PoolTag.from_literal("aabb")
    )
    contexts = [lookaside.allocate() for _ in range(4)]
    for number in (1, 3, 4, 2):
        lookaside.free(contexts[number - 1])
    return lookaside


def ntfs(kernel: Kernel) -> LookasideList:
    lookaside = new_list(
        kernel,
        address=0xFFFF_F880_0129_4F80,
        pool_type=PoolType.PagedPool,
        size=496,
        tag=b"Ntfs",
        flags=1,
    )
    set_counters(kernel, lookaside, 272492, 8, 272488, 0)
    return lookaside


def twilight(kernel: Kernel) -> LookasideList:
    lookaside = new_list(
        kernel,
        "nt!CcTwilightLookasideList",
        address=0xFFFF_F800_02C4_9280,
        size=32,
        tag=b"CcWk",
    )
    set_counters(kernel, lookaside, 759, 534, 715, 467)
    windbg.set_depth(lookaside, 34)
    return lookaside


def lines_of(lookaside: LookasideList) -> dict[str, str]:
    """The view's lines by their label."""
    lines = windbg.lookaside(lookaside).splitlines()
    return {line[4:18].strip(): line for line in lines[1:]}


def test_the_transcript_of_the_crate() -> None:
    assert windbg.lookaside(crate(Kernel()), debugger_depth=True) == CRATE


def test_the_transcript_of_ntfs() -> None:
    assert windbg.lookaside(ntfs(Kernel()), debugger_depth=True) == NTFS


def test_the_transcript_with_a_name() -> None:
    assert windbg.lookaside(twilight(Kernel()), debugger_depth=True) == TWILIGHT


def test_the_true_depth_by_default() -> None:
    shown = windbg.lookaside(crate(Kernel()))
    assert shown == CRATE.replace("Current Depth  =          0", "Current Depth  =          4")


def test_several_lists_and_their_totals() -> None:
    kernel = Kernel()
    lists = [crate(kernel), ntfs(kernel), twilight(kernel)]
    assert windbg.lookasides(kernel, lists, debugger_depth=True) == "\n".join(
        [
            CRATE,
            "",
            NTFS,
            "",
            TWILIGHT,
            "",
            "Total NonPaged currently allocated for above lists =        0",
            "Total NonPaged potential for above lists           =     1120",
            "Total Paged currently allocated for above lists    =        0",
            "Total Paged potential for above lists              =     1984",
        ]
    )


def test_the_totals_of_the_transcript() -> None:
    kernel = Kernel()
    for pool_type, size, depth in ((0, 75624 // 8, 8), (1, 367832 // 4, 4)):
        lookaside = new_list(kernel, pool_type=pool_type, size=size, tag=b"totl")
        windbg.set_depth(lookaside, depth)
    assert windbg.lookasides(kernel).splitlines()[-4:] == [
        "Total NonPaged currently allocated for above lists =        0",
        "Total NonPaged potential for above lists           =    75624",
        "Total Paged currently allocated for above lists    =        0",
        "Total Paged potential for above lists              =   367832",
    ]


def test_currently_allocated_counts_true_depths(kernel: Kernel) -> None:
    for pool_type, size, count in ((0, 100, 3), (0x200, 10, 2), (1, 50, 4)):
        lookaside = new_list(kernel, pool_type=pool_type, size=size, tag=b"totl")
        fill(lookaside, count)
    totals = windbg.lookasides(kernel).splitlines()[-4:]
    assert [int(line.split("=")[1]) for line in totals] == [320, 440, 200, 200]
    habit = windbg.lookasides(kernel, debugger_depth=True)
    totals = habit.splitlines()[-4:]
    # What the debugger reads wrongly on x64 it reads rightly on x86.
    current = [0, 0] if kernel.arch.name == "x64" else [320, 200]
    assert [int(line.split("=")[1]) for line in totals] == [current[0], 440, current[1], 200]
    assert all(
        f"Depth  = {depth:10}  Max" in habit for depth in ((0,) if 0 in current else (2, 3))
    )


def test_without_a_choice_all_active_lists_are_shown(kernel: Kernel) -> None:
    paged, nonpaged, idle = (LookasideList(kernel, name) for name in ("p!p", "n!n", "i!i"))
    paged.initialize(pool_type=1, size=32, tag=b"page")
    nonpaged.initialize(size=32, tag=b"nonp")
    shown = windbg.lookasides(kernel)
    assert shown.index('"n!n"') < shown.index('"p!p"')
    assert "i!i" not in shown
    assert windbg.lookaside(idle) in windbg.lookasides(kernel, iter([idle]))


def test_no_lists_have_totals_of_0(kernel: Kernel) -> None:
    lines = windbg.lookasides(kernel).splitlines()
    assert len(lines) == 4
    assert all(line.endswith("=        0") for line in lines)


def test_addresses_are_as_wide_as_the_machines() -> None:
    for arch, address, text in (
        ("x64", 0x0000_0800_0000_1000, "@ 0x0000080000001000  Tag"),
        ("x86", 0x0800_1000, "@ 0x08001000  Tag"),
        ("x86", 0x8C25_3000, "@ 0x8c253000  Tag"),
    ):
        assert text in windbg.lookaside(LookasideList(Kernel(arch), address=address))


def test_a_transcript_on_x86() -> None:
    kernel = Kernel("x86")
    lookaside = new_list(
        kernel,
        "drv!List",
        address=0x8C25_3080,
        pool_type=PoolType.PagedPool,
        size=2,
        tag=b"tsLL",
    )
    lookaside.free(lookaside.allocate())
    lookaside.allocate()
    assert windbg.lookaside(lookaside) == (
        'Lookaside "drv!List" @ 0x8c253080  Tag(hex): 0x4c4c7374 "tsLL"\n'
        "    Type           =       0001  PagedPool\n"
        "    Current Depth  =          0  Max Depth  =          4\n"
        "    Size           =          4  Max Alloc  =         16\n"
        "    AllocateMisses =          1  FreeMisses =          0\n"
        "    TotalAllocates =          2  TotalFrees =          1\n"
        "    Hit Rate       =         50% Hit Rate   =        100%"
    )


def test_a_list_in_a_block_is_shown_like_any_other(
    kernel: Kernel, blank: LookasideList
) -> None:
    blank.initialize(size=32, tag=b"view")
    blank.free(blank.allocate())
    assert "Current Depth  =          1  " in windbg.lookaside(blank)


@pytest.mark.parametrize(
    ("total", "misses", "rate"),
    [
        (0, 0, 100),
        (1, 0, 100),
        (4, 4, 0),
        (759, 534, 29),
        (715, 467, 34),
        (272492, 8, 99),
        (3, 1, 66),
        (200, 1, 99),
        (1000, 999, 0),
        (100, 99, 1),
        (1, 2, 0),  # lost increments
        (0xFFFF_FFFF, 1, 99),
    ],
)
def test_hit_rates_are_rounded_down(kernel: Kernel, total: int, misses: int, rate: int) -> None:
    lookaside = new_list(kernel, size=32, tag=b"rate")
    set_counters(kernel, lookaside, total, misses, total, misses)
    assert lines_of(lookaside)["Hit Rate"] == (
        f"    Hit Rate       = {rate:>10}% Hit Rate   = {rate:>10}%"
    )


def test_allocates_and_frees_have_rates_of_their_own(kernel: Kernel) -> None:
    lookaside = new_list(kernel, size=32, tag=b"rate")
    set_counters(kernel, lookaside, 10, 5, 10, 1)
    rates = lines_of(lookaside)["Hit Rate"].replace("%", "").split()
    assert (rates[3], rates[-1]) == ("50", "90")


@pytest.mark.parametrize(
    ("pool_type", "name"),
    [
        (0x0, "NonPagedPool"),
        (0x1, "PagedPool"),
        (0x2, "NonPagedPoolMustSucceed"),
        (0x3, "DontUseThisType"),
        (0x4, "NonPagedPoolCacheAligned"),
        (0x5, "PagedPoolCacheAligned"),
        (0x6, "NonPagedPoolCacheAlignedMustS"),
        (0x7, "MaxPoolType"),
        (0x11, "PagedPool RaiseIfAllocationFailure"),
    ],
)
def test_pool_types_are_decoded(kernel: Kernel, pool_type: int, name: str) -> None:
    assert windbg.pool_type_name(pool_type) == name
    lookaside = LookasideList(kernel)
    lookaside.initialize_older(pool_type=pool_type, size=32, tag=b"type")
    assert lines_of(lookaside)["Type"] == (
        f"    Type           =       {pool_type:04x}  {name}"
    )


def test_every_modifier_has_a_name() -> None:
    names = windbg.pool_type_name(0x8 | 0x10 | 0x20 | 0x100 | 0x200).split()
    assert names[0] == "NonPagedPoolNx"
    assert len(names) == len(set(names)) == 5


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (PoolTag.from_literal("aabb"), '0x61616262 "bbaa"'),
        (b"CcWk", '0x6b576343 "CcWk"'),
        (0, '0x00000000 "...."'),
        (b"a\x01b\xff", '0xff620161 "a.b."'),
        ("ab", '0x20206261 "ab  "'),
    ],
)
def test_tags_are_hex_and_memory_order(
    kernel: Kernel, tag: PoolTag | bytes | int | str, text: str
) -> None:
    lookaside = new_list(kernel, size=32, tag=tag)
    assert windbg.lookaside(lookaside).splitlines()[0].endswith(f"Tag(hex): {text}")


def test_large_numbers_move_the_columns_only_where_they_must(kernel: Kernel) -> None:
    lookaside = new_list(kernel, size=32, tag=b"wide")
    top = 0xFFFF_FFFF
    set_counters(kernel, lookaside, top, top, top, top)
    assert lines_of(lookaside)["TotalAllocates"] == (
        "    TotalAllocates = 4294967295  TotalFrees = 4294967295"
    )


# --- what changes a list -----------------------------------------------------------------


def test_reset_counters_zeroes_the_counters_only(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"rset")
    entries = fill(blank, 6)
    kernel.tick()
    head = bytes(blank)[: kernel.arch.slist_header_size]
    windbg.reset_counters(blank)
    assert (blank.total_allocates, blank.allocate_misses) == (0, 0)
    assert (blank.total_frees, blank.free_misses) == (0, 0)
    assert (blank.last_total_allocates, blank.last_allocate_misses) == (0, 0)
    assert (blank.depth, blank.current_depth) == (4, 4)
    assert bytes(blank)[: kernel.arch.slist_header_size] == head
    assert blank.allocate() == entries[3]
    assert "Hit Rate       =        100%" in windbg.lookaside(blank)


@pytest.mark.parametrize("depth", [0, 1, 34, 0xFFFF])
def test_set_depth_writes_the_field(kernel: Kernel, blank: LookasideList, depth: int) -> None:
    blank.initialize(size=32, tag=b"sett")
    before = bytes(blank)
    windbg.set_depth(blank, depth)
    assert blank.depth == depth
    at = kernel.arch.slist_header_size
    assert bytes(blank) == before[:at] + depth.to_bytes(2, "little") + before[at + 2 :]


@pytest.mark.parametrize(
    ("depth", "error"),
    [(-1, ValueError), (65536, ValueError), (1.5, TypeError), ("4", TypeError)],
)
def test_what_is_no_depth_is_refused(
    kernel: Kernel, blank: LookasideList, depth: object, error: type[Exception]
) -> None:
    blank.initialize(size=32, tag=b"sett")
    before = bytes(blank)
    with pytest.raises(error, match=f"depth {depth!r}"):
        windbg.set_depth(blank, depth)  # type: ignore[arg-type]
    assert bytes(blank) == before


def test_views_change_nothing(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"view")
    blank.free(blank.allocate())
    before = bytes(blank)
    assert windbg.lookaside(blank) == windbg.lookaside(blank)
    assert windbg.lookaside(blank) in windbg.lookasides(kernel)
    assert bytes(blank) == before


def test_a_stopped_machine_can_be_viewed_but_not_changed(
    kernel: Kernel, blank: LookasideList
) -> None:
    blank.initialize(size=32, tag=b"dump")
    shown = windbg.lookasides(kernel)
    with pytest.raises(BugCheck) as stop:
        kernel.read(nowhere(kernel), 1)
    assert windbg.lookaside(blank) in shown
    assert windbg.lookasides(kernel, [blank]) == shown
    for change in (windbg.reset_counters, lambda each: windbg.set_depth(each, 9)):
        with pytest.raises(BugCheck) as again:
            change(blank)
        assert again.value is stop.value


# --- memory that is gone or overwritten ----------------------------------------------------

BEYOND_CACHES = 64 * 4096  # bytes of a block whose pages are unmapped when it is freed


def test_a_list_whose_memory_is_gone() -> None:
    kernel = Kernel()
    block = allocated(kernel, BEYOND_CACHES)
    lookaside = new_list(kernel, "my!List", address=block)
    other = new_list(kernel, "other")
    kernel.pool.free(block)
    assert windbg.lookaside(lookaside) == f'Lookaside "my!List" @ 0x{block:016x}  not mapped'
    shown = windbg.lookasides(kernel)
    assert "not mapped" in shown
    assert "other" not in shown  # nothing leads on to it any more
    shown = windbg.lookasides(kernel, [lookaside, other])
    assert "not mapped" in shown
    assert f"{'Total NonPaged potential for above lists':50} = {64 * 4:8}" in shown
    assert kernel.bugcheck is None


def test_the_list_of_an_unloaded_driver() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    lookaside = driver.lookaside_list("my!List")
    lookaside.initialize(size=32, tag=b"List")
    driver.unload()
    assert windbg.lookaside(lookaside).endswith("not mapped")
    assert "not mapped" in windbg.lookasides(kernel)
    assert kernel.bugcheck is None


def test_lists_that_run_in_a_ring() -> None:
    kernel = Kernel()
    first, second = new_list(kernel, "one"), new_list(kernel, "two")
    offset = where("x64", "Flink")[0]
    write_pointer(kernel, second.address + offset, first.address + offset)
    shown = windbg.lookasides(kernel)
    assert shown.count("Lookaside ") == 2


@settings(max_examples=150, deadline=None)
@given(
    arch=st.sampled_from(["x64", "x86"]),
    embedded=st.booleans(),
    garbage=st.lists(st.tuples(st.integers(0, 0x5F), st.binary(min_size=1, max_size=16))),
    forged=st.none() | st.sampled_from([0, 1, 0x40, 0x7FFF_FFFF, 0xFFFF_FFF8]),
)
def test_no_view_stops_the_machine_whatever_was_overwritten(
    arch: str, embedded: bool, garbage: list[tuple[int, bytes]], forged: int | None
) -> None:
    kernel = Kernel(arch)
    with LeakTracker(kernel) as tracker:
        block = allocated(kernel, 0x100) if embedded else None
        lookaside = new_list(kernel, "my!List", block)
        other = new_list(kernel, pool_type=1)
        fill(lookaside, 2)
        for offset, data in garbage:
            end = kernel.arch.lookaside_size
            kernel.write(lookaside.address + min(offset, end - 16), data)
        if forged is not None:
            write_pointer(kernel, other.address + where(arch, "Flink")[0], forged)
        before = kernel.read(lookaside.address, kernel.arch.lookaside_size)
        shown = windbg.lookasides(kernel)
        assert shown.count("\nTotal ") == 4
        assert tracker.report(tracker.leaks()).count("\nLookaside ") == 2
        assert repr(lookaside).startswith("<LookasideList my!List @ ")
        assert kernel.bugcheck is None
        assert kernel.read(lookaside.address, kernel.arch.lookaside_size) == before


@both_machines
def test_views_of_pools_whose_headers_are_garbage(arch: str) -> None:
    kernel = Kernel(arch)
    block = allocated(kernel, 100)
    size = kernel.arch.pool_header.size
    for garbage in (b"\xff", b"\0", b"\x0b"):
        kernel.write(block - size, garbage * size)
        assert windbg.pool(kernel, block).startswith("Pool page")
        assert windbg.poolfind(kernel, "*").startswith("Scanning")
    assert windbg.pool(kernel, 0x1234).endswith("Unknown")
    assert kernel.bugcheck is None


@pytest.mark.parametrize(
    ("pool_type", "name"),
    [
        (0x200, "NonPagedPoolNx"),
        (0x210, "NonPagedPoolNx RaiseIfAllocationFailure"),
        (0x204, "NonPagedPoolNxCacheAligned"),
        (0x11, "PagedPool RaiseIfAllocationFailure"),
        (0x201, "PagedPool Nx"),
    ],
)
def test_names_of_pool_types(pool_type: int, name: str) -> None:
    kernel = Kernel()
    assert windbg.pool_type_name(pool_type) == name
    lookaside = new_list(kernel, pool_type=0x200)
    assert f"    Type           =       0200  {'NonPagedPoolNx'}" in windbg.lookaside(lookaside)
