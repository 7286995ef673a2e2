"""The documented routines that stop the machine or raise a status; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from typing import NoReturn

from lookaside_sim.ddi.arguments import Long, Pointer, Size, Ulong
from lookaside_sim.ddi.routine import routine, routine_up_to
from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, NtStatus

__all__ = [
    "ExRaiseAccessViolation",
    "ExRaiseDatatypeMisalignment",
    "ExRaiseStatus",
    "KeBugCheck",
    "KeBugCheckEx",
    "ProbeForRead",
    "ProbeForWrite",
    "RtlRaiseStatus",
]


@routine
def KeBugCheckEx(
    BugCheckCode: Ulong,
    BugCheckParameter1: Size,
    BugCheckParameter2: Size,
    BugCheckParameter3: Size,
    BugCheckParameter4: Size,
) -> NoReturn:
    """Stop the machine.

    Args:
        BugCheckCode: any code.
        BugCheckParameter1: what the code makes of it.
        BugCheckParameter2: likewise.
        BugCheckParameter3: likewise.
        BugCheckParameter4: likewise.

    Raises:
        BugCheck: always.
    """
    parameters = (
        BugCheckParameter1,
        BugCheckParameter2,
        BugCheckParameter3,
        BugCheckParameter4,
    )
    _stop(BugCheckCode, parameters)


@routine
def KeBugCheck(BugCheckCode: Ulong) -> NoReturn:
    """Stop the machine; see `KeBugCheckEx`."""
    _stop(BugCheckCode, (0, 0, 0, 0))


def _stop(code: int, parameters: tuple[int, int, int, int]) -> NoReturn:
    machine = current_kernel().machine
    where = machine.program.calling_site()
    machine.stop(BugCheckCode(code), parameters, f"the driver stopped the machine in {where}")


@routine_up_to(Irql.PASSIVE_LEVEL)
def ExRaiseStatus(Status: Long) -> NoReturn:
    """Raise a status.

    Raises:
        NtStatusError: always; ``try`` and ``except`` stand for ``__try`` and ``__except``.
    """
    _raise(Status)


@routine_up_to(Irql.PASSIVE_LEVEL)
def ExRaiseAccessViolation() -> NoReturn:
    """Raise STATUS_ACCESS_VIOLATION; see `ExRaiseStatus`."""
    _raise(NtStatus.STATUS_ACCESS_VIOLATION)


@routine_up_to(Irql.PASSIVE_LEVEL)
def ExRaiseDatatypeMisalignment() -> NoReturn:
    """Raise STATUS_DATATYPE_MISALIGNMENT; see `ExRaiseStatus`."""
    _raise(NtStatus.STATUS_DATATYPE_MISALIGNMENT)


RtlRaiseStatus = ExRaiseStatus


@routine_up_to(Irql.APC_LEVEL)
def ProbeForRead(Address: Pointer, Length: Size, Alignment: Ulong) -> None:
    """Raise a status unless a range lies in the user half and is aligned.

    Args:
        Address: of the range.
        Length: bytes; 0 asks for nothing.
        Alignment: 1, 2, 4 or 8.

    Raises:
        NtStatusError: STATUS_DATATYPE_MISALIGNMENT, STATUS_ACCESS_VIOLATION.
    """
    _probe(Address, Length, Alignment)


@routine_up_to(Irql.APC_LEVEL)
def ProbeForWrite(Address: Pointer, Length: Size, Alignment: Ulong) -> None:
    """As `ProbeForRead`, and the range is mapped."""
    _probe(Address, Length, Alignment)
    if Length and not current_kernel().memory.is_mapped(Address, Length):
        _raise(NtStatus.STATUS_ACCESS_VIOLATION)


def _probe(address: int, length: int, alignment: int) -> None:
    if not length:
        return
    if alignment and address & alignment - 1:
        _raise(NtStatus.STATUS_DATATYPE_MISALIGNMENT)
    if address + length > 1 << current_kernel().arch.address_bits - 1:
        _raise(NtStatus.STATUS_ACCESS_VIOLATION)


def _raise(status: int) -> NoReturn:
    where = current_kernel().machine.program.calling_site()
    raise NtStatusError(NtStatus(status & 0xFFFF_FFFF), f"the driver raised it in {where}")
