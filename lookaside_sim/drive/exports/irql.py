"""The exported routines for the IRQL, processors and spin locks, where `ddi` has none of the name.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim import ddi
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export
from lookaside_sim.nt.types import Irql


@export("KfRaiseIrql")
def _raise(env: Environment, level: int) -> int:
    return env.kernel.raise_irql(level).previous


@export("KfLowerIrql")
def _lower(env: Environment, level: int) -> None:
    env.kernel.lower_irql(level)


@export("KeRaiseIrqlToSynchLevel")
def _raise_to_synch(env: Environment) -> int:
    return env.kernel.raise_irql(Irql.DISPATCH_LEVEL).previous


@export("KfAcquireSpinLock")
def _acquire(env: Environment, lock: int) -> int:
    return ddi.KeAcquireSpinLockRaiseToDpc(lock)


@export("KfReleaseSpinLock")
def _release(env: Environment, lock: int, level: int) -> None:
    ddi.KeReleaseSpinLock(lock, level)


@export("KefAcquireSpinLockAtDpcLevel")
def _acquire_at_dpc(env: Environment, lock: int) -> None:
    ddi.KeAcquireSpinLockAtDpcLevel(lock)


@export("KefReleaseSpinLockFromDpcLevel")
def _release_from_dpc(env: Environment, lock: int) -> None:
    ddi.KeReleaseSpinLockFromDpcLevel(lock)
