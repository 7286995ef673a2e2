"""The machine: what every part of NT stands on.

It owns memory, the gate, the clock and the stop, and knows whose code runs. The parts above
(pool, lists, drivers, verifier) get the machine and each other by name; none of them knows
the `Kernel` that builds them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NoReturn

from lookaside_sim.errors import NtStatusError
from lookaside_sim.machine.calls import ReadMemory, TouchMemory, WriteMemory
from lookaside_sim.machine.gate import Gate
from lookaside_sim.machine.processors import Processors
from lookaside_sim.machine.program import Program
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.links import Uncached
from lookaside_sim.memory.pages import NoPage
from lookaside_sim.memory.touch import EXECUTE, READ, WRITE, Reason
from lookaside_sim.nt.arguments import raw_bytes, shown, unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import Irql, NtStatus

_VERBS: Final = {READ: "read", EXECUTE: "executed", WRITE: "written"}
_IRQL_OPERATIONS: Final = {READ: 0, WRITE: 1, EXECUTE: 8}
"""Parameter 3 of DRIVER_IRQL_NOT_LESS_OR_EQUAL."""
_NOT_CANONICAL: Final = (1 << 64) - 1
"""The address that an access violation reports where the processor told none."""
_NOT_PERMITTED: Final = {
    WRITE: BugCheckCode.ATTEMPTED_WRITE_TO_READONLY_MEMORY,
    EXECUTE: BugCheckCode.ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY,
}

Explainer = Callable[[int, int, bool], None]
"""Called with a touched address, the operation, and whether the program itself touched it.
Stops the machine when it knows more about the fault than that nothing is mapped there."""
TouchCheck = Callable[[int, int, int, bool], None]
"""Called with the address and size of a touch, the operation, and whether the program itself
touches, before anything is read or written. May stop the machine or raise a report."""
Reached = Callable[[object, object], None]
"""Called with a list and the point that its routine has reached."""


@lru_cache(maxsize=16)
def _drawn_cookie(seed: int) -> int:
    """Choice: as random as the garbage, and as reproducible."""
    return random.Random(f"cookie {seed}").getrandbits(64)


class Machine(Gate):
    """The base of one kernel.

    Args:
        arch: its layouts.
        processors: how many.
        seed: chooses the garbage that fresh pages hold.

    Attributes:
        arch: as given.
        memory: its address space.
        program: whose code runs.
        quota_cookie: what ProcessBilled is scrambled with, on x64 from Windows 8 on; 0 elsewhere.
        processors: the processors and their IRQLs.
        seconds: seconds simulated so far.
        explainers: asked in turn when memory is touched that is not there.
        each_second: called when a second has passed.
        touch_checks: see each touch of memory before it happens, the program's and those that
            list routines make in memory which somebody else owns.
        locked: whether a routine of NT's holds a spin lock of its own, and so runs at
            DISPATCH_LEVEL whatever its caller's IRQL is.
        reached: told of each point inside a list's routine where another processor could
            come, see `step_through`. None is nobody.
    """

    __slots__ = (
        "_program_touches",
        "arch",
        "each_second",
        "explainers",
        "locked",
        "memory",
        "processors",
        "program",
        "quota_cookie",
        "reached",
        "seconds",
        "touch_checks",
    )

    def __init__(self, arch: Architecture, *, processors: int, seed: int) -> None:
        super().__init__()
        self.arch = arch
        self.seconds = 0
        self.locked = False
        self.explainers: list[Explainer] = []
        self.touch_checks: list[TouchCheck] = []
        self.each_second: list[Callable[[], None]] = []
        self.reached: Reached | None = None
        self._program_touches = False
        self.quota_cookie = _drawn_cookie(seed) if arch.scrambles_billed else 0
        self.memory = Memory(arch, seed, self.page_fault)
        self.program = Program(self.memory)
        self.processors = Processors(self, processors, irql_bits=arch.irql_bits)

    def _look_again(self) -> None:
        super()._look_again()
        self.is_plain = self.is_plain and self.reached is None
        # Without cached links every call of a list takes its slow path.
        if self.bugcheck is not None:
            self.memory.stop_caching(Uncached.STOPPED)
        elif not self.is_plain:
            self.memory.stop_caching()
        else:
            self.memory.resume_caching()

    # --- inside a list's routine -----------------------------------------------------------

    @contextmanager
    def step_through(self, reached: Reached) -> Iterator[None]:
        """Tell somebody of each point inside the lists' routines; see `Kernel.step_through`."""
        if not callable(reached):
            raise TypeError(
                f"reached {shown(reached)}: give a callable that takes a list and a Point"
            )
        before = self.reached
        self._step(reached)
        try:
            yield
        finally:
            self._step(before)

    def _step(self, reached: Reached | None) -> None:
        self.reached = reached
        self.hooks.takes_turns = reached is not None
        self._look_again()

    # --- faults ----------------------------------------------------------------------------

    def page_fault(
        self, address: int, operation: int = READ, reason: Reason = Reason.UNMAPPED
    ) -> NoReturn:
        """Stop the machine for a touch that memory does not allow.

        Args:
            address: what was touched.
            operation: READ, WRITE or EXECUTE.
            reason: why it failed.

        Raises:
            BugCheck: what the first explainer has to say. Else for unmapped memory
                DRIVER_IRQL_NOT_LESS_OR_EQUAL at DISPATCH_LEVEL or above
                (IRQL_NOT_LESS_OR_EQUAL where NT's own code touches it),
                PAGE_FAULT_IN_NONPAGED_AREA below; for what the page does not permit
                ATTEMPTED_WRITE_TO_READONLY_MEMORY or ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY.
            NtStatusError: STATUS_ACCESS_VIOLATION below DISPATCH_LEVEL for an address in the user
                half, and at any IRQL for one on x64 that is not canonical.

        Source:
            [doc] bug checks 0x50, 0xA, 0xD1, 0xBE, 0xFC; EXCEPTION_RECORD. Choice: parameter 2 of
            0xBE and 0xFC, the page table entry, is 0. [inferred] what is not canonical raises
            whatever the IRQL, as a read of the highest address: the processor tells no address.
        """
        by_program, self._program_touches = self._program_touches, False
        if self.bugcheck is None:
            for explain in self.explainers:
                explain(address, operation, by_program)
        what = f"{address:#x} was {_VERBS[operation]}"
        if reason is Reason.NOT_PERMITTED:
            code = _NOT_PERMITTED[operation]
            self.stop(code, (address, 0, 0, 0), f"{what}, and {reason.value}")
        self.check_running()
        if self.arch.user_end <= address < self.arch.system_start:
            self._access_violation((0, _NOT_CANONICAL), f"{what}, which is not canonical")
        irql = max(self.gate, Irql.DISPATCH_LEVEL) if self.locked else self.gate
        if irql >= Irql.DISPATCH_LEVEL:
            self.stop(
                BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
                if by_program
                else BugCheckCode.IRQL_NOT_LESS_OR_EQUAL,
                (
                    address,
                    irql,
                    _IRQL_OPERATIONS[operation],
                    self.program.call_site().address,
                ),
                f"{what} at IRQL {irql}, and {reason.value}",
            )
        if address < self.arch.user_end:
            self._access_violation(
                (_IRQL_OPERATIONS[operation], address), f"{what}, and {reason.value}"
            )
        self.stop(
            BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA,
            (address, operation, 0, 0),
            f"{what}, and {reason.value}",
        )

    def _access_violation(self, information: tuple[int, int], message: str) -> NoReturn:
        raise NtStatusError(
            NtStatus.STATUS_ACCESS_VIOLATION,
            message,
            information,
            self.program.call_site().address,
        )

    @contextmanager
    def system_thread(self) -> Iterator[None]:
        """Run what is inside where nobody catches a status; see `Kernel.system_thread`."""
        try:
            yield
        except NtStatusError as error:
            self.stop(
                BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
                (int(error.status), error.code_address, 0, 0),
                f"nobody in a system thread caught {error}",
            )

    @contextmanager
    def dpc(self) -> Iterator[None]:
        """Run what is inside as a DPC routine; see `Kernel.in_dpc`."""
        with self.processors.dpc():
            try:
                yield
            except NtStatusError as error:
                first, second = (*error.information, 0, 0)[:2]
                self.stop(
                    BugCheckCode.KMODE_EXCEPTION_NOT_HANDLED,
                    (int(error.status), error.code_address, first, second),
                    f"nobody in a DPC routine caught {error}",
                )

    def touch_fault(self, address: int, operation: int = READ) -> NoReturn:
        """Stop the machine for a touch by the program itself; see `Kernel.touch_fault`."""
        self.check_running()
        address = unsigned("address", address, self.arch.address_bits)
        if unsigned("operation", operation, 8) not in _VERBS:
            raise ValueError(
                f"operation {operation}: give {READ} (read), {WRITE} (write) or {EXECUTE:#x} (jump)"
            )
        self.hooks.run(TouchMemory(address, operation), self._touch, address, operation)

    def _touch(self, address: int, operation: int) -> NoReturn:
        self._program_touches = True
        page = self.memory.translate(address, operation)
        reason = page.reason if isinstance(page, NoPage) else Reason.UNMAPPED
        self.page_fault(address, operation, reason)

    # --- memory, as the program touches it -----------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Read memory as the program does; see `Kernel.read`."""
        self.check_running()
        bits = self.arch.address_bits
        address, size = unsigned("address", address, bits), unsigned("size", size, bits)
        if self.hooks.hears_reads:
            return self.hooks.run(ReadMemory(address, size), self._read, address, size)
        return self._read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write memory as the program does; see `Kernel.write`."""
        self.check_running()
        address = unsigned("address", address, self.arch.address_bits)
        data = raw_bytes("data", data)
        if self.hooks.listening:
            self.hooks.run(WriteMemory(address, data), self._write, address, data)
        else:
            self._write(address, data)

    def _read(self, address: int, size: int) -> bytes:
        for check in self.touch_checks:
            check(address, size, READ, True)
        self._program_touches = True
        try:
            return self.memory.read(address, size)
        finally:
            self._program_touches = False

    def _write(self, address: int, data: bytes) -> None:
        for check in self.touch_checks:
            check(address, len(data), WRITE, True)
        self._program_touches = True
        try:
            self.memory.write(address, data)
        finally:
            self._program_touches = False
