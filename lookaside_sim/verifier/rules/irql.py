"""Rules about IRQLs and spin locks, and what raising the IRQL does to pageable memory.

Source:
    [doc] bug check 0xC4 (0x30 to 0x42), 0xD1, 0xA; docs/sources.md, pool section 7.2. Choice: all
    pageable memory comes back when the IRQL drops.
"""

from __future__ import annotations

from typing import NoReturn

from lookaside_sim.machine.calls import (
    AcquireLock,
    IrqlChange,
    LowerIrql,
    RaiseIrql,
    ReleaseLock,
)
from lookaside_sim.memory.touch import WRITE
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql
from lookaside_sim.nt.violations import Violation
from lookaside_sim.verifier.rule import rule
from lookaside_sim.verifier.settings import VerifierFlags
from lookaside_sim.verifier.verification import Verification


@rule(RaiseIrql)
def raised_to_lower(verification: Verification, call: RaiseIrql) -> None:
    """KeRaiseIrql does not lower the IRQL (0x30)."""
    if call.level < verification.machine.gate:
        _stop_change(verification, Violation.RAISE_TO_LOWER_IRQL, "raised", call.level)


@rule(LowerIrql)
def lowered_to_higher(verification: Verification, call: LowerIrql) -> None:
    """KeLowerIrql does not raise the IRQL (0x31)."""
    if call.level > verification.machine.gate:
        _stop_change(verification, Violation.LOWER_TO_HIGHER_IRQL, "lowered", call.level)


def _stop_change(
    verification: Verification, violation: Violation, verb: str, level: int
) -> NoReturn:
    gate = verification.machine.gate
    verification.stop(
        violation, (gate, level, 0), f"the IRQL was to be {verb} from {gate} to {level}"
    )


@rule(AcquireLock)
def lock_acquired(verification: Verification, call: AcquireLock) -> None:
    """A lock is acquired at or below DISPATCH_LEVEL (0x42), at DPC level not below it (0x40)."""
    gate = verification.machine.gate
    if call.at_dpc_level and gate < Irql.DISPATCH_LEVEL:
        _stop_lock(
            verification, Violation.ACQUIRE_AT_DPC_LEVEL_IRQL, call, "acquired at DPC level"
        )
    if not call.at_dpc_level and gate > Irql.DISPATCH_LEVEL:
        _stop_lock(verification, Violation.ACQUIRE_SPIN_LOCK_IRQL, call, "acquired")


@rule(ReleaseLock)
def lock_released(verification: Verification, call: ReleaseLock) -> None:
    """A lock is let go at DISPATCH_LEVEL (0x32), from DPC level not below it (0x41)."""
    gate = verification.machine.gate
    if call.at_dpc_level:
        if gate < Irql.DISPATCH_LEVEL:
            _stop_lock(
                verification,
                Violation.RELEASE_FROM_DPC_LEVEL_IRQL,
                call,
                "released from DPC level",
            )
    elif gate != Irql.DISPATCH_LEVEL:
        _stop_lock(verification, Violation.RELEASE_SPIN_LOCK_IRQL, call, "released")
    elif call.irql > gate:
        _stop_change(verification, Violation.LOWER_TO_HIGHER_IRQL, "lowered", call.irql)


def _stop_lock(
    verification: Verification, violation: Violation, call: AcquireLock | ReleaseLock, verb: str
) -> NoReturn:
    gate = verification.machine.gate
    verification.stop(
        violation,
        (gate, call.lock, 0),
        f"the spin lock {call.name!r} at {call.lock:#x} was {verb} at IRQL {gate}",
    )


def irql_changed(verification: Verification, change: IrqlChange) -> None:
    """Verified code may have raised the IRQL: count it, and trim pageable memory."""
    if change.new < Irql.DISPATCH_LEVEL:
        verification.trimmed = False
    if change.new <= change.old or not verification.watches_caller():
        return
    counters = verification.counters
    if change.by_spin_lock:
        counters.acquire_spin_locks += 1
    else:
        counters.raise_irqls += 1
    forces = verification.has(VerifierFlags.FORCE_IRQL_CHECKING)
    if change.new >= Irql.DISPATCH_LEVEL and forces:
        counters.trims += 1
        verification.trimmed = True


def touch_of_trimmed(
    verification: Verification, address: int, operation: int, *, by_program: bool
) -> None:
    """Memory that is trimmed is not touched.

    Raises:
        BugCheck: 0xD1 for a driver's touch, 0xA for the kernel's.
    """
    if not verification.trimmed:
        return
    pool = verification.pool
    region = pool.descriptor_at(address)
    if region is None or not region.paged:
        return
    block = pool.find(address)
    what = "paged pool" if block is None else verification.ledger.describe(block.address)
    _stop_touch(
        verification,
        address,
        operation,
        f"it lies in {what}, which is paged out",
        by_program=by_program,
    )


def explain_fault(
    verification: Verification, address: int, operation: int, *, by_program: bool
) -> None:
    """Stop for a touch of unmapped memory that the verifier can say more about.

    Raises:
        BugCheck: see `SpecialPool.explain_fault`.
    """
    special = verification.special_pool
    if special is not None:
        code = verification.machine.program.call_site().address
        special.explain_fault(address, operation, by_driver=by_program, code=code)


def _stop_touch(
    verification: Verification, address: int, operation: int, why: str, *, by_program: bool
) -> NoReturn:
    machine = verification.machine
    write = int(bool(operation & WRITE))
    verb = "written" if write else "read"
    code = (
        BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
        if by_program
        else BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    )
    machine.stop(
        code,
        (address, machine.gate, write, machine.program.call_site().address),
        f"{address:#x} was {verb} at IRQL {machine.gate}, and {why} ({verification.where()})",
    )
