"""The processor: runs compiled code on the memory of a machine, and turns its faults into stops.

A call of compiled code runs until it comes back to an address of ours. On its way it calls imports,
which are Python and may call compiled code again: an allocate routine of the driver's, a filter. Such a
call runs inside the first one, on the same stack below it.

What Python raises in an import leaves every run that is under way: a stop, a report, an error. What NT
would raise as an exception goes to the handlers of the driver first, see `lookaside_sim.drive.seh`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final, NoReturn

from lookaside_sim.drive.engine import GENERAL, Engine, Fault, Register, StoppedEarlyError
from lookaside_sim.drive.images import Images
from lookaside_sim.drive.narrow_stack import Entered
from lookaside_sim.drive.page_tables import PageTables, TouchedWhatIsServed
from lookaside_sim.drive.raised import (
    BREAKPOINT,
    DIVIDED_BY_ZERO,
    ILLEGAL_INSTRUCTION,
    PRIVILEGED_INSTRUCTION,
    StatusRaised,
    status_name,
)
from lookaside_sim.drive.seh import Exceptions
from lookaside_sim.drive.stores import Stores
from lookaside_sim.drive.stubs import (
    CX,
    DX,
    LISTENED,
    R8,
    R9,
    RESULT,
    RESULT_HIGH,
    SP,
    TAKEN,
    Stubs,
)
from lookaside_sim.drive.system_memory import SystemMemory
from lookaside_sim.drive.unicorn_engine import UnicornEngine
from lookaside_sim.drive.unwind import Unwinder
from lookaside_sim.drive.where import Where, note
from lookaside_sim.errors import BugCheck, CompiledCodeError, NtStatusError
from lookaside_sim.kernel import Kernel
from lookaside_sim.memory.touch import EXECUTE
from lookaside_sim.nt.bugchecks import BugCheckCode

_ARGUMENT_REGISTERS: Final = (Register.CX, Register.DX, Register.R8, Register.R9)
_ARGUMENT_WORDS: Final = (CX, DX, R8, R9)
_SHADOW: Final = 0x20
"""Bytes that a caller on x64 leaves for the arguments in registers."""
_RED_ZONE: Final = 0x100
"""Bytes that a call inside another one leaves alone below the stack pointer."""
_DEEPEST_CALL: Final = 40
"""Calls of compiled code inside each other, through imports; an engine has a limit of its own."""
_NEAR_THE_STACK: Final = 1 << 20
"""Bytes below the stack that are taken for a stack that grew too far."""
_DIVIDED, _BREAKPOINT, _FAST_FAIL = 0, 3, 0x29  # interrupts and exceptions of the processor
_SIZES: Final = {_BREAKPOINT: 1, _FAST_FAIL: 2}
"""Bytes of the instructions that raise them, which the processor stands behind."""
_FASTCALL_REGISTERS: Final = 2

Target = Callable[[], int | None]
"""What an import does; it reads its arguments from the processor."""


class Processor:
    """What runs the compiled code of one machine.

    Args:
        kernel: the machine.

    Attributes:
        kernel: as given.
        images: what is loaded.
        stores: tells of what the code stores.
        system: its stack and its blocks.
        stubs: what imports are.
        depth: how many calls of compiled code run, one inside the other.
        seconds: how long a call may take; 0 for ever.
        when_called: called when compiled code is called from outside.
    """

    LEFT_OUT: ClassVar = {"depth": 0}

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.images = Images()
        self.system = SystemMemory(kernel)
        self.stubs = Stubs(kernel)
        self.depth = 0
        self.seconds = 0.0
        self._machine = kernel.machine
        self._mail = self.stubs.mail
        self._is_wide = kernel.arch.pointer_size == 8
        self._pointer_size = kernel.arch.pointer_size
        self._mask = (1 << kernel.arch.address_bits) - 1
        # Unicorn looks at the page where a run ends once more when it has ended, and forgets the
        # run's error if it has to be lent then.
        ours = self.stubs.end, self.system.stack_limit, self.stubs.mail_address
        self._tables = PageTables(kernel, ours)
        self.engine_made = self._tables.lend_ours
        self.fill = self._tables.fill
        self.engine: Engine = UnicornEngine(self._pointer_size, self)
        self._tables.serve(self.engine)
        self.engine.set_processor_block(self.system.processor_block, self.system.descriptors)
        unwinder = Unwinder(self.images, kernel.memory)
        self.exceptions = self._exceptions = Exceptions(self, unwinder)
        self._where = Where(kernel, self.images, self.system, self.engine, unwinder)
        self.stores = Stores(kernel, self.engine, self._tables, self.system, self._where)
        self._tables.before_served = self.stores.flush
        self.when_called: Callable[[], object] = bool
        self._targets: list[Target] = []
        self._call_routine: Callable[[int], int | None] | None = None

    # --- imports -----------------------------------------------------------------------------

    def add_target(self, target: Target) -> int:
        """Take in what an import does; returns its number."""
        self._targets.append(target)
        return len(self._targets) - 1

    def trap(self, number: int) -> None:
        """An import is called; see `Events.trap`."""
        mail = self._mail
        self._where.sp = mail[SP]
        if not self._is_wide:
            self._where.sp += 4  # a return into the stub lies on top
        self.stores.settle(self._where.sp)
        try:
            if number < len(self._targets):
                result = self._targets[number]()
            else:
                result = self._routine_called(number)
        except (NtStatusError, StatusRaised) as raised:
            self._where.mark(raised)
            if not self._is_wide or not self._exceptions.from_import(raised, self._where.sp):
                raise
            mail[RESULT] = int(raised.status)
        except BaseException as error:
            self._where.mark(error)
            raise
        else:
            result = result or 0
            mail[RESULT] = result & self._mask
            if not self._is_wide:
                mail[RESULT_HIGH] = result >> 32 & self._mask
        self._import_is_over()

    def _import_is_over(self) -> None:
        self.stores.forget()
        if self._tables.stale:
            self._tables.refresh()

    def on_routine(self, call: Callable[[int], int | None]) -> None:
        """Have a function called with the address of each routine of Python's that is called."""
        self._call_routine = call

    def _routine_called(self, number: int) -> int | None:
        address = self.stubs.routine_of(number)
        if address is None or self._call_routine is None:
            return None  # the driver's own access to the port
        return self._call_routine(address)

    def argument(self, index: int, *, fastcall: bool = False) -> int:
        """An argument of the import that runs, by its slot.

        Args:
            index: from 0. On x86 a slot has 4 bytes, and larger values take two.
            fastcall: whether the first two are in registers on x86.
        """
        if self._is_wide:
            if index < len(_ARGUMENT_WORDS):
                return int(self._mail[_ARGUMENT_WORDS[index]])
            return self.pointer_at(self._where.sp + 8 + 8 * index)
        if fastcall:
            if index < _FASTCALL_REGISTERS:
                return int(self._mail[_ARGUMENT_WORDS[index]])
            index -= _FASTCALL_REGISTERS
        return self.pointer_at(self._where.sp + 4 + 4 * index)

    def take_arguments(self, size: int) -> None:
        """Say how many bytes of arguments a routine of Python's takes off the stack, on x86."""
        self._mail[TAKEN] = size

    def pointer_at(self, address: int) -> int:
        """A pointer in memory, as the import that runs reads it."""
        stack = self.system.stack
        at = address - stack.address
        size = self._pointer_size
        if 0 <= at <= stack.size - size:
            return int.from_bytes(stack.data[at : at + size], "little")
        return self.kernel.memory.read_pointer(address & self._mask)

    def interrupt(self, number: int) -> None:
        """The processor raises an exception; see `Events.interrupt`."""
        ip = self.engine.get(Register.IP) - _SIZES.get(number, 0)
        self.stores.settle(0)
        self._where.ip = ip
        try:
            if number == _FAST_FAIL:
                code = self.engine.get(Register.CX) & 0xFFFF_FFFF
                self._machine.stop(
                    BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE,
                    (code, 0, 0, 0),
                    f"__fastfail({code}) in {self._where.site()}",
                )
            if number == _BREAKPOINT:
                status, what = BREAKPOINT, "a breakpoint was reached"
            elif number == _DIVIDED:
                status, what = DIVIDED_BY_ZERO, "an integer was divided by zero"
            else:
                status, what = PRIVILEGED_INSTRUCTION, f"exception {number} of the processor"
            raised = StatusRaised(status, f"{what} in {self._where.site()}", ip)
            self._where.mark(raised)
            raise raised
        except BaseException as error:
            self._where.mark(error)
            raise

    @contextmanager
    def at_instruction(self, address: int) -> Iterator[None]:
        """Do inside what an instruction does; it is the one that errors are about."""
        self.stores.settle(0)
        self._where.ip = address
        try:
            yield
        except BaseException as error:
            self._where.mark(error)
            raise
        self._where.ip = 0
        self._import_is_over()

    @contextmanager
    def at_return(self, sp: int) -> Iterator[None]:
        """Do inside what a routine does that was called; its caller is what errors are about."""
        self.stores.settle(sp)
        before, self._where.sp = self._where.sp, sp
        try:
            yield
        except BaseException as error:
            self._where.mark(error)
            raise
        self._where.sp = before
        self._import_is_over()

    # --- calls -------------------------------------------------------------------------------

    def call_in_image(self, address: int, *arguments: int) -> int:
        """Call compiled code as the code of the driver whose image it lies in."""
        image = self.images.at(address)
        if image is None or image.owner is None:
            return self.call(address, *arguments)
        with image.owner:
            return self.call(address, *arguments)

    def name_of(self, address: int) -> str:
        """What lies at an address, as a debugger writes it; empty outside of images."""
        image = self.images.at(address)
        return "" if image is None else image.name_of(address)

    def call(self, address: int, *arguments: int) -> int:
        """Call compiled code.

        Args:
            address: of the code.
            *arguments: what it gets, as pointers or integers.

        Returns:
            What it returns: rax, or eax.

        Raises:
            BugCheck: it stopped the machine.
            CompiledCodeError: it did what there is no way on from.
        """
        self._machine.check_running()
        if self.depth:
            return self._call_inside(address, arguments)
        program = self._machine.program
        before = program.stack_provider
        program.stack_provider = self._where.provide
        self._mail[LISTENED] = self.is_listened_to
        self.when_called()
        self.engine.put(Register.FLAGS, 0x202)
        self.stores.begin()
        try:
            with self.kernel:
                return self._call(address, arguments, self.system.stack_base - 0x40)
        except (NtStatusError, StatusRaised) as raised:
            self._where.ip = raised.__dict__.get("ip", 0)
            self._stop_unhandled(raised)
        finally:
            program.stack_provider = before
            self._where.ip = 0

    @property
    def is_listened_to(self) -> bool:
        """Whether calls of lists must be made in Python for somebody to see them."""
        return not self._machine.is_plain or self.kernel.sanitizer is not None

    def _call_inside(self, address: int, arguments: tuple[int, ...]) -> int:
        engine, mail = self.engine, self._mail
        saved = engine.get(Register.SP), self._where.sp, self._where.ip
        words = mail[:LISTENED].tolist()
        result = self._call(address, arguments, (saved[0] - _RED_ZONE) & -16)
        engine.put(Register.SP, saved[0])
        self._where.sp, self._where.ip = saved[1:]
        self.system.tell_who_runs()
        self.stores.settle(0)
        for index, word in enumerate(words):
            mail[index] = word
        return result

    def _call(self, address: int, arguments: tuple[int, ...], sp: int) -> int:
        """Put the arguments where they belong, and run."""
        engine, size = self.engine, self._pointer_size
        outer = self._where.top()
        if self._is_wide:
            for register, value in zip(_ARGUMENT_REGISTERS, arguments, strict=False):
                engine.put(register, value & self._mask)
            rest = arguments[len(_ARGUMENT_REGISTERS) :]
            sp = (sp - _SHADOW - 8 * len(rest) & -16) - 8
            first = sp + 8 + _SHADOW
        else:
            rest = arguments
            sp = (sp - 4 * len(rest) & -16) - 4
            first = sp + 4
        if self._is_below_stack(sp) or self.depth >= _DEEPEST_CALL:
            self._stop_stack_overflow()
        write = self.kernel.memory.write
        write(first, b"".join((value & self._mask).to_bytes(size, "little") for value in rest))
        write(sp, self.stubs.end.to_bytes(size, "little"))
        engine.put(Register.SP, sp)
        self.system.tell_who_runs()
        self.depth += 1
        before = self._where.entered
        self._where.entered = (*before, Entered(address, sp, outer))
        try:
            self.run(address)
        finally:
            self.depth -= 1
            self._where.entered = before
            self.stores.settle(0)
        return engine.get(Register.AX) & self._mask

    def run(self, address: int) -> None:
        """Run from an address until the call returns, and on behind each exception that is handled."""
        next_address: int | None = address
        while next_address is not None:
            if self._tables.stale:
                self._tables.refresh()
            self._where.ip = 0
            microseconds = 0 if self.depth > 1 else int(self.seconds * 1e6)
            try:
                self.engine.run(next_address, self.stubs.end, microseconds)
                next_address = None
            except Fault as fault:
                next_address = self._resumed(fault)
            except TouchedWhatIsServed as touch:
                next_address = self._resumed(touch)
            except StatusRaised as raised:
                next_address = self._handled(raised)
            except StoppedEarlyError as error:
                self._where.ip = self.engine.get(Register.IP)
                what = f"did not return within {self.seconds:g} s"
                if not error.is_late:
                    what = "halted the processor, and no interrupt comes"
                late = CompiledCodeError(f"{self._where.site()} {what}")
                self._where.mark(late)
                raise late from None

    # --- faults ------------------------------------------------------------------------------

    def _resumed(self, what: Fault | TouchedWhatIsServed) -> int:
        """Where code runs on behind a fault that the driver handled; stops the machine for others."""
        self.stores.settle(0)
        self._where.ip = self.engine.get(Register.IP)
        self._tables.stale = True
        try:
            self._explain(what)
        except StatusRaised as raised:
            return self._handled(raised)
        except NtStatusError as raised:  # of an address in the user half
            status, ip = int(raised.status), self._where.ip
            return self._handled(StatusRaised(status, raised.message, ip, raised.information))
        except BaseException as error:
            self._where.mark(error)
            raise

    def _handled(self, raised: StatusRaised) -> int:
        """Where a handler of the driver's takes an exception over."""
        self._where.mark(raised)
        if self._is_wide:
            registers = tuple(self.engine.get(each) for each in GENERAL)
            resumed = self._exceptions.dispatch(raised, raised.ip, registers)
            if resumed is not None:
                return resumed
        raised.ip = 0  # whoever is asked next stands elsewhere
        raise raised

    def _explain(self, what: Fault | TouchedWhatIsServed) -> NoReturn:
        """Turn a fault into what NT makes of it: an exception, or a stop."""
        ip = self._where.ip
        if isinstance(what, Fault) and what.operation is None:
            raise StatusRaised(
                ILLEGAL_INSTRUCTION, f"no instruction of this processor at {ip:#x}", ip
            )
        if isinstance(what, TouchedWhatIsServed):
            address, operation = what.address, what.operation
        elif what.operation == EXECUTE:
            address, operation = ip, EXECUTE
        else:
            assert what.operation is not None
            address, operation = self._tables.address_of_hole(what.physical), what.operation
        if self._is_below_stack(address) or self._is_below_stack(self.engine.get(Register.SP)):
            self._stop_stack_overflow()
        machine = self._machine
        if operation != EXECUTE:
            for check in machine.touch_checks:
                check(address, what.size, operation, True)
        machine.touch_fault(address, operation)

    def _is_below_stack(self, address: int) -> bool:
        limit = self.system.stack_limit
        return limit - _NEAR_THE_STACK <= address < limit

    def _stop_stack_overflow(self) -> NoReturn:
        self._machine.stop(
            BugCheckCode.UNEXPECTED_KERNEL_MODE_TRAP,
            (8, 0, 0, 0),
            f"the kernel stack of {self.system.stack.size:#x} bytes is used up in {self._where.site()}",
        )

    def _stop_unhandled(self, raised: NtStatusError | StatusRaised) -> NoReturn:
        """Stop for an exception that no handler took.

        Source:
            [doc] bug check 0x7E: drivers are loaded and unloaded by a thread of the system's.
        """
        ip = raised.__dict__.get("ip", 0)
        text = (
            f"{status_name(raised.status)} was raised and nobody handles it: {raised.message}"
        )
        stack = raised.__dict__.get("stack", ())
        try:
            self._machine.stop(
                BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
                (int(raised.status), ip or (stack[0].address if stack else 0), 0, 0),
                text,
            )
        except BugCheck as stop:
            stop.stack = stack
            note(stop, stack)
            raise stop from None
