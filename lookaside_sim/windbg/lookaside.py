"""``!lookaside``: one list, all lists, and what the debugger writes into them.

Source:
    docs/sources.md, lists section 8, from public WinDbg transcripts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.arguments import boolean, instance, unsigned
from lookaside_sim.nt.types import PoolType

_BASE_NAMES: Final = {
    0: "NonPagedPool",
    1: "PagedPool",
    2: "NonPagedPoolMustSucceed",
    3: "DontUseThisType",
    4: "NonPagedPoolCacheAligned",
    5: "PagedPoolCacheAligned",
    6: "NonPagedPoolCacheAlignedMustS",
    7: "MaxPoolType",
}
_BASE_BITS: Final = 7
_NX_NAMES: Final = {0: "NonPagedPoolNx", 4: "NonPagedPoolNxCacheAligned"}
"""POOL_TYPE has a name of its own for these with POOL_NX_ALLOCATION."""
_MODIFIER_NAMES: Final = {
    PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE: "QuotaFailInsteadOfRaise",
    PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE: "RaiseIfAllocationFailure",
    PoolType.NonPagedPoolSession: "Session",
    PoolType.POOL_COLD_ALLOCATION: "ColdAllocation",
    PoolType.POOL_NX_ALLOCATION: "Nx",
}


def pool_type_name(pool_type: int) -> str:
    """Decode a pool type as ``!lookaside`` does.

    Args:
        pool_type: the field Type.

    Returns:
        The base type's name, then the modifiers', blank separated. Choice: the transcripts
        show NonPagedPoolNx and RaiseIfAllocationFailure; others are named likewise.
    """
    pool_type = unsigned("pool_type", pool_type, 32)
    base = pool_type & _BASE_BITS
    names = [_BASE_NAMES[base]]
    if pool_type & PoolType.POOL_NX_ALLOCATION and base in _NX_NAMES:
        names = [_NX_NAMES[base]]
        pool_type &= ~int(PoolType.POOL_NX_ALLOCATION)
    names += [name for bit, name in _MODIFIER_NAMES.items() if pool_type & bit]
    return " ".join(names)


def lookaside(lookaside_list: LookasideList, *, debugger_depth: bool = False) -> str:
    """Print one list as ``!lookaside ADDRESS`` does.

    Args:
        lookaside_list: the list.
        debugger_depth: print Current Depth as WinDbg does: on x64 it reads the x86 header
            layout and so prints 0. By default the true depth.

    Returns:
        Seven lines without a final newline; one that says so for a list whose memory is gone.
    """
    instance("lookaside_list", lookaside_list, LookasideList)
    debugger_depth = boolean("debugger_depth", debugger_depth)
    width = lookaside_list.arch.pointer_size * 2
    label = (
        f'Lookaside "{printable(lookaside_list.name)}" @ 0x{lookaside_list.address:0{width}x}'
    )
    of = lookaside_list.peek()
    if of is None:
        return f"{label}  not mapped"
    current = 0 if debugger_depth and of.arch.pointer_size == 8 else of.current_depth
    allocates, frees = of.total_allocates, of.total_frees
    allocate_rate = _hit_rate(allocates, of.allocate_misses)
    free_rate = _hit_rate(frees, of.free_misses)
    return "\n".join(
        (
            f'{label}  Tag(hex): 0x{of.tag:08x} "{of.tag!s}"',
            f"    Type           =       {int(of.type):04x}  {pool_type_name(of.type)}",
            f"    Current Depth  = {current:10}  Max Depth  = {of.depth:10}",
            f"    Size           = {of.size:10}  Max Alloc  = {of.size * of.depth:10}",
            f"    AllocateMisses = {of.allocate_misses:10}  FreeMisses = {of.free_misses:10}",
            f"    TotalAllocates = {allocates:10}  TotalFrees = {frees:10}",
            f"    Hit Rate       = {allocate_rate:10}% Hit Rate   = {free_rate:10}%",
        )
    )


def lookasides(
    kernel: Kernel,
    lists: Iterable[LookasideList] | None = None,
    *,
    debugger_depth: bool = False,
) -> str:
    """Print several lists and their totals, as ``!lookaside`` without an address does.

    Args:
        kernel: the machine.
        lists: which lists, in which order; None for all active general lists.
        debugger_depth: as for `lookaside`; also makes the currently allocated totals 0.

    Returns:
        The lists, a blank line after each, then four lines of totals in bytes.
    """
    instance("kernel", kernel, Kernel)
    debugger_depth = boolean("debugger_depth", debugger_depth)
    shown = kernel.lookaside_lists if lists is None else list(lists)
    blocks = [lookaside(each, debugger_depth=debugger_depth) + "\n" for each in shown]
    seen = [fields for each in shown if (fields := each.peek()) is not None]
    totals = []
    for name, paged in (("NonPaged", False), ("Paged", True)):
        of_kind = [each for each in seen if each.type.is_paged is paged]
        hidden = debugger_depth and kernel.arch.pointer_size == 8
        current = 0 if hidden else sum(each.size * each.current_depth for each in of_kind)
        potential = sum(each.size * each.depth for each in of_kind)
        label = f"Total {name} currently allocated for above lists"
        totals.append(f"{label:50} = {current:8}")
        totals.append(f"{f'Total {name} potential for above lists':50} = {potential:8}")
    return "\n".join([*blocks, *totals])


def printable(text: str) -> str:
    """Escape what would break a line or cannot be printed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def reset_counters(lookaside_list: LookasideList) -> None:
    """Zero a list's counters, as ``!lookaside ADDRESS 1`` does.

    Raises:
        BugCheck: the machine has stopped.
    """
    instance("lookaside_list", lookaside_list, LookasideList).reset_counters()


def set_depth(lookaside_list: LookasideList, depth: int) -> None:
    """Set a list's Depth, as ``!lookaside ADDRESS 2 N`` does.

    Args:
        lookaside_list: the list.
        depth: entries, 0 to 65535.

    Raises:
        ValueError: not 0 to 65535.
        BugCheck: the machine has stopped.
    """
    instance("lookaside_list", lookaside_list, LookasideList).set_depth(depth)


def _hit_rate(total: int, misses: int) -> int:
    """Whole percent of calls that did not miss, rounded down; 100 without misses.

    Choice: counters that say there were more misses than calls print 0.
    """
    return 100 * max(total - misses, 0) // max(total, 1) if misses else 100
