"""All modules of exports, imported for what they define."""

from __future__ import annotations

from lookaside_sim.drive.exports import irql, lists, memory, pool, slists, stops, text

__all__ = ["irql", "lists", "memory", "pool", "slists", "stops", "text"]
