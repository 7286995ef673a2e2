"""What the pool tests share: headers and free lists as they lie in simulated memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lookaside_sim import Kernel, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.descriptor import PoolDescriptor
from tests.helpers import allocated, read_pointer

TAG = b"Test"
RAISE = PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE
ZERO = PoolType.POOL_ZERO_ALLOCATION


@dataclass(frozen=True)
class Header:
    """A POOL_HEADER, unpacked as the documented layouts say, not as the package does."""

    previous: int
    units: int
    block_type: int
    tag: bytes


def read_header(kernel: Kernel, address: int) -> Header:
    """The header in front of a body."""
    if kernel.arch.name == "x64":
        previous, index, units, block_type, tag = struct.unpack(
            "<BBBB4s", kernel.read(address - 16, 8)
        )
    else:
        low, high, tag = struct.unpack("<HH4s", kernel.read(address - 8, 8))
        previous, index = low & 0x1FF, low >> 9
        units, block_type = high & 0x1FF, high >> 9
    assert index == 0
    return Header(previous, units, block_type, tag)


def write_header(
    kernel: Kernel,
    address: int,
    *,
    previous: int | None = None,
    units: int | None = None,
    block_type: int | None = None,
    tag: bytes | None = None,
) -> None:
    """Overwrite fields of the header in front of a body."""
    old = read_header(kernel, address)
    previous = old.previous if previous is None else previous
    units = old.units if units is None else units
    block_type = old.block_type if block_type is None else block_type
    tag = old.tag if tag is None else tag
    if kernel.arch.name == "x64":
        kernel.write(address - 16, struct.pack("<BBBB4s", previous, 0, units, block_type, tag))
    else:
        kernel.write(address - 8, struct.pack("<HH4s", previous, units | block_type << 9, tag))


def ulong1(kernel: Kernel, address: int) -> int:
    """The first 32 bits of the header in front of a body, read without touching a stop."""
    return int.from_bytes(
        kernel.memory.read(address - kernel.arch.pool_header.size, 4), "little"
    )


def body(kernel: Kernel, units: int) -> int:
    """The largest request that a block of so many units serves."""
    return units * kernel.arch.pool_header.unit - kernel.arch.pool_header.size


def list_head(kernel: Kernel, units: int, pool: PoolDescriptor | None = None) -> int:
    """Address of the head of the list of free blocks of so many units: ListHeads[units - 1]."""
    base = (pool or kernel.pool.nonpaged).base
    return base + 2 * kernel.arch.pointer_size * (units - 1)


def free_list(kernel: Kernel, units: int, pool: PoolDescriptor | None = None) -> list[int]:
    """The entries of a free list, following Flink through memory and checking each Blink."""
    head = before = list_head(kernel, units, pool)
    entries = []
    entry = read_pointer(kernel, head)
    while entry != head:
        assert read_pointer(kernel, entry + kernel.arch.pointer_size) == before
        entries.append(entry)
        before, entry = entry, read_pointer(kernel, entry)
    assert read_pointer(kernel, head + kernel.arch.pointer_size) == before
    return entries


def first_page(kernel: Kernel) -> int:
    """Address of the first page that NonPagedPool hands out."""
    return kernel.pool.nonpaged.base + PAGE_SIZE


def blocks_at_end(
    kernel: Kernel, count: int, units: int = 8, pool_type: PoolType | int = 0
) -> list[int]:
    """Fill a fresh page: a block at its start, ``count`` blocks up to its end, none free.

    Returns:
        The bodies of the ``count`` blocks by descending address: ``[0]`` ends the page, and
        ``[i + 1]`` lies right before ``[i]``.
    """
    rest = kernel.arch.pool_header.units_per_page - count * units
    allocated(kernel, body(kernel, rest), b"Rest", pool_type)
    blocks = [allocated(kernel, body(kernel, units), TAG, pool_type) for _ in range(count)]
    step = units * kernel.arch.pool_header.unit
    assert [blocks[0] - block for block in blocks] == [step * i for i in range(count)]
    return blocks


def page_count(kernel: Kernel, pool: PoolDescriptor | None = None) -> int:
    return kernel.pool.statistics(pool or kernel.pool.nonpaged).pages
