"""Watch an allocator that is taken to be right, and say what held."""

from __future__ import annotations

from typing import Any, Final

from lookaside_sim.testing.conformance.allocator import COUNTERS, Factory
from lookaside_sim.testing.conformance.backend import Backend
from lookaside_sim.testing.list_model import LEAST_DEPTH

__all__ = ["watch"]

_MOST: Final = 600
"""Entries asked for at once: more than any depth or capacity that can be told."""
_BUSY: Final = 75
_BUSY_DEPTH: Final = 34
"""What NT makes of the least depth after a second of so many misses."""
_LIST_SIZE: Final = 24
_ROUNDS: Final = 350
_OTHER_SIZES: Final = (8, 24, 100)
"""Sizes whose own alignment is small: what is aligned there is aligned everywhere."""


def watch(factory: Factory, size: int) -> dict[str, Any]:
    """Watch an allocator.

    Args:
        factory: makes it, several times.
        size: bytes of an entry.

    Returns:
        Arguments of a `Contract`.
    """
    seen: dict[str, Any] = {}
    capacity = _capacity(factory, size)
    seen["capacity"] = capacity or True
    if not _grows(factory, size):
        seen["grows"] = False
    if _in_backend(factory, size):
        depth, order = _depth(factory, size, capacity or _MOST), _order(factory, size)
        if order is not None:
            seen["order"] = order
        if depth is not None:
            seen["depth"] = (
                "policy" if depth == LEAST_DEPTH and _is_tuned(factory, size) else depth
            )
            seen |= _flush_and_counters(factory, size)
    else:
        seen["memory"] = "own"
    alignment = min(_alignment(factory, each) for each in {size, *_OTHER_SIZES})
    if alignment >= 16:
        seen["alignment"] = alignment
    return seen


def _made(factory: Factory, size: int) -> tuple[Any, Backend]:
    backend = Backend(size, own=True)
    return factory(backend, size), backend


def _allocate(made: Any) -> int | None:
    try:
        entry: int | None = made.allocate()
    except MemoryError:
        return None
    return entry


def _entries(made: Any, count: int) -> list[int]:
    """Up to so many entries, until none is served."""
    found: list[int] = []
    while len(found) < count:
        entry = _allocate(made)
        if entry is None:
            break
        found.append(entry)
    return found


def _close(made: Any, entries: list[int]) -> None:
    for entry in entries:
        made.free(entry)
    made.delete()


def _capacity(factory: Factory, size: int) -> int | None:
    """How many entries are served at once, if not as many as are asked for."""
    made, _ = _made(factory, size)
    entries = _entries(made, _MOST)
    _close(made, entries)
    return len(entries) if 0 < len(entries) < _MOST else None


def _grows(factory: Factory, size: int) -> bool:
    """Whether the same load takes more memory after many rounds."""
    made, backend = _made(factory, size)
    held: list[int] = []
    for _ in range(2):
        for _ in range(_ROUNDS):
            for entry in _entries(made, 3):
                made.free(entry)
        held.append(backend.held)
    made.delete()
    return held[0] != held[1]


def _in_backend(factory: Factory, size: int) -> bool:
    made, backend = _made(factory, size)
    entries = _entries(made, 1)
    inside = bool(entries) and backend.holds(entries[0], size)
    _close(made, entries)
    return inside


def _depth(factory: Factory, size: int, most: int) -> int | None:
    """How many free entries are kept, if each is a block of its own and not all are."""
    made, backend = _made(factory, size)
    kept = len(backend.blocks)
    entries = _entries(made, most)
    each = len(backend.blocks) - kept == len(entries)
    for entry in entries:
        made.free(entry)
    left = len(backend.blocks) - kept
    made.delete()
    return left if each and left < len(entries) else None


def _is_tuned(factory: Factory, size: int) -> bool:
    """Whether the depth follows NT's policy, as far as one second shows."""
    made, backend = _made(factory, size)
    if not callable(getattr(made, "tick", None)):
        return False
    kept = len(backend.blocks)
    entries = _entries(made, _BUSY)
    made.tick(1)
    for entry in entries:
        made.free(entry)
    left = len(backend.blocks) - kept
    made.delete()
    return left == _BUSY_DEPTH


def _flush_and_counters(factory: Factory, size: int) -> dict[str, Any]:
    """What is left after a flush, and which counters there are."""
    seen: dict[str, Any] = {}
    made, backend = _made(factory, size)
    kept = len(backend.blocks)
    for entry in _entries(made, 3):
        made.free(entry)
    if callable(getattr(made, "flush", None)):
        made.flush()
        if len(backend.blocks) == kept:
            seen["flush"] = "empty"
    if callable(getattr(made, "counters", None)):
        reported = made.counters()
        names = tuple(name for name in COUNTERS if name in reported)
        if names:
            seen["counters"] = names
    made.delete()
    return seen


def _order(factory: Factory, size: int) -> str | None:
    """Which of the free entries come back first."""
    made, _ = _made(factory, size)
    entries = _entries(made, _LIST_SIZE)
    entries, others = entries[:3], entries[3:]
    for entry in entries:
        made.free(entry)
    again = _entries(made, len(entries))
    _close(made, again + others)
    if len(entries) < 3:
        return None
    return {tuple(entries): "fifo", tuple(entries[::-1]): "lifo"}.get(tuple(again))


def _alignment(factory: Factory, size: int) -> int:
    """The largest power of two, up to a page, that divides every address."""
    made, _ = _made(factory, size)
    entries = _entries(made, _LIST_SIZE)
    low = 4096
    for entry in entries:
        low |= entry
    _close(made, entries)
    return min(low & -low, 4096)
