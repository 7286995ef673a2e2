"""A list as plain as can be, to compare with."""

from __future__ import annotations

from collections.abc import Iterable


def fixed(stream: Iterable[int], held: int, depth: int) -> tuple[int, int, int, int]:
    """Held at the end, misses of allocates and of frees, the most held; 1 allocates."""
    allocate_misses = free_misses = 0
    most = held
    for call in stream:
        if call:
            if held:
                held -= 1
            else:
                allocate_misses += 1
        elif held < depth:
            held += 1
            most = max(most, held)
        else:
            free_misses += 1
    return held, allocate_misses, free_misses, most
