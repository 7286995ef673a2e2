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


@export("KeGetCurrentProcessorNumberEx")
def _processor_number(env: Environment, number: int) -> int:
    if number:
        env.write(number, bytes((0, 0, env.kernel.processor, 0)))
    return env.kernel.processor


@export("KeQueryActiveProcessorCount")
def _processor_count(env: Environment, mask: int) -> int:
    count = env.kernel.processors
    if mask:
        env.put_pointer(mask, (1 << count) - 1)
    return count


@export("KeQueryActiveProcessorCountEx")
def _processor_count_of_group(env: Environment, group: int) -> int:
    return env.kernel.processors


@export("KeQueryMaximumProcessorCount")
def _most_processors(env: Environment) -> int:
    return env.kernel.processors


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
