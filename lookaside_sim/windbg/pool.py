"""The debugger's views of the pool, and PoolMon's; import them from `lookaside_sim.windbg`.

Source:
    docs/sources.md, pool section 5, from public transcripts and Microsoft's pages of the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import attrs

from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SIZE
from lookaside_sim.nt.types import PROTECTED_POOL, PoolTag
from lookaside_sim.pool.accounting import PoolTagUsage
from lookaside_sim.pool.check import PoolBlock

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel
    from lookaside_sim.lookaside.built_in import BuiltInList

VERBOSE: Final = 1
BY_NONPAGED: Final = 2
BY_PAGED: Final = 4
"""Flags of ``!poolused``."""
ONLY_MATCHING: Final = 2
"""Flag of ``!pool``."""
_QUOTA_BIT: Final = 8
_POOL_NAMES: Final = {False: "Nonpaged pool", True: "Paged pool"}


# --- PoolMon -----------------------------------------------------------------------------


def poolmon_row(
    tag: str,
    *,
    paged: bool,
    allocs: int,
    frees: int,
    size: int,
    changes: tuple[int, int, int] = (0, 0, 0),
) -> str:
    """One row of PoolMon.

    Args:
        tag: four characters.
        paged: which of the tag's two rows.
        allocs: allocations so far.
        frees: frees so far.
        size: bytes in use.
        changes: of allocations, frees and bytes since the last refresh.
    """
    difference = allocs - frees
    each = size // difference if difference else 0
    kind = "Paged" if paged else "Nonp"
    return (
        f" {tag:<4} {kind:<5}{allocs:10} ({changes[0]:4}){frees:10} ({changes[1]:4})"
        f" {difference:8} {size:7} ({changes[2]:6}) {each:6}"
    )


def poolmon(kernel: Kernel, before: Mapping[PoolTag, PoolTagUsage] | None = None) -> str:
    """PoolMon's rows, by tag, nonpaged first; a tag used in both pools has two.

    Args:
        kernel: the machine.
        before: `PoolManager.tags` at the last refresh; None for no changes.

    Returns:
        The heading line and a blank one, then the rows.
    """
    lines = [
        " Tag  Type     Allocs            Frees            Diff   Bytes       Per Alloc",
        "",
    ]
    for tag, usage in kernel.pool.rows().items():
        old = usage if before is None else before.get(tag, PoolTagUsage())
        for paged in (False, True):
            allocs, frees, size = _side(usage, paged=paged)
            if not allocs and not frees:
                continue
            was = _side(old, paged=paged)
            changes = (allocs - was[0], frees - was[1], size - was[2])
            lines.append(
                poolmon_row(
                    str(tag),
                    paged=paged,
                    allocs=allocs,
                    frees=frees,
                    size=size,
                    changes=changes,
                )
            )
    return "\n".join(lines)


def _side(usage: PoolTagUsage, *, paged: bool) -> tuple[int, int, int]:
    if paged:
        return usage.paged_allocs, usage.paged_frees, usage.paged_bytes
    return usage.nonpaged_allocs, usage.nonpaged_frees, usage.nonpaged_bytes


# --- !poolused ---------------------------------------------------------------------------


def poolused(
    kernel: Kernel,
    flags: int = 0,
    tag: str = "*",
    *,
    descriptions: Mapping[str, str] | None = None,
) -> str:
    """Print pool use by tag, as ``!poolused FLAGS TAG`` does.

    Args:
        kernel: the machine.
        flags: 0, or 1 verbose, 2 sorted by nonpaged use, 4 sorted by paged use.
        tag: tags to show, ``*`` and ``?`` as wildcards.
        descriptions: what pooltag.txt says of each tag.

    Raises:
        ValueError: flags 2 and 4 together.
    """
    rows = {
        str(each): usage
        for each, usage in kernel.pool.rows().items()
        if fnmatchcase(str(each), tag if "*" in tag else tag.ljust(4))
    }
    return poolused_text(rows, flags, descriptions=descriptions)


def poolused_text(
    rows: Mapping[str, PoolTagUsage],
    flags: int = 0,
    *,
    descriptions: Mapping[str, str] | None = None,
) -> str:
    """Lay out what `poolused` shows, from rows by tag."""
    if flags & BY_NONPAGED and flags & BY_PAGED:
        raise ValueError(f"flags {flags}: 2 and 4 exclude each other")
    names = descriptions or {}
    by, ordered = "Tag", sorted(rows.items())
    if flags & (BY_NONPAGED | BY_PAGED):
        paged = bool(flags & BY_PAGED)
        by = "Paged Pool Consumed" if paged else "NonPaged Pool Consumed"
        ordered.sort(key=lambda row: -_side(row[1], paged=paged)[2])

    def described(tag: str) -> str:
        return names.get(tag, f"UNKNOWN pooltag '{tag}', please update pooltag.txt")

    total = [0] * 8
    shown: list[tuple[str, list[int]]] = []
    for tag, usage in ordered:
        numbers = []
        for paged in (False, True):
            allocs, frees, size = _side(usage, paged=paged)
            numbers += [allocs, frees, allocs - frees, size]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        shown.append((tag, numbers))
    if flags & VERBOSE:
        lines = [
            f" Sorting by {by}",
            "",
            " " * 28 + "NonPaged" + " " * 41 + "Paged",
            " Tag       Allocs       Frees      Diff         Used"
            "       Allocs       Frees      Diff         Used",
            "",
        ]
        lines += [f" {tag:<4} {_verbose(of)}\t{described(tag)}" for tag, of in shown]
        return "\n".join([*lines, "", f" TOTAL{_verbose(total)}"])
    if flags & (BY_NONPAGED | BY_PAGED):
        lines = [
            f" Sorting by {by}",
            "",
            "               NonPaged                  Paged",
            " Tag     Allocs         Used     Allocs         Used",
            "",
        ]
        lines += [
            f" {tag:<4}{of[2]:10} {of[3]:12} {of[6]:10} {of[7]:12}\t{described(tag)}"
            for tag, of in shown
        ]
        last = f"TOTAL{total[2]:10} {total[3]:12} {total[6]:10} {total[7]:12}"
        return "\n".join([*lines, "", last])
    lines = [
        f"   Sorting by  {by}",
        "",
        "  Pool Used:",
        "            NonPaged            Paged",
        " Tag    Allocs     Used    Allocs     Used",
    ]
    lines += [
        f" {tag:<4} {of[2]:8} {of[3]:8}  {of[6]:8} {of[7]:8}{described(tag)}"
        for tag, of in shown
    ]
    last = f" TOTAL    {total[2]:8} {total[3]:8}  {total[6]:8} {total[7]:8}"
    return "\n".join([*lines, last])


def _verbose(of: list[int]) -> str:
    return (
        f"{of[0]:11} {of[1]:11} {of[2]:9} {of[3]:12}"
        f"  {of[4]:11} {of[5]:11} {of[6]:9} {of[7]:12}"
    )


# --- !pool -------------------------------------------------------------------------------


@attrs.frozen
class PoolRow:
    """What one line of ``!pool`` says.

    Attributes:
        header: address of the block's header.
        size: bytes, header included.
        previous_size: bytes of the block before.
        state: ``Allocated``, ``Free``, or ``Free `` for a parked block.
        tag: its tag.
        marked: whether it holds the address asked for.
        process: address of the process it is billed to, None for no quota.
        digits: hexadecimal digits of an address.
    """

    header: int
    size: int
    previous_size: int
    state: str
    tag: PoolTag
    marked: bool = False
    process: int | None = None
    digits: int = 16

    def __str__(self) -> str:
        star = "*" if self.marked else " "
        state = f"({self.state})"
        label = f"{state}  " if self.state == "Free " else f"{state:<11} "
        text = (
            f"{star}{self.header:0{self.digits}x} size: {self.size:4x}"
            f" previous size: {self.previous_size:4x}  {label}{star}{self.tag!s}"
        )
        if self.tag & PROTECTED_POOL:
            text += " (Protected)"
        if self.process is not None:
            text += f" Process: {self.process:0{self.digits}x}"
        return text


def _row(kernel: Kernel, block: PoolBlock, *, marked: bool) -> PoolRow:
    arch = kernel.arch
    unit = arch.pool_header.unit
    state = "Allocated"
    if block.is_free:
        state = "Free"
    elif block.is_parked:
        state = "Free "
    billed = None
    if block.block_type & _QUOTA_BIT:
        process = kernel.processes.billed(block.header + arch.pool_header.size)
        billed = None if process is None else process.address
    return PoolRow(
        header=block.header,
        size=block.units * unit,
        previous_size=block.previous_units * unit,
        state=state,
        tag=block.tag,
        marked=marked,
        process=billed,
        digits=arch.pointer_size * 2,
    )


def pool_rows(kernel: Kernel, address: int) -> list[PoolRow]:
    """The blocks of the page that holds an address, front to back; none for other pages."""
    unit = kernel.arch.pool_header.unit
    return [
        _row(
            kernel,
            block,
            marked=block.header <= address < block.header + block.units * unit,
        )
        for block in kernel.pool.blocks_in_page(address)
    ]


def pool(
    kernel: Kernel,
    address: int,
    flags: int = 0,
    *,
    descriptions: Mapping[str, str] | None = None,
) -> str:
    """Print the page that holds an address, as ``!pool ADDRESS FLAGS`` does.

    Args:
        kernel: the machine.
        address: any address.
        flags: 2 shows only the block that holds the address.
        descriptions: what pooltag.txt says of each tag.
    """
    digits = kernel.arch.pointer_size * 2
    start = address & ~PAGE_MASK
    verification = kernel.verification
    if verification is not None and verification.special_pool is not None:
        special = verification.special_pool
        if special.holds(address):
            lines = [f"Pool page {address:0{digits}x} region is Special pool"]
            block = next(
                (b for b in special.blocks.values() if b.address & ~PAGE_MASK == start), None
            )
            if block is not None:
                kind = "Paged" if block.pool_type & 1 else "NonPaged"
                lines.append(
                    f"*{start:0{digits}x} size: {block.size:4x}"
                    f" data: {block.address:0{digits}x} ({kind}) *{block.tag!s}"
                )
                lines.append(_described(block.tag, descriptions))
            return "\n".join(lines)
    region = kernel.pool.descriptor_at(address)
    name = "Unknown" if region is None else _POOL_NAMES[region.paged]
    lines = [f"Pool page {address:0{digits}x} region is {name}"]
    rows = pool_rows(kernel, address)
    if not rows or not any(row.marked for row in rows):
        found = kernel.pool.find(address)
        if found is not None and not found.address & PAGE_MASK and found.size >= PAGE_SIZE - 31:
            lines.append(
                f"*{found.address:0{digits}x} : large page allocation, tag is {found.tag!s},"
                f" size is {found.size:#x} bytes"
            )
            lines.append(_described(found.tag, descriptions))
    for row in rows:
        if row.marked or not flags & ONLY_MATCHING:
            lines.append(str(row))
        if row.marked:
            lines.append(_described(row.tag, descriptions))
    return "\n".join(lines)


def _described(tag: PoolTag, descriptions: Mapping[str, str] | None) -> str:
    known = (descriptions or {}).get(str(tag))
    if known is None:
        return "\t\tOwning component : Unknown (update pooltag.txt)"
    return f"\t\tPooltag {tag!s} : {known}"


# --- !poolfind and the lists in the pool -------------------------------------------------


def poolfind(kernel: Kernel, tag: str, *, paged: bool = False) -> str:
    """Search a pool for blocks with a tag, as ``!poolfind TAG POOLTYPE`` does.

    Args:
        kernel: the machine.
        tag: four characters, ``*`` and ``?`` as wildcards.
        paged: search paged pool instead of nonpaged.
    """
    digits = kernel.arch.pointer_size * 2
    pattern = tag if "*" in tag else tag.ljust(4)
    pools = [each for each in kernel.pool.descriptors if each.paged is paged]
    table = kernel.arch.process_start - 0x100000  # where the big page table would lie
    lines = [
        f"Scanning large pool allocation table for Tag: {tag}"
        f" ({table:0{digits}x} : {table + 0x18000:0{digits}x})"
    ]
    lines += [
        f"*{big.address:0{digits}x} : large page allocation, tag is {PoolTag(big.tag)!s},"
        f" size is {big.size:#x} bytes"
        for big in kernel.pool.big_blocks.values()
        if fnmatchcase(str(PoolTag(big.tag)), pattern)
        and kernel.pool.descriptor_at(big.address) in pools
    ]
    kind = "Paged" if paged else "NonPaged"
    for each in pools:
        lines.append(
            f"Searching {kind} pool ({each.base:0{digits}x} : {each.end:0{digits}x}) for"
            f" Tag: {tag}"
        )
        for page in kernel.pool.pages_of_blocks(paged):
            if each.base <= page < each.end:
                lines += [
                    poolfind_row(_row(kernel, block, marked=False))
                    for block in kernel.pool.blocks_in_page(page)
                    if fnmatchcase(str(block.tag), pattern)
                ]
    return "\n".join(lines)


def poolfind_row(row: PoolRow) -> str:
    """A row of ``!pool`` as ``!poolfind`` prints it: no columns for the stars."""
    before, _, after = str(row).rpartition(") ")
    return f"{before[1:]}) {after.lstrip() if row.state != 'Free ' else after}"


def pplookaside(kernel: Kernel) -> str:
    """Print the processors' lists: small-pool lists in use, then the P and L lists.

    Choice: no public transcript shows such a view; one line a list, misses as counted by
    SYSTEM_LOOKASIDE_INFORMATION.
    """
    lines = [
        "Processor  List               Size  Depth  Held  Allocates  Misses     Frees  Misses"
    ]
    if kernel.small_pool_lists is not None:
        for number in range(kernel.processors):
            for name, pool_type in (("PPNPaged", 0), ("PPPaged", 1), ("PPNxPaged", 512)):
                for each in kernel.small_pool_lists.of(number, pool_type):
                    if each.is_used:
                        lines.append(_list_line(str(number), name, each))
    for pair in kernel.io_lists.pairs:
        for number, each in enumerate(pair.per_processor):
            lines.append(_list_line(str(number), f"P {pair.name}", each))
        lines.append(_list_line("-", f"L {pair.name}", pair.shared))
    return "\n".join(lines)


def _list_line(processor: str, name: str, of: BuiltInList) -> str:
    return (
        f"{processor:>9}  {name:<16} {of.size:6} {of.depth:6} {of.current_depth:5}"
        f" {of.total_allocates:10} {of.allocate_misses:7} {of.total_frees:9} {of.free_misses:7}"
    )
