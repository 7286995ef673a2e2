"""Sizes, offsets and address ranges of one machine: x64 or x86.

Source:
    [header] wdm.h (WDK, mingw-w64) and public symbol layouts; docs/sources.md, lists section 1,
    docs/sources.md, pool section 3. The address ranges are this simulator's choice: system space,
    wide apart, so that an address tells what it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import accumulate
from struct import Struct, calcsize
from types import MappingProxyType
from typing import Final

import attrs

from lookaside_sim.nt.windows import DEFAULT_WINDOWS, Windows, windows_version

PAGE_SIZE: Final = 4096
PAGE_SHIFT: Final = 12
PAGE_MASK: Final = PAGE_SIZE - 1
CACHE_LINE: Final = 64
"""Bytes that a structure declared DECLSPEC_CACHEALIGN is aligned to."""

LOOKASIDE_FIELDS: Final = (
    "Depth",
    "MaximumDepth",
    "TotalAllocates",
    "AllocateMisses",
    "TotalFrees",
    "FreeMisses",
    "Type",
    "Tag",
    "Size",
    "AllocateEx",
    "FreeEx",
    "ListEntry.Flink",
    "ListEntry.Blink",
    "LastTotalAllocates",
    "LastAllocateMisses",
    "Future[0]",
    "Future[1]",
)
"""What follows the SLIST_HEADER in a LOOKASIDE_LIST_EX, in order."""


@attrs.frozen
class PoolHeaderLayout:
    """POOL_HEADER: the 32-bit Ulong1, then the tag.

    Ulong1 holds PreviousSize from bit 0, BlockSize from bit 16 and PoolType above it; only
    the widths differ between the machines.
    """

    size: int
    """Bytes of a header."""
    unit: int
    """Bytes of one unit of PreviousSize and BlockSize, also the alignment of a block."""
    unit_shift: int
    size_mask: int
    """Mask of PreviousSize, and of BlockSize once shifted down."""
    type_shift: int
    """Lowest bit of PoolType in Ulong1."""

    @property
    def units_per_page(self) -> int:
        """Number of units in a page; one more than BlockSize can express."""
        return PAGE_SIZE >> self.unit_shift

    @property
    def largest_request(self) -> int:
        """Bytes of the largest request served by a block with a header."""
        return (self.units_per_page - 1) * self.unit - self.size


@attrs.frozen(cache_hash=True)  # a key of caches
class Architecture:
    """One machine: pointer size, structures and where the simulator puts things."""

    name: str
    pointer_size: int
    pool_header: PoolHeaderLayout
    lookaside_list: Struct
    """`LOOKASIDE_FIELDS` as bytes: LOOKASIDE_LIST_EX without the SLIST_HEADER before them."""
    slist_header_size: int
    lookaside_alignment: int
    maximum_alignment: int
    """MEMORY_ALLOCATION_ALIGNMENT: every pool block is at least this aligned."""
    address_bits: int
    pool_region_shift: int
    """Address bits below the number of the pool region."""
    nonpaged_pool_start: int
    nonpaged_nx_pool_start: int
    paged_pool_start: int
    lookaside_heads_start: int
    image_data_start: int
    """Where lists lie that were given no address of their own."""
    code_start: int
    """Where routines lie, so that a list can point at them."""
    driver_images_start: int
    """Where the images of loaded drivers begin."""
    special_pool_start: int
    """The verifier's special pool: a region of its own."""
    processor_blocks_start: int
    """Where the processors' control blocks lie, with their lookaside lists."""
    process_start: int
    """Where the EPROCESS of each process lies."""
    irql_bits: int
    """Bits of an IRQL: HIGH_LEVEL is the highest that fits."""
    user_end: int
    """Where the half of the address space ends that belongs to user mode."""
    system_start: int
    """Where system space begins. On x64 no address in between is canonical."""
    slist_has_sequence: bool = True
    """Whether an SLIST_HEADER counts pushes; on x86 from Windows 8.1 that word is CpuId."""
    has_nx_pool: bool = True
    """Whether there is a pool for NonPagedPoolNx, and lists for its small blocks."""
    scrambles_billed: bool = False
    """Whether ProcessBilled in a pool header is scrambled with a cookie."""
    lookaside_offsets: Mapping[str, int] = attrs.field(init=False, repr=False, eq=False)
    """Offset of each of `LOOKASIDE_FIELDS` in a LOOKASIDE_LIST_EX."""

    @lookaside_offsets.default
    def _offsets(self) -> Mapping[str, int]:
        order, fields = self.lookaside_list.format[0], self.lookaside_list.format[1:]
        sizes = [calcsize(order + field) for field in fields]
        starts = accumulate(sizes, initial=self.slist_header_size)
        return MappingProxyType(dict(zip(LOOKASIDE_FIELDS, starts, strict=False)))

    @property
    def driver_images_end(self) -> int:
        """The first address behind the images of drivers."""
        return self.driver_images_start + (1 << 31 if self.pointer_size == 8 else 3 << 24)

    @property
    def list_entry_offset(self) -> int:
        """Offset of LOOKASIDE_LIST_EX.ListEntry."""
        return self.lookaside_offsets["ListEntry.Flink"]

    @property
    def next_entry_lost_bits(self) -> int:
        """Low bits of an address that SLIST_HEADER.NextEntry has no room for."""
        return 0xF if self.pointer_size == 8 else 0

    @property
    def lookaside_head(self) -> Struct:
        """The fields of LOOKASIDE_LIST_EX that a hit touches, which come first.

        ListHead as one word on x86 and two on x64, Depth, MaximumDepth, the four counters.
        """
        return _HEADS[self.pointer_size]

    @property
    def lookaside_size(self) -> int:
        """Bytes of a LOOKASIDE_LIST_EX."""
        return self.slist_header_size + self.lookaside_list.size

    @property
    def older_lookaside_size(self) -> int:
        """Bytes of an NPAGED_LOOKASIDE_LIST or PAGED_LOOKASIDE_LIST.

        The same fields, aligned to a cache line; on x86 an obsolete spin lock
        follows in a line of its own.
        """
        return 0x80 if self.pointer_size == 8 else 0xC0

    @property
    def obsolete_lock_offset(self) -> int | None:
        """Offset of Lock__ObsoleteButDoNotDelete in such a list; None where there is none."""
        return None if self.pointer_size == 8 else 0x80

    @property
    def minimum_entry_size(self) -> int:
        """LOOKASIDE_MINIMUM_BLOCK_SIZE: room for the free list's link."""
        return self.pointer_size

    @property
    def pool_region_size(self) -> int:
        """Bytes of address space each pool has."""
        return 1 << self.pool_region_shift


