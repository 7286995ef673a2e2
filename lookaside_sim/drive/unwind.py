"""Stacks of compiled code: on x64 by the functions' descriptions, on x86 by the looks of it.

Source:
    [doc] x64 exception handling: UNWIND_INFO, UNWIND_CODE. x86 code describes nothing: what looks
    like a return address, behind a call instruction in an image, is taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from lookaside_sim.drive.engine import Register
from lookaside_sim.drive.images import Images, LoadedImage
from lookaside_sim.memory.address_space import Memory

_HAS_HANDLER, _IS_CHAINED = 3, 4  # flags: EHANDLER or UHANDLER; CHAININFO
(
    _PUSH_NONVOLATILE,
    _ALLOCATE_LARGE,
    _ALLOCATE_SMALL,
    _SET_FRAME,
    _SAVE_NONVOLATILE,
    _SAVE_FAR,
) = range(6)
_SAVE_XMM, _SAVE_XMM_FAR = 8, 9
_SLOTS: Final = {_SAVE_NONVOLATILE: 2, _SAVE_FAR: 3, _SAVE_XMM: 2, _SAVE_XMM_FAR: 3}
"""Slots of two bytes that an operation takes, where not one."""
_MOST_CHAINED: Final = 32
_DEEPEST: Final = 64


@attrs.frozen
class Handler:
    """A language's handler of a function.

    Attributes:
        address: of its code.
        data: of what the compiler put behind it.
        flags: of the function's UNWIND_INFO.
    """

    address: int
    data: int
    flags: int


@attrs.frozen
class Frame:
    """One frame of a stack of x64 code.

    Attributes:
        image: whose code it is.
        ip: the instruction it is on, or behind where it made a call.
        registers: the general registers, by number.
        establisher: the frame's own address, as handlers get it.
        handler: what handles exceptions there.
    """

    image: LoadedImage
    ip: int
    registers: tuple[int, ...]
    establisher: int
    handler: Handler | None


class CannotUnwindError(Exception):
    """The stack or a description leads nowhere."""


class Unwinder:
    """Walks stacks of x64 code.

    Args:
        images: what is loaded.
        memory: where stacks and images lie. Only looked at.
    """

    def __init__(self, images: Images, memory: Memory) -> None:
        self._images = images
        self._memory = memory

    def frames(self, ip: int, registers: tuple[int, ...]) -> Iterator[Frame]:
        """The frames, innermost first, as far as code lies in images."""
        for _ in range(_DEEPEST):
            image = self._images.at(ip)
            if image is None:
                return
            try:
                frame, ip, registers = self._step(image, ip, registers)
            except CannotUnwindError:
                return
            yield frame

    def _number(self, address: int, size: int) -> int:
        seen = self._memory.peek_bytes(address & (1 << 64) - 1, size)
        if seen is None:
            raise CannotUnwindError(hex(address))
        return int.from_bytes(seen, "little")

    def _step(
        self, image: LoadedImage, ip: int, registers: tuple[int, ...]
    ) -> tuple[Frame, int, tuple[int, ...]]:
        """One frame, and what its caller's instruction pointer and registers were."""
        changed = list(registers)
        establisher, handler = registers[Register.SP], None
        function = image.function_at(ip)
        if function is not None:
            establisher, handler = self._undo(image, ip, changed)
        sp = changed[Register.SP]
        back = self._number(sp, 8)
        changed[Register.SP] = sp + 8
        return Frame(image, ip, registers, establisher, handler), back, tuple(changed)

    def _undo(
        self, image: LoadedImage, ip: int, registers: list[int]
    ) -> tuple[int, Handler | None]:
        """Undo what a function has done to the registers by an instruction."""
        function = image.function_at(ip)
        assert function is not None
        base, offset = image.base, ip - image.base - function.begin
        info = base + function.unwind
        establisher, handler = registers[Register.SP], None
        for depth in range(_MOST_CHAINED):
            head = self._number(info, 4)
            flags, prologue = head >> 3 & 0x1F, head >> 8 & 0xFF
            count, frame = head >> 16 & 0xFF, head >> 24
            behind = info + 4 + 2 * (count + count % 2)
            inside = depth > 0 or offset >= prologue
            if depth == 0 and frame & 15 and inside:
                establisher = registers[frame & 15] - 16 * (frame >> 4)
            self._undo_codes(info + 4, count, offset if depth == 0 else 0xFF, frame, registers)
            if depth == 0 and flags & _HAS_HANDLER and inside:
                handler = Handler(base + self._number(behind, 4), behind + 4, flags)
            if not flags & _IS_CHAINED:
                return establisher, handler
            info = base + self._number(behind + 8, 4)
        raise CannotUnwindError("descriptions run in a ring")

    def _undo_codes(
        self, at: int, count: int, offset: int, frame: int, registers: list[int]
    ) -> None:
        index = 0
        while index < count:
            where, code = self._number(at + 2 * index, 1), self._number(at + 2 * index + 1, 1)
            operation, info = code & 15, code >> 4
            if where <= offset:
                self._undo_one(operation, info, at + 2 * index + 2, frame, registers)
            if operation == _ALLOCATE_LARGE:
                index += 3 if info else 2
            else:
                index += _SLOTS.get(operation, 1)

    def _undo_one(
        self, operation: int, info: int, more: int, frame: int, registers: list[int]
    ) -> None:
        sp = registers[Register.SP]
        if operation == _PUSH_NONVOLATILE:
            registers[info] = self._number(sp, 8)
            registers[Register.SP] = sp + 8
        elif operation == _ALLOCATE_LARGE:
            size = self._number(more, 4) if info else 8 * self._number(more, 2)
            registers[Register.SP] = sp + size
        elif operation == _ALLOCATE_SMALL:
            registers[Register.SP] = sp + 8 * info + 8
        elif operation == _SET_FRAME:
            registers[Register.SP] = registers[frame & 15] - 16 * (frame >> 4)
        elif operation == _SAVE_NONVOLATILE:
            registers[info] = self._number(sp + 8 * self._number(more, 2), 8)
        elif operation == _SAVE_FAR:
            registers[info] = self._number(sp + self._number(more, 4), 8)
