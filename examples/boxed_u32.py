"""A boxed u32, after the first program of the crate win-lookaside.

Covers: `LookasideAllocator`, `Layout`, `Box`.
Scenario: a list of entries for one u32. A box takes an entry, holds the value, and gives the
entry back when it goes out of scope; the next box gets the same entry from the list.
"""

import ctypes
import struct

from lookaside_sim import (
    Kernel,
    Layout,
    LookasideAllocator,
    NotSupportedError,
    PoolType,
    windbg,
)

U32 = Layout.for_type(ctypes.c_uint32)


def main() -> None:
    with LookasideAllocator(Kernel()) as allocator:
        allocator.init(U32.size, PoolType.NonPagedPool)

        with allocator.box(struct.pack("<I", 10)) as first:
            print(f"first box:  {struct.unpack('<I', first.value)[0]} at {first.pointer:#x}")
        with allocator.box(struct.pack("<I", 11)) as second:
            print(f"second box: {struct.unpack('<I', second.value)[0]} at {second.pointer:#x}")
            try:
                allocator.grow(second.pointer, U32, Layout(8, 4))
            except NotSupportedError as error:
                print(f"grow:       {error}")

        print()
        print(windbg.lookaside(allocator.lookaside))


if __name__ == "__main__":
    main()
