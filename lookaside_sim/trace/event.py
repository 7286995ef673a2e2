"""What a trace says: its header, and one event.

Read the ops of an event as the calls they stand for: ``init``, ``alloc``, ``free``, ``flush`` and
``delete`` of the list routines, ``alloc`` and ``free`` of the pool where no list is named, and
``irql`` for KeRaiseIrql and KeLowerIrql.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from lookaside_sim.nt.types import PoolTag, PoolType


@attrs.frozen
class Header:
    """The first line.

    Attributes:
        source: free text on where the trace comes from.
    """

    source: str = ""


class Event(NamedTuple):
    """One event; a field its op has no use for is None.

    A tuple, because a long trace makes a million of them.
    """

    op: str
    """One of `text.OPS`: ``init``, ``alloc``, ``free``, ``flush``, ``delete`` or ``irql``."""
    time: int = 0
    """Microseconds since the start."""
    id: int | None = None
    """Names one live allocation (alloc, free)."""
    size: int | None = None
    """Bytes (init; alloc without a list)."""
    tag: PoolTag | None = None
    """Pool tag (init; alloc without a list)."""
    pool: PoolType | None = None
    """Pool type (init; alloc without a list)."""
    list: str | None = None
    """Name of a list (init, flush, delete; alloc from a list)."""
    flags: int | None = None
    """Flags of ExInitializeLookasideListEx (init)."""
    depth: int | None = None
    """Depth argument of ExInitializeLookasideListEx (init)."""
    level: int | None = None
    """The IRQL from here on (irql)."""
    line: int = 0
    """Line in the file, from 1 (the header); 0 for an event from elsewhere."""
    site: str | None = None
    """Where in the program the call stood, as free text (alloc)."""
