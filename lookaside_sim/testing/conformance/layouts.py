"""The face of a fixed-size allocator: one layout, and no other size for an entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookaside_sim.allocator import Layout
from lookaside_sim.testing.conformance.backend import Backend
from lookaside_sim.testing.conformance.blocks import ALIGNMENT
from lookaside_sim.testing.conformance.differences import Broken

__all__ = ["check_refusals"]


def check_refusals(
    allocator: Any, backend: Backend, size: int, align: int, entry: int | None
) -> None:
    """A fixed-size allocator serves its own layout only, and never resizes an entry.

    Args:
        allocator: what is checked.
        backend: its memory, which a refusal leaves alone.
        size: bytes of its entries.
        align: what they are aligned to.
        entry: a live one, if there is any.

    Raises:
        Broken: something was not refused.
    """
    for other in (
        Layout(size + 1, align),
        Layout(size - 1),
        Layout(2 * size, align),
        Layout(size, 2 * max(ALIGNMENT, align)),
    ):
        _refused(backend, f"allocate_layout({other})", allocator.allocate_layout, other)
    if entry is not None:
        own = Layout(size, align)
        for name, new in (("grow", Layout(2 * size, align)), ("shrink", Layout(size // 2))):
            _refused(backend, f"{name}()", getattr(allocator, name), entry, own, new)


def _refused(
    backend: Backend, name: str, routine: Callable[..., Any], *arguments: object
) -> None:
    """A call that must raise, and must do nothing else."""
    before = (backend.requests, len(backend.blocks))
    try:
        result = routine(*arguments)
    except Exception:
        after = (backend.requests, len(backend.blocks))
        if after == before and backend.violation is None:
            return
        result = "an exception, after using the backend"
    raise Broken(
        f"{name} was not refused, which a fixed-size allocator must do",
        {name: "an exception, and nothing else"},
        {name: result},
    )
