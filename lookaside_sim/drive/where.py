"""Where compiled code is: its line, its stack, and errors that carry them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, overload

from lookaside_sim.drive.engine import GENERAL, Engine, Register
from lookaside_sim.drive.images import Images
from lookaside_sim.drive.narrow_stack import Entered, returns
from lookaside_sim.drive.raised import StatusRaised
from lookaside_sim.drive.system_memory import SystemMemory
from lookaside_sim.drive.unwind import Unwinder
from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import Kernel
from lookaside_sim.machine.call_site import CallSite

_DEEPEST: Final = 16
_MOST_SEEN: Final = 1 << 12


class CompiledStack(Sequence[CallSite]):
    """The call sites of compiled code, found when somebody asks: most ask for the first only.

    Args:
        where: what finds them.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._all: tuple[CallSite, ...] | None = None

    def __len__(self) -> int:
        return len(self._whole())

    def __iter__(self) -> Iterator[CallSite]:
        return iter(self._whole())

    @overload
    def __getitem__(self, index: int) -> CallSite: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CallSite]: ...
    def __getitem__(self, index: int | slice) -> CallSite | Sequence[CallSite]:
        return self._where.site() if index == 0 else self._whole()[index]

    def _whole(self) -> tuple[CallSite, ...]:
        if self._all is None:
            self._all = self._where.stack() or (self._where.site(),)
        return self._all


class Where:
    """Where the code of one processor is.

    Args:
        kernel: the machine.
        images: what is loaded.
        system: the stack.
        engine: the registers.
        unwinder: walks stacks of x64.

    Attributes:
        ip: the instruction that does something; 0 while an import runs.
        sp: where the return address of the import lies that runs.
        entered: the calls from outside that are under way, innermost last.
    """

    LEFT_OUT: ClassVar = {"ip": 0, "sp": 0, "entered": (), "_seen": {}}

    def __init__(
        self,
        kernel: Kernel,
        images: Images,
        system: SystemMemory,
        engine: Engine,
        unwinder: Unwinder,
    ) -> None:
        self._memory = kernel.memory
        self._images = images
        self._system = system
        self._engine = engine
        self._unwinder = unwinder
        self._is_wide = kernel.arch.pointer_size == 8
        self._mask = (1 << kernel.arch.address_bits) - 1
        self.ip = 0
        self.sp = 0
        self._seen: dict[
            tuple[int, int, bool], tuple[list[bytes], list[int], list[CallSite]]
        ] = {}
        self.entered: tuple[Entered, ...] = ()

    def provide(self) -> CompiledStack:
        """The call sites, innermost first, for `Program.stack_provider`."""
        return CompiledStack(self)

    def top(self) -> int:
        """Where the top of the stack is, or was when an import was called."""
        return self._engine.get(Register.SP) if self.ip else self.sp

    def _peek(self, address: int) -> int:
        return self._memory.peek_pointer(address & self._mask) or 0

    def site(self) -> CallSite:
        """The line of compiled code that runs."""
        image = self._images.at(self.ip) if self.ip else None
        if image is not None:
            return image.site_of(self.ip)
        back = self._peek(self.top())
        image = self._images.at(back)
        if image is not None:
            return image.site_of(back - 1, back)
        for each in self.stack():
            return each
        # The driver's routine ended by jumping here; who called it is ours.
        entry = self.entered[-1].routine if self.entered else 0
        image = self._images.at(entry)
        if image is not None:
            return image.site_of(entry)
        return CallSite("", 0, f"{self.ip or back:#x}", self.ip or back)

    def stack_at(self, ip: int) -> tuple[CallSite, ...]:
        """The frames while an instruction is about to store."""
        before, self.ip = self.ip, ip
        try:
            return self.stack() or (self.site(),)
        finally:
            self.ip = before

    def stack(self) -> tuple[CallSite, ...]:
        """The frames of compiled code, innermost first."""
        return tuple(self._wide_stack() if self._is_wide else self._narrow_stack())

    def _narrow_stack(self) -> list[CallSite]:
        found: list[CallSite] = []
        image = self._images.at(self.ip) if self.ip else None
        if image is not None:
            found.append(image.site_of(self.ip))
        ip = 0 if image is None else self.ip
        stack = self._system.stack
        for back in returns(self._images, stack, self.top(), ip, self.entered):
            caller = self._images.at(back)
            if caller is not None:
                found.append(caller.site_of(back - 1, back))
        return found[:_DEEPEST]

    def _wide_stack(self) -> list[CallSite]:
        found: list[CallSite] = []
        ip, is_call = self.ip, False
        sp = self.top()
        if not ip or self._images.at(ip) is None:
            # In a stub, or in nothing: whoever called it goes on behind the call.
            ip, is_call = self._peek(sp), True
            sp += 8
        place = ip, sp, is_call
        known = self._seen.get(place)
        if known is not None and known[0] == self._returns(known[1]):
            return known[2]
        registers = [self._engine.get(each) for each in GENERAL]
        registers[Register.SP] = sp
        slots: list[int] = []
        for frame in self._unwinder.frames(ip, tuple(registers)):
            if found:
                slots.append(frame.registers[Register.SP] - 8)
            at = frame.ip - 1 if is_call else frame.ip
            found.append(frame.image.site_of(at, frame.ip))
            is_call = True
            if len(found) == _DEEPEST:
                break
        if len(self._seen) == _MOST_SEEN:
            self._seen.clear()
        self._seen[place] = self._returns(slots), slots, found
        return found

    def _returns(self, slots: list[int]) -> list[bytes]:
        """What lies at some places of the stack: who goes on where is who called."""
        data, start = self._system.stack.data, self._system.stack.address
        return [bytes(data[each - start : each - start + 8]) for each in slots]

    def mark(self, error: BaseException) -> None:
        """Have an error carry where it came up; the first to say so is right."""
        if error.__dict__.get("stack") or not isinstance(error, Exception):
            return
        stack = error.__dict__["stack"] = self.stack()
        if not isinstance(error, (NtStatusError, StatusRaised)):
            note(error, stack)


def note(error: BaseException, stack: tuple[CallSite, ...]) -> None:
    """Show a stack below an error's text."""
    if stack:
        lines = [f"    {each} at {each.address:#x}" for each in stack]
        error.add_note("\n".join(("in compiled code:", *lines)))
