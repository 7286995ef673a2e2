"""Assertions and messages of a driver; import them from `lookaside_sim.ddi`.

Source:
    [doc] PAGED_CODE, NT_ASSERT, DbgPrint; STATUS_ASSERTION_FAILURE, bug check 0x1E. Choice: drivers count
    as built checked, with no debugger: an assertion that fails raises an exception that nobody
    handles, and stops the machine.
"""

from __future__ import annotations

from lookaside_sim.ddi.routine import inlined
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import shown, text
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, NtStatus

__all__ = ["ASSERT", "NT_ASSERT", "NT_ASSERTMSG", "NT_VERIFY", "PAGED_CODE"]


@inlined
def PAGED_CODE() -> None:
    """Assert that the code may be paged: the IRQL is at most APC_LEVEL.

    Raises:
        BugCheck: KMODE_EXCEPTION_NOT_HANDLED with STATUS_ASSERTION_FAILURE.
    """
    irql = current_kernel().irql
    if irql > Irql.APC_LEVEL:
        _failed(f"PAGED_CODE: the code may be paged out, and runs at IRQL {int(irql)}")


def NT_ASSERT(expression: object) -> bool:
    """Assert that an expression is true.

    Returns:
        True, as it is.

    Raises:
        BugCheck: KMODE_EXCEPTION_NOT_HANDLED with STATUS_ASSERTION_FAILURE.
    """
    return NT_ASSERTMSG("an assertion", expression)


def NT_ASSERTMSG(message: str, expression: object) -> bool:
    """Assert that an expression is true, with a message."""
    current_kernel().check_running()
    if not expression:
        _failed(f"{text('message', message)} does not hold: {shown(expression)}")
    return True


ASSERT = NT_ASSERT
NT_VERIFY = NT_ASSERT


def _failed(message: str) -> None:
    machine = current_kernel().machine
    machine.stop(
        BugCheckCode.KMODE_EXCEPTION_NOT_HANDLED,
        (
            NtStatus.STATUS_ASSERTION_FAILURE,
            machine.program.call_site().address,
            0,
            0,
        ),
        message,
    )
