"""Buffers of zeros: large ones come from the system, which backs the pages that are written."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Final, TypeAlias

from lookaside_sim.nt.layouts import PAGE_SIZE

Buffer: TypeAlias = bytearray | mmap.mmap
"""Bytes that can be written."""

_ZEROS: Final = bytes(PAGE_SIZE)


def mapping(size: int) -> mmap.mmap:
    """Map so many zeros, which begin on a page of the host.

    They are this process's alone: reading pages that were never written costs nothing, and a
    process that is forked off has its own from the first write on.
    """
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)  # pragma: no cover - hosts without it have no other kind


def written(buffer: Buffer) -> Iterator[tuple[int, bytes]]:
    """The pages of a buffer that are not zero, and where they begin."""
    for at in range(0, len(buffer), PAGE_SIZE):
        page = bytes(buffer[at : at + PAGE_SIZE])
        if page != _ZEROS[: len(page)]:
            yield at, page