_HEADS = {8: Struct("<QQHHIIII"), 4: Struct("<QHHIIII")}

_X64 = Architecture(
    name="x64",
    pointer_size=8,
    pool_header=PoolHeaderLayout(size=16, unit=16, unit_shift=4, size_mask=0xFF, type_shift=24),
    lookaside_list=Struct("<HHIIIIIIIQQQQIIII"),
    slist_header_size=16,
    lookaside_alignment=16,
    maximum_alignment=16,
    address_bits=64,
    pool_region_shift=40,
    nonpaged_pool_start=0xFFFF_C900_0000_0000,
    nonpaged_nx_pool_start=0xFFFF_D200_0000_0000,
    paged_pool_start=0xFFFF_9E00_0000_0000,
    lookaside_heads_start=0xFFFF_F806_6C4F_2A40,
    image_data_start=0xFFFF_F80A_1D25_3000,
    code_start=0xFFFF_F80A_1D24_1000,
    driver_images_start=0xFFFF_F80A_3000_0000,
    special_pool_start=0xFFFF_F980_0000_0000,
    processor_blocks_start=0xFFFF_F806_7000_0000,
    process_start=0xFFFF_C00F_0000_0080,
    irql_bits=4,
    user_end=1 << 47,
    system_start=(1 << 64) - (1 << 47),
)

_X86 = Architecture(
    name="x86",
    pointer_size=4,
    pool_header=PoolHeaderLayout(size=8, unit=8, unit_shift=3, size_mask=0x1FF, type_shift=25),
    lookaside_list=Struct("<HHIIIIIIIIIIIIIII"),
    slist_header_size=8,
    lookaside_alignment=8,
    maximum_alignment=8,
    address_bits=32,
    pool_region_shift=28,
    nonpaged_pool_start=0x9000_0000,
    nonpaged_nx_pool_start=0xA000_0000,
    paged_pool_start=0xB000_0000,
    lookaside_heads_start=0x8297_2A40,
    image_data_start=0x8C25_3000,
    code_start=0x8C24_1000,
    driver_images_start=0x8D00_0000,
    special_pool_start=0xE000_0000,
    processor_blocks_start=0x8380_0000,
    process_start=0x8480_0020,
    irql_bits=5,
    user_end=1 << 31,
    system_start=1 << 31,
    slist_has_sequence=False,
)

_BY_NAME = {arch.name: arch for arch in (_X64, _X86)}


def architecture(name: str, windows: Windows | None = None) -> Architecture:
    """Look a machine up.

    Args:
        name: ``"x64"`` or ``"x86"``.
        windows: the version whose layouts it has; None for the default.

    Returns:
        Its layout.

    Raises:
        ValueError: no such machine.
    """
    try:
        found = _BY_NAME[name]
    except (KeyError, TypeError):
        raise ValueError(f"arch={name!r}: give 'x64' or 'x86'") from None
    return _of_version(found, windows_version(DEFAULT_WINDOWS) if windows is None else windows)


@cache
def _of_version(arch: Architecture, windows: Windows) -> Architecture:
    """A machine as a version of Windows has it; the same object each time."""
    is_wide = arch.pointer_size == 8
    return attrs.evolve(
        arch,
        slist_has_sequence=is_wide or windows.x86_slist_has_sequence,
        has_nx_pool=windows.has_nx_pool,
        scrambles_billed=is_wide and windows.has_quota_cookie,
    )
