"""Regions: plain bytes outside the pools, such as an image's sections, a stack, a driver's data.

A region's buffer is the memory itself: whoever shares it, as an emulator does, sees each write
at once, and is seen.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, SupportsIndex

from lookaside_sim.memory.zeros import Buffer, mapping
from lookaside_sim.nt.arguments import integer
from lookaside_sim.nt.layouts import PAGE_SIZE

_LARGEST: Final = 1 << 47
"""No host has more addresses for a program."""


class Region:
    """A range of plain bytes with one set of permissions. Reading is always permitted.

    Args:
        address: of its first byte.
        size: bytes; whole pages or not.
        writable: whether it may be written.
        executable: whether code in it may run.
        contents: what it begins with; zeros follow.

    Attributes:
        address: of its first byte.
        size: bytes.
        end: address behind its last byte.
        data: the bytes, one buffer for life. A region of a page or more has an anonymous
            mapping, which begins on a page of the host, so that an emulator can map it.
            Writing here asks for no permission: a loader fills read-only sections this way.
        writable: changed by `Memory.protect` while the region is mapped.
        executable: likewise.

    Raises:
        TypeError: an address or size that is no integer.
        ValueError: an address, a size or contents that do not fit.
    """

    __slots__ = ("address", "data", "end", "executable", "size", "writable")

    def __init__(
        self,
        address: SupportsIndex,
        size: SupportsIndex,
        *,
        writable: bool = True,
        executable: bool = False,
        contents: bytes | bytearray | memoryview = b"",
    ) -> None:
        self.address = integer("address", address)
        self.size = integer("size", size)
        if self.address <= 0:
            raise ValueError(f"address {self.address}: give one above 0")
        if not 0 < self.size <= _LARGEST:
            raise ValueError(f"size {self.size}: give 1 to {_LARGEST:#x} bytes")
        given = len(memoryview(contents).cast("B"))
        if given > self.size:
            raise ValueError(
                f"contents of {given} bytes: give at most size, {self.size} of them"
            )
        self.end = self.address + self.size
        self.writable = writable
        self.executable = executable
        self.data: Buffer = (
            bytearray(self.size) if self.size < PAGE_SIZE else mapping(self.size)
        )
        self.data[:given] = bytes(contents)

    def __repr__(self) -> str:
        permits = f"r{'w' if self.writable else '-'}{'x' if self.executable else '-'}"
        return f"<Region {self.address:#x} to {self.end:#x} {permits}>"


class Regions:
    """The mapped regions of one address space, by address. No two overlap."""

    __slots__ = ("_all", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._all: list[Region] = []

    def __contains__(self, region: Region) -> bool:
        return self.at(region.address) is region

    def add(self, region: Region) -> None:
        """Take a region in."""
        at = bisect_right(self._starts, region.address)
        self._starts.insert(at, region.address)
        self._all.insert(at, region)

    def remove(self, region: Region) -> None:
        """Let go of a region that is here."""
        at = bisect_right(self._starts, region.address) - 1
        del self._starts[at], self._all[at]

    def at(self, address: int) -> Region | None:
        """The region that holds an address, if any. Cost: one search by halves."""
        at = bisect_right(self._starts, address) - 1
        if at >= 0:
            region = self._all[at]
            if address < region.end:
                return region
        return None

    def overlapping(self, start: int, end: int) -> list[Region]:
        """The regions that share a byte with a range, by address."""
        if not self._all:
            return []
        first = bisect_right(self._starts, start)
        if first and self._all[first - 1].end > start:
            first -= 1
        last = first
        while last < len(self._all) and self._starts[last] < end:
            last += 1
        return self._all[first:last] if start < end else []
