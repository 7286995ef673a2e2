"""What many tests begin with: lists, blocks, stops, and structures as they lie in memory.

Offsets are those of the documented layouts, not of the package: what the tests read and write is
checked against the package, not taken from it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideList,
    NtStatus,
    NtStatusError,
    PoolType,
)
from lookaside_sim.memory.slots import Slot
from lookaside_sim.nt.types import TagLike

ARCHES = ("x64", "x86")
both_machines = pytest.mark.parametrize("arch", ARCHES)

VIOLATION = BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION

# LOOKASIDE_LIST_EX. Field: offset and bytes on x64, offset and bytes on x86.
FIELDS = {
    "Depth": (0x10, 2, 0x08, 2),
    "MaximumDepth": (0x12, 2, 0x0A, 2),
    "TotalAllocates": (0x14, 4, 0x0C, 4),
    "AllocateMisses": (0x18, 4, 0x10, 4),
    "TotalFrees": (0x1C, 4, 0x14, 4),
    "FreeMisses": (0x20, 4, 0x18, 4),
    "Type": (0x24, 4, 0x1C, 4),
    "Tag": (0x28, 4, 0x20, 4),
    "Size": (0x2C, 4, 0x24, 4),
    "AllocateEx": (0x30, 8, 0x28, 4),
    "FreeEx": (0x38, 8, 0x2C, 4),
    "Flink": (0x40, 8, 0x30, 4),
    "Blink": (0x48, 8, 0x34, 4),
    "LastTotalAllocates": (0x50, 4, 0x38, 4),
    "LastAllocateMisses": (0x54, 4, 0x3C, 4),
    "Future0": (0x58, 4, 0x40, 4),
    "Future1": (0x5C, 4, 0x44, 4),
}
SIZES = {"x64": 0x60, "x86": 0x48}  # bytes of the whole structure
POINTERS = {"x64": 8, "x86": 4}  # bytes of a pointer


# --- stops -------------------------------------------------------------------------------


def stop_of(call: Callable[[], object]) -> BugCheck:
    """The bug check a call ends with, which the kernel then keeps raising."""
    with pytest.raises(BugCheck) as caught:
        call()
    return caught.value


def violation_of(call: Callable[[], object]) -> tuple[int, ...]:
    """What the access violation says with which a call ends: the operation, and the address."""
    with pytest.raises(NtStatusError) as caught:
        call()
    assert caught.value.status is NtStatus.STATUS_ACCESS_VIOLATION
    return caught.value.information


def stopped_by(
    kernel: Kernel, code: BugCheckCode, action: Callable[[], object]
) -> tuple[int, int, int, int]:
    """Run what stops the machine with a code; the four parameters."""
    stop = stop_of(action)
    assert kernel.bugcheck is stop
    assert stop.code is code
    return stop.parameters


def nowhere(kernel: Kernel) -> int:
    """An address in system space at which nothing is mapped: a touch stops the machine."""
    return (1 << kernel.arch.address_bits) - 0x1000


# --- blocks and memory -------------------------------------------------------------------


def allocated(
    kernel: Kernel, size: int = 60, tag: TagLike = b"Test", pool_type: PoolType | int = 0
) -> int:
    """A pool block."""
    address = kernel.pool.allocate(pool_type, size, tag)
    assert address is not None
    return address


def read_pointer(kernel: Kernel, address: int) -> int:
    """The pointer in memory at an address."""
    return int.from_bytes(kernel.read(address, kernel.arch.pointer_size), "little")


def write_pointer(kernel: Kernel, address: int, value: int) -> None:
    """Write a pointer over what lies at an address."""
    kernel.write(address, value.to_bytes(kernel.arch.pointer_size, "little"))


# --- lists -------------------------------------------------------------------------------


def new_list(
    kernel: Kernel,
    name: str = "",
    address: int | None = None,
    *,
    size: int = 64,
    tag: TagLike = b"List",
    **settings: Any,
) -> LookasideList:
    """An initialized list."""
    lookaside = LookasideList(kernel, name, address)
    assert lookaside.initialize(size=size, tag=tag, **settings).is_success
    return lookaside


def list_in_block(kernel: Kernel, pool_type: int = 0, size: int = 0x200) -> LookasideList:
    """A list at the start of a pool block of so many bytes, not initialized."""
    return LookasideList(kernel, address=allocated(kernel, size, b"DExt", pool_type))


def take(lookaside: LookasideList, count: int) -> list[int]:
    """So many entries off the list, none of them NULL."""
    entries = [lookaside.allocate() for _ in range(count)]
    assert None not in entries
    return [entry for entry in entries if entry is not None]


def fill(lookaside: LookasideList, count: int) -> list[int]:
    """Take so many entries and free them in the same order."""
    entries = take(lookaside, count)
    for entry in entries:
        lookaside.free(entry)
    return entries


def counters(lookaside: LookasideList) -> tuple[int, int, int, int]:
    """TotalAllocates, AllocateMisses, TotalFrees and FreeMisses."""
    return (
        lookaside.total_allocates,
        lookaside.allocate_misses,
        lookaside.total_frees,
        lookaside.free_misses,
    )


def where(arch: str, field: str) -> tuple[int, int]:
    """Offset and bytes of a field."""
    x64_offset, x64_size, x86_offset, x86_size = FIELDS[field]
    return (x64_offset, x64_size) if arch == "x64" else (x86_offset, x86_size)


def peek(image: bytes, arch: str, field: str) -> int:
    """A field of a list's bytes."""
    offset, size = where(arch, field)
    return int.from_bytes(image[offset : offset + size], "little")


def poke(kernel: Kernel, lookaside: LookasideList, **fields: int) -> None:
    """Write fields of a list where they lie in memory."""
    for field, value in fields.items():
        offset, size = where(kernel.arch.name, field)
        kernel.write(lookaside.address + offset, value.to_bytes(size, "little"))


def slist_header(lookaside: LookasideList) -> tuple[int, int, int]:
    """Depth, Sequence and NextEntry of a list's SLIST_HEADER, from its bytes."""
    image = bytes(lookaside)
    if lookaside.arch.name == "x64":
        low, high = struct.unpack_from("<QQ", image)
        return low & 0xFFFF, low >> 16, high
    first, depth, sequence = struct.unpack_from("<IHH", image)
    return depth, sequence, first


def cache_link(kernel: Kernel, entry: int, link: int) -> bool:
    """Keep a link for an entry where a list would; whether that is not in memory."""
    slot = kernel.memory.cached(entry)
    if slot is None:
        return False
    slot.flink = Slot(link)
    return True


def cached_link(kernel: Kernel, entry: int) -> int | None:
    """The link that is kept for an entry outside of memory; None for none."""
    return kernel.memory.links.link_in(entry)
