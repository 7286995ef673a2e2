"""The exported routines for time, processes, addresses and references that `ddi` lacks.

Source:
    [doc] the page of each routine (wdm.h, ntddk.h). Choice: the process and thread that run have
    the numbers of Windows' System process.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim import ddi
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export, variable
from lookaside_sim.drive.system_memory import BOOT_TIME, TICKS_A_SECOND, UNITS_A_SECOND

_SYSTEM_PROCESS: Final = 4
_SYSTEM_THREAD: Final = 8
_VERSION: Final = (10, 0, 17763)
_PRIVILEGED_MODES: Final = 1
_INVALID_DEVICE_REQUEST: Final = 0xC000_0010
_STATUS_IN_IRP: Final = {8: 0x30, 4: 0x18}  # IRP.IoStatus.Status, by pointer size


@export("KeQuerySystemTime")
def _system_time(env: Environment, time: int) -> None:
    env.put(time, BOOT_TIME + env.kernel.seconds * UNITS_A_SECOND, 8)


@export("KeQueryTickCount")
def _tick_count(env: Environment, count: int) -> None:
    env.put(count, env.kernel.seconds * TICKS_A_SECOND, 8)


@export("KeQueryTimeIncrement")
def _time_increment(env: Environment) -> int:
    return UNITS_A_SECOND // TICKS_A_SECOND


@export("KeQueryInterruptTime")
def _interrupt_time(env: Environment) -> int:
    return env.kernel.seconds * UNITS_A_SECOND


@export("KeQueryPerformanceCounter")
def _counter(env: Environment, frequency: int) -> int:
    if frequency:
        env.put(frequency, UNITS_A_SECOND, 8)
    return env.kernel.seconds * UNITS_A_SECOND


@export("KeStallExecutionProcessor")
def _stall(env: Environment, microseconds: int) -> None:
    """No time passes that anybody could measure."""


@export("IoGetCurrentProcess")
def _process(env: Environment) -> int:
    return ddi.PsGetCurrentProcess()


@export("PsGetCurrentProcessId")
def _process_id(env: Environment) -> int:
    return _SYSTEM_PROCESS


@export("PsGetCurrentThreadId")
def _thread_id(env: Environment) -> int:
    return _SYSTEM_THREAD


@export("PsGetVersion")
def _version(env: Environment, major: int, minor: int, build: int, service_pack: int) -> bool:
    for address, value in zip((major, minor, build), _VERSION, strict=True):
        if address:
            env.put(address, value, 4)
    if service_pack:
        env.write(service_pack, bytes(2 * env.pointer_size))
    return False


@export("IoIsWdmVersionAvailable")
def _wdm_version(env: Environment, major: int, minor: int) -> bool:
    return major <= 6


@export("ObfReferenceObject")
def _reference(env: Environment, what: int) -> int:
    return int(ddi.ObReferenceObject(what) or 0)


@export("ObfDereferenceObject")
def _dereference(env: Environment, what: int) -> int:
    return int(ddi.ObDereferenceObject(what) or 0)


@export("IoRegisterShutdownNotification")
def _at_shutdown(env: Environment, device: int) -> int:
    return 0


@export("IoUnregisterShutdownNotification")
def _not_at_shutdown(env: Environment, device: int) -> None:
    """Nobody shuts the machine down."""


@export("MmIsAddressValid")
def _is_valid(env: Environment, address: int) -> bool:
    return env.kernel.memory.is_mapped(address, 1)


@export("MmMapLockedPages")
def _map_pages(env: Environment, mdl: int, mode: int) -> int:
    return ddi.MmMapLockedPagesSpecifyCache(mdl, mode, _PRIVILEGED_MODES, 0, 0, 0)


@export("MmGetSystemRoutineAddress")
def _routine_address(env: Environment, name: int) -> int:
    return env.export_address(env.counted(name, 2))


@export("KeSetImportanceDpc")
def _importance(env: Environment, dpc: int, importance: int) -> None:
    """DPCs run in the order in which they were queued."""


@export("KeSetTargetProcessorDpc")
def _target_processor(env: Environment, dpc: int, number: int) -> None:
    """DPCs run on the processor that runs."""


variable("NtBuildNumber", 4, lambda env: _VERSION[2].to_bytes(4, "little"))
variable("KdDebuggerEnabled", 1, lambda env: bytes(1))
variable("KdDebuggerNotPresent", 1, lambda env: b"\1")
variable(
    "MmHighestUserAddress",
    8,
    lambda env: (0x7FFF_FFFE_FFFF if env.pointer_size == 8 else 0x7FFE_FFFF).to_bytes(
        env.pointer_size, "little"
    ),
)
variable("KeTickCount", 16, lambda env: bytes(16))


@export("IopInvalidDeviceRequest")
def _refuse_request(env: Environment, device: int, irp: int) -> int:
    env.put(irp + _STATUS_IN_IRP[env.pointer_size], _INVALID_DEVICE_REQUEST, 4)
    ddi.IofCompleteRequest(irp, 0)
    return _INVALID_DEVICE_REQUEST
