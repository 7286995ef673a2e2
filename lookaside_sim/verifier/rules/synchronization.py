"""Rules about mutexes, resources, critical regions, events and references.

Source:
    [doc] bug check 0xC4 (0x33, 0x34, 0x37 to 0x3A, 0x3C, 0x3E, 0x3F, 0x80).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lookaside_sim.nt.types import Irql
from lookaside_sim.nt.violations import Violation
from lookaside_sim.system.calls import CallRoutine
from lookaside_sim.verifier.rule import rule
from lookaside_sim.verifier.verification import Verification

_ACQUIRES: Final = frozenset({"ExAcquireFastMutex", "ExTryToAcquireFastMutex"})
_UNSAFE: Final = {
    "ExAcquireFastMutexUnsafe": Violation.ACQUIRE_UNSAFE_APCS_ENABLED,
    "ExReleaseFastMutexUnsafe": Violation.RELEASE_UNSAFE_APCS_ENABLED,
}
_RESOURCES: Final = {
    "ExAcquireResourceExclusiveLite": Violation.ACQUIRE_RESOURCE_APCS_ENABLED,
    "ExAcquireResourceSharedLite": Violation.ACQUIRE_RESOURCE_APCS_ENABLED,
    "ExAcquireSharedStarveExclusive": Violation.ACQUIRE_RESOURCE_APCS_ENABLED,
    "ExAcquireSharedWaitForExclusive": Violation.ACQUIRE_RESOURCE_APCS_ENABLED,
    "ExReleaseResourceLite": Violation.RELEASE_RESOURCE_APCS_ENABLED,
    "ExReleaseResourceForThreadLite": Violation.RELEASE_RESOURCE_APCS_ENABLED,
}


@rule(CallRoutine)
def routine_called(verification: Verification, call: CallRoutine) -> None:
    """The routines below are called at the IRQL, and with the APCs disabled, that they ask for."""
    check = _RULES.get(call.name)
    if check is not None:
        check(verification, call)


def _fast_mutex_acquired(verification: Verification, call: CallRoutine) -> None:
    """At APC_LEVEL or below (0x33)."""
    if verification.machine.gate > Irql.APC_LEVEL:
        _stop_at(verification, Violation.ACQUIRE_FAST_MUTEX_IRQL, call, "acquired")


def _fast_mutex_released(verification: Verification, call: CallRoutine) -> None:
    """At APC_LEVEL (0x34)."""
    if verification.machine.gate != Irql.APC_LEVEL:
        _stop_at(verification, Violation.RELEASE_FAST_MUTEX_IRQL, call, "released")


def _stop_at(
    verification: Verification, violation: Violation, call: CallRoutine, verb: str
) -> None:
    gate, mutex = verification.machine.gate, call.arguments[0]
    verification.stop(
        violation, (gate, mutex, 0), f"the fast mutex at {mutex:#x} was {verb} at IRQL {gate}"
    )


def _unsafe(verification: Verification, call: CallRoutine) -> None:
    """With APCs disabled, by a region or by the IRQL (0x39, 0x3A)."""
    _check_apcs(verification, call, _UNSAFE[call.name])


def _resource(verification: Verification, call: CallRoutine) -> None:
    """Likewise (0x37, 0x38)."""
    _check_apcs(verification, call, _RESOURCES[call.name])


def _check_apcs(verification: Verification, call: CallRoutine, violation: Violation) -> None:
    gate, regions = verification.machine.gate, verification.threads.apcs_disabled
    if gate < Irql.APC_LEVEL and regions <= 0:
        verification.stop(
            violation,
            (gate, max(regions, 0), call.arguments[0]),
            f"{call.name}({call.arguments[0]:#x}) was called with APCs enabled: call"
            " KeEnterCriticalRegion before",
        )


def _region_left(verification: Verification, call: CallRoutine) -> None:
    """Whoever leaves a critical region is in one (0x3E)."""
    if verification.threads.apcs_disabled <= 0:
        verification.stop(
            Violation.LEAVE_CRITICAL_REGION,
            (0, 0, 0),
            f"{call.name} was called by a thread that is in no critical region",
        )


def _event_set(verification: Verification, call: CallRoutine) -> None:
    """At DISPATCH_LEVEL or below (0x80)."""
    gate = verification.machine.gate
    if gate > Irql.DISPATCH_LEVEL:
        event = call.arguments[0]
        verification.stop(
            Violation.SET_EVENT_IRQL,
            (gate, event, 0),
            f"the event at {event:#x} was set at IRQL {gate}",
        )


def _referenced(verification: Verification, call: CallRoutine) -> None:
    """An object that is referenced or dereferenced lives (0x3F)."""
    address = call.arguments[0]
    if verification.references.at(address) is None:
        change = -1 if call.name.startswith("ObDereference") else 1
        mask = (1 << verification.machine.arch.address_bits) - 1
        verification.stop(
            Violation.REFERENCE_COUNT,
            (address, change & mask, 0),
            f"{call.name}({address:#x}): no object lives there",
        )


def _by_handle(verification: Verification, call: CallRoutine) -> None:
    """A handle that is used is open (0x3C)."""
    handle = call.arguments[0]
    if verification.references.opened(handle) is None:
        verification.stop(
            Violation.REFERENCE_BY_BAD_HANDLE,
            (handle, 0, 0),
            f"ObReferenceObjectByHandle({handle:#x}): the handle is not open",
        )


_RULES: Final[dict[str, Callable[[Verification, CallRoutine], None]]] = {
    **dict.fromkeys(_ACQUIRES, _fast_mutex_acquired),
    "ExReleaseFastMutex": _fast_mutex_released,
    **dict.fromkeys(_UNSAFE, _unsafe),
    **dict.fromkeys(_RESOURCES, _resource),
    "KeLeaveCriticalRegion": _region_left,
    "KeLeaveGuardedRegion": _region_left,
    "KeSetEvent": _event_set,
    **dict.fromkeys(
        (
            *("ObReferenceObject", "ObReferenceObjectWithTag", "ObReferenceObjectByPointer"),
            *("ObDereferenceObject", "ObDereferenceObjectWithTag"),
        ),
        _referenced,
    ),
    "ObReferenceObjectByHandle": _by_handle,
}
