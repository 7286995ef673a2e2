"""The counters of a lookaside list, set as a debugger sets them: in memory.

Nothing in NT sets a counter, yet their wrap at 32 bits is too far to be walked to.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList

__all__ = ["SETTABLE_COUNTERS", "set_counters"]

SETTABLE_COUNTERS: Final = {
    "total_allocates": "TotalAllocates",
    "allocate_misses": "AllocateMisses",
    "total_frees": "TotalFrees",
    "free_misses": "FreeMisses",
    "last_total_allocates": "LastTotalAllocates",
    "last_allocate_misses": "LastAllocateMisses",
}
"""What is counted, and what the last scan saw of it; the field of LOOKASIDE_LIST_EX of each."""


def set_counters(kernel: Kernel, lookaside: LookasideList, value: int) -> dict[str, int]:
    """Set every counter of a list, and what the last scan saw, to one value.

    Args:
        kernel: the machine that the list is on.
        lookaside: the list, wherever it lies.
        value: a ULONG.

    Returns:
        What was set, by name.
    """
    word = value.to_bytes(4, "little")
    offsets = kernel.arch.lookaside_offsets
    for field in SETTABLE_COUNTERS.values():
        kernel.write(lookaside.address + offsets[field], word)
    return dict.fromkeys(SETTABLE_COUNTERS, value)
