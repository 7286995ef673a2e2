"""All modules of exports, imported for what they define."""

from __future__ import annotations

from lookaside_sim.drive.exports import (
    interlocked,
    irql,
    lists,
    memory,
    pool,
    slists,
    stops,
    strings,
    system,
    text,
)

__all__ = [
    "interlocked",
    "irql",
    "lists",
    "memory",
    "pool",
    "slists",
    "stops",
    "strings",
    "system",
    "text",
]
