"""Calls of many kinds taken apart at once by numpy, where it is installed: faster, and nothing else.

The package does without it: whoever calls these asks `sorter` first, and counts call by call if there is none.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from lookaside_sim.advise.words import ALLOCATE
from lookaside_sim.trace.packed import RARE

WORTH: Final = 1 << 11
"""Calls from which on sorting pays."""
_WORTH_AN_IMPORT: Final = 1 << 21
"""Calls from which on it pays to import numpy for that."""


def sorter(calls: int) -> Any:
    """The module numpy, or None where there is none, or it would not pay.

    Args:
        calls: that were counted one by one until now.
    """
    return _import() if calls >= _WORTH_AN_IMPORT or "numpy" in sys.modules else None


@cache
def _import() -> Any:
    return None if find_spec("numpy") is None else importlib.import_module("numpy")


def by_kind(
    np: Any, table: Sequence[int], codes: bytes, rare: Sequence[int]
) -> Iterator[tuple[int, bytes]]:
    """Sort calls by their kind, those of one kind in their order.

    Args:
        np: the module.
        table: of each code, twice the number of its kind, plus 1 for a free.
        codes: of the calls; `RARE` where ``rare`` has the kind.
        rare: twice the number of the kind, plus 1 for a free, of those.

    Yields:
        The number of each kind that there is, and its calls, a byte each.
    """
    known = np.zeros(256, np.uint32)
    known[: len(table)] = table
    short = np.frombuffer(codes, np.uint8)
    full = known[short]
    if len(rare):
        others = np.frombuffer(rare, np.uint8) if isinstance(rare, bytes) else np.asarray(rare)
        full[short == RARE] = others
    kinds = full >> 1
    if int(kinds.max()) < 1 << 16:
        kinds = kinds.astype(np.uint16)  # sorted by its digits, in a third of the time
    order = np.argsort(kinds, kind="stable")
    kinds = kinds[order]
    calls = (full[order] & 1 ^ ALLOCATE).astype(np.uint8).tobytes()
    ends = np.flatnonzero(kinds[1:] != kinds[:-1]) + 1
    start = 0
    for end in [*ends.tolist(), len(codes)]:
        yield int(kinds[start]), calls[start:end]
        start = end
