"""Rules about timers and resources: initialized once, and not in memory that is freed.

Source:
    [doc] bug checks 0xC4 (0x15, 0xD0 to 0xD2) and 0xC7; docs/sources.md, pool section 6.
"""

from __future__ import annotations

from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.violations import Violation
from lookaside_sim.system.calls import DeleteResource, InitializeResource
from lookaside_sim.verifier.rule import rule
from lookaside_sim.verifier.verification import Verification


@rule(InitializeResource)
def resource_initialized_twice(verification: Verification, call: InitializeResource) -> None:
    """A resource is initialized once (0xD0)."""
    if call.resource in verification.objects.resources:
        verification.stop(
            Violation.RESOURCE_INITIALIZED_TWICE,
            (call.resource, 0, 0),
            f"the ERESOURCE at {call.resource:#x} was initialized a second time",
        )


@rule(DeleteResource)
def resource_deleted_uninitialized(verification: Verification, call: DeleteResource) -> None:
    """Only an initialized resource is deleted (0xD1)."""
    if call.resource not in verification.objects.resources:
        verification.stop(
            Violation.DELETE_OF_UNINITIALIZED_RESOURCE,
            (call.resource, 0, 0),
            f"the ERESOURCE at {call.resource:#x} was deleted and is not initialized",
        )


def objects_in_block(
    verification: Verification,
    start: int,
    size: int,
    pool_type: int,
    extent: tuple[int, int],
    described: str,
) -> None:
    """A block that is freed holds no active timer (0x15) and no resource (0xD2).

    Args:
        verification: the verifier at work.
        start: of the block's data.
        size: bytes of its data.
        pool_type: its pool.
        extent: where its header lies, and its BlockSize in bytes with the header.
        described: the block, as messages name it.
    """
    if not verification.watches_caller():
        return
    for timer in verification.objects.timers:
        if start <= timer < start + size:
            verification.stop(
                Violation.FREE_WITH_ACTIVE_TIMER,
                (timer, pool_type, start),
                f"{described} was freed with an active timer at {timer:#x} in it",
            )
    for resource in verification.objects.resources:
        if start <= resource < start + size:
            verification.stop(
                Violation.FREE_WITH_RESOURCE,
                (resource, *extent),
                f"{described} was freed with an active ERESOURCE at {resource:#x} in it",
            )


def timers_in_image(verification: Verification, start: int, end: int, name: str) -> None:
    """An image that is unloaded holds no active timer (TIMER_OR_DPC_INVALID)."""
    for timer in verification.objects.timers:
        if start <= timer < end:
            verification.machine.stop(
                BugCheckCode.TIMER_OR_DPC_INVALID,
                (0, timer, start, end),
                f"{name} is unloaded with an active timer at {timer:#x} in its image",
            )
