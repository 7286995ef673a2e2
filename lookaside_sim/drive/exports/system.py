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

_VERSION: Final = (10, 0, 17763)
_PRIVILEGED_MODES: Final = 1
_INVALID_DEVICE_REQUEST: Final = 0xC000_0010
_STATUS_IN_IRP: Final = {8: 0x30, 4: 0x18}  # IRP.IoStatus.Status, by pointer size


@export("PsGetVersion")
def _version(env: Environment, major: int, minor: int, build: int, service_pack: int) -> bool:
    for address, value in zip((major, minor, build), _VERSION, strict=True):
        if address:
            env.put(address, value, 4)
    if service_pack:
        env.write(service_pack, bytes(2 * env.pointer_size))
    return False


@export("IoRegisterShutdownNotification")
def _at_shutdown(env: Environment, device: int) -> int:
    return 0


@export("IoUnregisterShutdownNotification")
def _not_at_shutdown(env: Environment, device: int) -> None:
    """Nobody shuts the machine down."""


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
