"""``!pool``, ``!poolfind`` and the lists in the pool; import them from `lookaside_sim.windbg`.

Source:
    docs/sources.md, pool section 5, from public transcripts and Microsoft's pages of the commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import attrs

from lookaside_sim.errors import InvariantError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.built_in import BuiltInList
from lookaside_sim.nt.arguments import boolean, instance, text, unsigned
from lookaside_sim.nt.layouts import PAGE_MASK
from lookaside_sim.nt.tag_patterns import tag_matches
from lookaside_sim.nt.types import PROTECTED_POOL, PoolTag, PoolType
from lookaside_sim.pool.check import PoolBlock
from lookaside_sim.pool.plans import QUOTA_BIT

CONTENTS: Final = 1
ONLY_MATCHING: Final = 2
"""Flags of ``!pool``."""
_STATE_WIDTH: Final = 11  # of "(Allocated)", which shorter states are padded to
_CONTENTS_BYTES: Final = 16  # of a line of contents
_POOL_NAMES: Final = {False: "Nonpaged pool", True: "Paged pool"}


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
        line = (
            f"{star}{self.header:0{self.digits}x} size: {self.size:4x}"
            f" previous size: {self.previous_size:4x}  {label}{star}{self.tag!s}"
        )
        if self.tag & PROTECTED_POOL:
            line += " (Protected)"
        if self.process is not None:
            line += f" Process: {self.process:0{self.digits}x}"
        return line


def _row(kernel: Kernel, block: PoolBlock, *, marked: bool) -> PoolRow:
    arch = kernel.arch
    unit = arch.pool_header.unit
    state = "Allocated"
    if block.is_free:
        state = "Free"
    elif block.is_parked:
        state = "Free "
    billed = None
    if block.block_type & QUOTA_BIT:
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
    """The blocks of the page that holds an address, front to back; none for other pages.

    Behind a header that does not fit the page nothing is known, and nothing is given.
    """
    instance("kernel", kernel, Kernel)
    address = unsigned("address", address, kernel.arch.address_bits)
    unit = kernel.arch.pool_header.unit
    return [
        _row(
            kernel,
            block,
            marked=block.header <= address < block.header + block.units * unit,
        )
        for block in _seen_blocks(kernel, address)
    ]


def _seen_blocks(kernel: Kernel, address: int) -> Iterator[PoolBlock]:
    """The blocks of a page up to the first header that does not fit."""
    with suppress(InvariantError):
        yield from kernel.pool.blocks_in_page(address)


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
        flags: 1 also shows what each block begins with, 2 only the block that holds the
            address.
        descriptions: what pooltag.txt says of each tag.
    """
    instance("kernel", kernel, Kernel)
    address = unsigned("address", address, kernel.arch.address_bits)
    flags = unsigned("flags", flags, 64)
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
        if found is not None and found.size > kernel.arch.pool_header.largest_request:
            lines.append(
                f"*{found.address:0{digits}x} : large page allocation, tag is {found.tag!s},"
                f" size is {found.size:#x} bytes"
            )
            lines.append(_described(found.tag, descriptions))
    for row in rows:
        if row.marked or not flags & ONLY_MATCHING:
            lines.append(str(row))
            if flags & CONTENTS:
                lines += _contents(kernel, row)
        if row.marked:
            lines.append(_described(row.tag, descriptions))
    end = rows[-1].header + rows[-1].size if rows else start
    if rows and end & PAGE_MASK and not flags & ONLY_MATCHING:
        lines.append(
            f" {end:0{digits}x} is not a valid header: the page cannot be read further"
        )
    return "\n".join(lines)


def _contents(kernel: Kernel, row: PoolRow) -> list[str]:
    """Two lines of four ULONGs from behind a header, whatever the block's size, and a blank one."""
    lines, header_size = [], kernel.arch.pool_header.size
    for indent, offset in ((" ", 0), ("    ", _CONTENTS_BYTES)):
        start = row.header + header_size + offset
        seen = kernel.peek(start, _CONTENTS_BYTES)
        words = [_word(seen[at : at + 4]) for at in range(0, _CONTENTS_BYTES, 4)]
        lines.append(f"{indent}{start:0{row.digits}x}  {' '.join(words)}")
    return [*lines, ""]


def _word(seen: list[int | None]) -> str:
    known = [byte for byte in reversed(seen) if byte is not None]
    return bytes(known).hex() if len(known) == len(seen) else "????????"


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
    instance("kernel", kernel, Kernel)
    tag, paged = text("tag", tag), boolean("paged", paged)
    digits = kernel.arch.pointer_size * 2
    pools = [each for each in kernel.pool.descriptors if each.paged is paged]
    table = kernel.arch.process_start - 0x100000  # where the big page table would lie
    lines = [
        f"Scanning large pool allocation table for Tag: {tag}"
        f" ({table:0{digits}x} : {table + 0x18000:0{digits}x})"
    ]
    found = [
        f"*{big.address:0{digits}x} : large page allocation, tag is {PoolTag(big.tag)!s},"
        f" size is {big.size:#x} bytes"
        for big in kernel.pool.big_blocks.values()
        if tag_matches(str(PoolTag(big.tag)), tag)
        and kernel.pool.descriptor_at(big.address) in pools
    ]
    lines += ["", *found] if found else []
    kind = "Paged" if paged else "NonPaged"
    for each in pools:
        lines += [
            "",
            f"Searching {kind} pool ({each.base:0{digits}x} : {each.end:0{digits}x}) for"
            f" Tag: {tag}",
        ]
        found = []
        for page in kernel.pool.pages_of_blocks(paged):
            if each.base <= page < each.end:
                found += [
                    poolfind_row(_row(kernel, block, marked=False))
                    for block in _seen_blocks(kernel, page)
                    if tag_matches(str(block.tag), tag)
                ]
        lines += ["", *found] if found else []
    return "\n".join(lines)


def poolfind_row(row: PoolRow) -> str:
    """A row of ``!pool`` as ``!poolfind`` prints it: no columns for the stars."""
    plain = str(attrs.evolve(row, marked=False))
    if row.state == "Free ":
        return plain[1:]  # no transcript shows one; as ``!pool`` has it
    state_end = plain.index("  (") + 2 + _STATE_WIDTH
    # Behind the state, and the blank after it, lies the column of the star.
    return plain[1:state_end] + " " + plain[state_end + 2 :]


_ARRAYS: Final = {
    PoolType.NonPagedPool: "PPNPaged",
    PoolType.PagedPool: "PPPaged",
    PoolType.NonPagedPoolNx: "PPNxPaged",
}
"""Names of the arrays in a processor's control block, without LookasideList."""


def pplookaside(kernel: Kernel) -> str:
    """Print the processors' lists: small-pool lists in use, then the P and L lists.

    Choice: no public transcript shows such a view; one line a list, misses as counted by
    SYSTEM_LOOKASIDE_INFORMATION.
    """
    instance("kernel", kernel, Kernel)
    lines = [
        "Processor  List               Size  Depth  Held  Allocates  Misses     Frees  Misses"
    ]
    if kernel.small_pool_lists is not None:
        for number in range(kernel.processors):
            for pool_type in kernel.small_pool_lists.kinds:
                for each in kernel.small_pool_lists.of(number, pool_type):
                    if each.is_used:
                        lines.append(_list_line(str(number), _ARRAYS[pool_type], each))
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
