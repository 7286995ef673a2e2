"""Rules about quota: it is charged to a process that can pay, in that process's own time.

Source:
    [doc] bug check 0xC4 (0x10A, 0x10B), which names no other parameters.
"""

from __future__ import annotations

from lookaside_sim.nt.violations import Violation
from lookaside_sim.pool.calls import AllocateBlock
from lookaside_sim.verifier.rule import rule
from lookaside_sim.verifier.verification import Verification


@rule(AllocateBlock)
def charged_to_a_process(verification: Verification, call: AllocateBlock) -> None:
    """Quota is not charged in a DPC routine (0x10B), nor to the Idle process (0x10A)."""
    if not call.charged:
        return
    asked = f"{call.size} bytes, tag {call.tag!s}, were to be charged"
    if verification.machine.processors.in_dpc:
        verification.stop(
            Violation.QUOTA_IN_DPC,
            (0, 0, 0),
            f"{asked} in a DPC routine, which runs in whatever process was interrupted",
        )
    if verification.processes.current.is_idle:
        verification.stop(
            Violation.QUOTA_OF_IDLE_PROCESS, (0, 0, 0), f"{asked} to the Idle process"
        )
