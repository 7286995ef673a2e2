"""The exported routines that stop the machine or raise a status.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.raised import ACCESS_VIOLATION, MISALIGNMENT, StatusRaised
from lookaside_sim.drive.registry import export
from lookaside_sim.nt.bugchecks import BugCheckCode


@export("KeBugCheckEx")
def _bug_check(env: Environment, code: int, a: int, b: int, c: int, d: int) -> None:
    machine = env.kernel.machine
    where = machine.program.call_site()
    machine.stop(BugCheckCode(code), (a, b, c, d), f"the driver stopped the machine in {where}")


@export("KeBugCheck")
def _plain_bug_check(env: Environment, code: int) -> None:
    _bug_check(env, code, 0, 0, 0, 0)


@export("ExRaiseStatus", "RtlRaiseStatus")
def _raise(env: Environment, status: int) -> None:
    where = env.kernel.machine.program.call_site()
    raise StatusRaised(status, f"the driver raised it in {where}")


@export("ExRaiseAccessViolation")
def _raise_access_violation(env: Environment) -> None:
    _raise(env, ACCESS_VIOLATION)


@export("ExRaiseDatatypeMisalignment")
def _raise_misalignment(env: Environment) -> None:
    _raise(env, MISALIGNMENT)


def _probe(env: Environment, address: int, size: int, alignment: int) -> None:
    if not size:
        return
    if alignment and address & alignment - 1:
        _raise(env, MISALIGNMENT)
    if address + size > 1 << env.kernel.arch.address_bits - 1:
        _raise(env, ACCESS_VIOLATION)


@export("ProbeForRead")
def _probe_for_read(env: Environment, address: int, size: int, alignment: int) -> None:
    _probe(env, address, size, alignment)


@export("ProbeForWrite")
def _probe_for_write(env: Environment, address: int, size: int, alignment: int) -> None:
    _probe(env, address, size, alignment)
    if size and not env.kernel.memory.is_mapped(address, size):
        _raise(env, ACCESS_VIOLATION)
