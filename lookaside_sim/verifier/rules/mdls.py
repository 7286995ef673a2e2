"""Rules about MDLs: what is locked, unlocked, and built of nonpaged pool.

Source:
    [doc] bug check 0xC4 (0x70, 0x7C, 0x7D, 0x7F, 0xB0). [header] MDL and its flags.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.nt.io_layouts import (
    IO_LAYOUTS,
    MDL_PAGES_LOCKED,
    MDL_SOURCE_IS_NONPAGED_POOL,
)
from lookaside_sim.nt.types import Irql, PoolType
from lookaside_sim.nt.violations import Violation
from lookaside_sim.system.calls import CallRoutine
from lookaside_sim.verifier.rule import rule
from lookaside_sim.verifier.verification import Verification

_NEVER_LOCKED: Final = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL


@rule(CallRoutine)
def mdl_routine_called(verification: Verification, call: CallRoutine) -> None:
    """Pages are locked once, unlocked if they were, and paged pool is locked, not built."""
    if call.name not in _NAMES:
        return
    mdl = call.arguments[0]
    flags = _flags(verification, mdl)
    gate = verification.machine.gate
    if call.name == "MmProbeAndLockPages":
        if gate > Irql.DISPATCH_LEVEL:
            verification.stop(
                Violation.LOCK_PAGES_IRQL,
                (gate, mdl, call.arguments[1]),
                f"the pages of the MDL at {mdl:#x} were to be locked at IRQL {gate}",
            )
        if flags & _NEVER_LOCKED:
            verification.stop(
                Violation.LOCK_PAGES_FLAGS,
                (mdl, flags, flags & _NEVER_LOCKED),
                f"the pages of the MDL at {mdl:#x} were to be locked: they are locked already,"
                " or are nonpaged pool's",
            )
    elif call.name == "MmUnlockPages":
        if flags & MDL_SOURCE_IS_NONPAGED_POOL:
            verification.stop(
                Violation.UNLOCK_PAGES_OF_NONPAGED_POOL,
                (mdl, flags, 0),
                f"the pages of the MDL at {mdl:#x} are nonpaged pool's and were unlocked",
            )
        if not flags & MDL_PAGES_LOCKED:
            verification.stop(
                Violation.UNLOCK_PAGES_NOT_LOCKED,
                (mdl, flags, 0),
                f"the pages of the MDL at {mdl:#x} were unlocked and never locked",
            )
    else:
        _check_nonpaged(verification, mdl, flags)


_NAMES: Final = frozenset({"MmProbeAndLockPages", "MmUnlockPages", "MmBuildMdlForNonPagedPool"})


def _check_nonpaged(verification: Verification, mdl: int, flags: int) -> None:
    """The buffer of MmBuildMdlForNonPagedPool is no paged pool (0x7F)."""
    machine = verification.machine
    layout = IO_LAYOUTS[machine.arch.name]
    end = mdl + layout.mdl  # StartVa, ByteCount and ByteOffset come last
    start = machine.memory.peek_pointer(end - 8 - machine.arch.pointer_size) or 0
    start += int.from_bytes(machine.memory.peek_bytes(end - 4, 4) or b"", "little")
    region, block = verification.pool.descriptor_at(start), verification.pool.find(start)
    paged = region is not None and region.paged
    if paged or (block is not None and block.pool_type & PoolType.PagedPool):
        verification.stop(
            Violation.BUILD_MDL_FOR_PAGED_POOL,
            (machine.gate, mdl, flags),
            f"MmBuildMdlForNonPagedPool was called for the MDL at {mdl:#x}, whose buffer is"
            " paged pool",
        )


def _flags(verification: Verification, mdl: int) -> int:
    machine = verification.machine
    raw = machine.memory.peek_bytes(mdl + machine.arch.pointer_size + 2, 2)
    return 0 if raw is None else int.from_bytes(raw, "little")
