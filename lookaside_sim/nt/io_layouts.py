"""IRP and MDL: sizes, offsets and flag values of the I/O structures that lists hold.

Source:
    [header] wdm.h (WDK, mingw-w64); docs/sources.md, lists section 7.
"""

from __future__ import annotations

from typing import Final

import attrs

IO_TYPE_IRP: Final = 6

IRP_QUOTA_CHARGED: Final = 0x01
IRP_ALLOCATED_MUST_SUCCEED: Final = 0x02
IRP_ALLOCATED_FIXED_SIZE: Final = 0x04
IRP_LOOKASIDE_ALLOCATION: Final = 0x08

MDL_MAPPED_TO_SYSTEM_VA: Final = 0x0001
MDL_PAGES_LOCKED: Final = 0x0002
MDL_SOURCE_IS_NONPAGED_POOL: Final = 0x0004
MDL_ALLOCATED_FIXED_SIZE: Final = 0x0008
MDL_PARTIAL: Final = 0x0010

MOST_STACK_LOCATIONS: Final = 127
LARGEST_MDL_BYTES: Final = (1 << 32) - 4096
"""What IoAllocateMdl describes at most, from Windows 7 on: 4 GiB - PAGE_SIZE."""


@attrs.frozen
class IoLayout:
    """Sizes and offsets on one machine, in bytes.

    Attributes:
        irp: size of an IRP without stack locations.
        stack_location: size of an IO_STACK_LOCATION.
        mdl_address: offset of IRP.MdlAddress.
        thread_list_entry: offset of IRP.ThreadListEntry.
        stack_count: offset of IRP.StackCount; CurrentLocation follows.
        allocation_flags: offset of IRP.AllocationFlags.
        current_stack_location: offset of IRP.Tail.Overlay.CurrentStackLocation.
        mdl: size of an MDL without page numbers.
        mdl_page: size of one page number behind it.
    """

    irp: int
    stack_location: int
    mdl_address: int
    thread_list_entry: int
    stack_count: int
    allocation_flags: int
    current_stack_location: int
    mdl: int
    mdl_page: int

    def irp_size(self, locations: int) -> int:
        """IoSizeOfIrp: bytes of an IRP with so many stack locations."""
        return self.irp + locations * self.stack_location

    def mdl_size(self, pages: int) -> int:
        """Bytes of an MDL that describes so many pages."""
        return self.mdl + pages * self.mdl_page


IO_LAYOUTS: Final = {
    "x64": IoLayout(0xD0, 0x48, 0x08, 0x20, 0x42, 0x47, 0xB8, 0x30, 8),
    "x86": IoLayout(0x70, 0x24, 0x04, 0x10, 0x22, 0x27, 0x60, 0x1C, 4),
}
"""By the machine's name."""
