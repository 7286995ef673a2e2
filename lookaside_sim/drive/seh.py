"""Structured exceptions of x64 code: ``__try``, ``__except`` and ``__finally`` as clang compiles them.

An exception goes to the frames of the stack, innermost first. Where the compiler's handler stands
behind a function, its table says which ranges of code are guarded, by which filter, and where the
handler's block is; filters and ``__finally`` blocks are functions of their own in the same image.

Source:
    [doc] x64 exception handling, EXCEPTION_POINTERS; [header] winnt.h: CONTEXT, SCOPE_TABLE.
    Choice: a filter that continues at the instruction gets it run again with the registers that the
    CONTEXT holds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Protocol

from lookaside_sim.drive.engine import GENERAL, Engine, Register
from lookaside_sim.drive.system_memory import SystemMemory
from lookaside_sim.drive.unwind import Frame, Handler, Unwinder
from lookaside_sim.kernel import Kernel

_NONVOLATILE: Final = tuple(
    getattr(Register, name) for name in ["BX", "BP", "SI", "DI", "R12", "R13", "R14", "R15"]
)
_HANDLES: Final = 1  # UNW_FLAG_EHANDLER
_EXECUTE_HANDLER, _CONTINUE_SEARCH, _CONTINUE_EXECUTION = 1, 0, 0xFFFF_FFFF
_SCOPE: Final = struct.Struct("<IIII")
_MOST_SCOPES: Final = 0x1000
_RECORD_SIZE, _CONTEXT_SIZE = 0x98, 0x4D0
_CONTEXT_REGISTERS, _CONTEXT_IP = 0x78, 0xF8
_POINTERS_SIZE: Final = 16
_JUMP: Final = b"\xff\x25"  # jmp [rip + ...], as an import's thunk has
HANDLER: Final = "__C_specific_handler"


class Raised(Protocol):
    """An exception."""

    @property
    def status(self) -> int:
        """Its status."""

    @property
    def information(self) -> tuple[int, ...]:
        """The parameters in its EXCEPTION_RECORD."""


class Runs(Protocol):
    """What runs the code, as exceptions see it."""

    kernel: Kernel
    engine: Engine
    system: SystemMemory

    def call(self, address: int, *arguments: int) -> int:
        """Call compiled code."""


class Exceptions:
    """The exceptions of one processor.

    Args:
        processor: what runs the code.
        unwinder: walks its stacks.

    Attributes:
        handlers: where the compiler's handler lies, as an import.
    """

    def __init__(self, processor: Runs, unwinder: Unwinder) -> None:
        self._processor = processor
        self._unwinder = unwinder
        self._memory = processor.kernel.memory
        self._scratch: list[int] = []
        self._in_use = 0
        self.handlers: set[int] = set()

    def from_import(self, raised: Raised, sp: int) -> bool:
        """Deliver an exception that an import raises.

        Args:
            raised: the exception.
            sp: where the import's return address lies.

        Returns:
            Whether a handler took it; the import's return then leads into it, with the status
            as its result.
        """
        engine = self._processor.engine
        registers = [engine.get(each) for each in GENERAL]
        registers[Register.SP] = sp + 8
        back = self._memory.peek_pointer(sp) or 0
        resumed = self.dispatch(raised, back, tuple(registers), is_call=True)
        if resumed is None:
            return False
        # The import's stub returns there: behind a call that ran inside this one an engine may
        # not heed a new instruction pointer.
        sp = engine.get(Register.SP) - 8
        self._processor.system.stack_put(sp, resumed)
        engine.put(Register.SP, sp)
        return True

    def dispatch(
        self, raised: Raised, ip: int, registers: tuple[int, ...], *, is_call: bool = False
    ) -> int | None:
        """Deliver an exception to compiled code.

        Args:
            raised: the exception.
            ip: the instruction, or the one behind the call of the import that raises.
            registers: the general registers there, by number.
            is_call: whether it is an import that raises.

        Returns:
            Where the code runs on, with its registers set; None where no handler took it.
        """
        frames = list(self._unwinder.frames(ip, registers))
        if not any(frame.handler and frame.handler.flags & _HANDLES for frame in frames):
            return None
        status = int(raised.status)
        pointers = self._pointers(status, raised.information, ip, registers)
        try:
            return self._search(status, ip, frames, pointers, is_call=is_call)
        finally:
            self._in_use -= 1

    def _search(
        self, status: int, ip: int, frames: list[Frame], pointers: int, *, is_call: bool
    ) -> int | None:
        call = self._processor.call
        for depth, frame in enumerate(frames):
            handler = frame.handler
            if handler is None or not handler.flags & _HANDLES or not self._is_c(handler):
                continue
            base = frame.image.base
            at = frame.ip - base - (1 if depth or is_call else 0)
            for index, (begin, end, filter_at, target) in enumerate(self._scopes(handler)):
                if not begin <= at < end or not target:
                    continue
                verdict = (
                    _EXECUTE_HANDLER
                    if filter_at == 1
                    else call(base + filter_at, pointers, frame.establisher) & 0xFFFF_FFFF
                )
                if verdict == _CONTINUE_EXECUTION and not is_call:
                    return self._continue(pointers)
                if verdict not in (_CONTINUE_SEARCH, _CONTINUE_EXECUTION):
                    self._unwind(frames[: depth + 1], index, is_call=is_call)
                    self._land(frame, status)
                    return base + target
        return None

    def _unwind(self, frames: list[Frame], last: int, *, is_call: bool) -> None:
        """Run the ``__finally`` blocks between the exception and its handler."""
        for depth, frame in enumerate(frames):
            if frame.handler is None or not self._is_c(frame.handler):
                continue
            base = frame.image.base
            at = frame.ip - base - (1 if depth or is_call else 0)
            for index, (begin, end, block, target) in enumerate(self._scopes(frame.handler)):
                if depth == len(frames) - 1 and index >= last:
                    break
                if begin <= at < end and not target:
                    self._processor.call(base + block, 1, frame.establisher)

    def _land(self, frame: Frame, status: int) -> None:
        """Set the registers as the handler's block expects them."""
        engine = self._processor.engine
        for each in _NONVOLATILE:
            engine.put(each, frame.registers[each])
        engine.put(Register.SP, frame.registers[Register.SP])
        engine.put(Register.AX, status)

    def _continue(self, pointers: int) -> int:
        """Set the registers from the CONTEXT that a filter may have changed."""
        engine = self._processor.engine
        context = self._number(pointers + 8, 8)
        for each in GENERAL:
            engine.put(each, self._number(context + _CONTEXT_REGISTERS + 8 * each, 8))
        return self._number(context + _CONTEXT_IP, 8)

    # --- what lies in memory -----------------------------------------------------------------

    def _pointers(
        self, status: int, information: tuple[int, ...], ip: int, registers: tuple[int, ...]
    ) -> int:
        """Make EXCEPTION_POINTERS; each exception inside another one has its own."""
        if self._in_use == len(self._scratch):
            size = _POINTERS_SIZE + _RECORD_SIZE + 8 + _CONTEXT_SIZE
            self._scratch.append(self._processor.system.place(size))
        pointers = self._scratch[self._in_use]
        self._in_use += 1
        record = pointers + _POINTERS_SIZE
        context = record + _RECORD_SIZE + 8
        image = bytearray(_CONTEXT_SIZE)
        struct.pack_into("<16Q", image, _CONTEXT_REGISTERS, *registers)
        struct.pack_into("<Q", image, _CONTEXT_IP, ip)
        put = self._processor.system.put
        put(pointers, struct.pack("<QQ", record, context))
        head = struct.pack("<IIQQIxxxx", status, 0, 0, ip, len(information))
        more = b"".join(each.to_bytes(8, "little") for each in information)
        put(record, (head + more).ljust(_RECORD_SIZE, b"\0"))
        put(context, bytes(image))
        return pointers

    def _number(self, address: int, size: int) -> int:
        seen = self._memory.peek_bytes(address, size)
        return 0 if seen is None else int.from_bytes(seen, "little")

    def _is_c(self, handler: Handler) -> bool:
        """Whether a function's handler is the C compiler's, reached through its thunk or not."""
        if handler.address in self.handlers:
            return True
        code = self._memory.peek_bytes(handler.address, 6) or b""
        if code[:2] != _JUMP:
            return False
        slot = handler.address + 6 + int.from_bytes(code[2:], "little", signed=True)
        return self._number(slot, 8) in self.handlers

    def _scopes(self, handler: Handler) -> Iterator[tuple[int, int, int, int]]:
        """Begin, end, filter or block, and target of each guarded range."""
        count = min(self._number(handler.data, 4), _MOST_SCOPES)
        for index in range(count):
            seen = self._memory.peek_bytes(handler.data + 4 + _SCOPE.size * index, _SCOPE.size)
            if seen is None:
                return
            begin, end, what, target = _SCOPE.unpack(seen)
            yield begin, end, what, target
