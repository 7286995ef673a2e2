"""Stubs: what compiled code calls when it calls the kernel.

Each import has a few bytes of machine code that say its number, store the argument registers into
the *mailbox* (a page of words) and execute ``out``; the engine tells Python, and the stub returns what
the mailbox says by then. Reading registers through an engine costs twenty times as much.

The routines that lists point at (`lookaside_sim.lookaside.routines`) have stubs at their own
addresses, so that compiled code can call what fields AllocateEx and FreeEx hold.
"""

from __future__ import annotations

import struct
from typing import Final

from lookaside_sim.drive import native
from lookaside_sim.drive.engine import TRAP_PORT, Register
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import Kernel
from lookaside_sim.memory.regions import Region
from lookaside_sim.nt.layouts import PAGE_SIZE

CX, DX, R8, R9, SP, RESULT, RESULT_HIGH, TAKEN, LISTENED = range(9)
"""Words of the mailbox: the registers, the result, the bytes of arguments that a routine takes
off the stack on x86, and whether somebody listens."""

_BEFORE_CODE: Final = 0x10_0000
_STUBS_SIZE: Final = 0x4_0000
_ROUTINES_SIZE: Final = 0x1_1000
ROUTINE_SPACING: Final = 0x40
_END, _COMMON, _FIRST = 0x10, 0x20, 0x100  # offsets among the stubs
_ROUTINE: Final = 1 << 28
"""Numbers of routines begin here, those of imports at 0."""
_OUT: Final = bytes((0xE7, TRAP_PORT))
_HALT: Final = b"\xf4"
_STORED: Final = (Register.CX, Register.DX, Register.R8, Register.R9, Register.SP)


class Stubs:
    """The stubs of one machine.

    Args:
        kernel: the machine.

    Attributes:
        end: an address to return to, where a run ends.
        mail: the mailbox, as words.
        mail_address: where it lies.
    """

    def __init__(self, kernel: Kernel) -> None:
        arch = kernel.arch
        self._pointer_size = arch.pointer_size
        self._is_wide = arch.pointer_size == 8
        start = (arch.code_start & -PAGE_SIZE) - _BEFORE_CODE
        self._code = Region(start, _STUBS_SIZE, writable=False, executable=True)
        self._mail = Region(start + _STUBS_SIZE, PAGE_SIZE)
        first = (arch.code_start & -PAGE_SIZE) - PAGE_SIZE
        self._routines = Region(first, _ROUTINES_SIZE, writable=False, executable=True)
        for each in (self._code, self._mail, self._routines):
            kernel.memory.map(each)
        self.mail_address = self._mail.address
        self.mail = memoryview(self._mail.data).cast("Q" if self._is_wide else "I")
        self.end = start + _END
        self._put(_END, _HALT)
        self._put(_COMMON, self._common(start + _COMMON))
        self._next = _FIRST
        self._fill_routines()

    def _put(self, offset: int, code: bytes) -> None:
        self._code.data[offset : offset + len(code)] = code

    def _take(self, code: bytes) -> int:
        """Place code of which nothing depends on where it lies; returns its offset."""
        offset = self._next
        if offset + len(code) > _STUBS_SIZE:
            raise LookasideSimError("the images ask for more imports than there is room for")
        self._put(offset, code)
        self._next = -(-(offset + len(code)) // 16) * 16
        return offset

    def holds(self, address: int) -> bool:
        """Whether an address is an import's."""
        first = self._code.address + _FIRST
        return first <= address < self._code.address + self._next

    # --- the stubs ---------------------------------------------------------------------------

    def of_import(self, number: int, taken: int | None) -> int:
        """Make the stub of an import.

        Args:
            number: what the engine is to say.
            taken: bytes of arguments that it takes off the stack, on x86; None where the
                mailbox will say it.

        Returns:
            Its address.
        """
        at = self._code.address + self._next
        code = self._stub(at, number, taken or 0)
        if taken is None and not self._is_wide:
            code = self._stub(at, number, 0)[:-1] + self._epilogue()
        return self._code.address + self._take(code)

    def of_native(self, name: str, number: int, sequence: int) -> int:
        """Make the stub of a routine that is machine code, and Python while somebody listens.

        Args:
            name: of the routine, in `lookaside_sim.drive.native`.
            number: of the import it stands for.
            sequence: what one push adds to the header's second word on x86, but for the depth.

        Returns:
            Its address.
        """
        taken = {"allocate": 4, "free": 8, "push_with_lock": 4}.get(name, 0)
        slow = self.of_import(number, taken)
        routine = (native.X64 if self._is_wide else native.X86)[name].code
        routine = routine.replace(
            struct.pack("<I", native.SEQUENCE), struct.pack("<I", sequence)
        )
        at = self._code.address + self._next
        flag = self._mail.address + LISTENED * self._pointer_size
        # cmp byte ptr [flag], 0; jne slow
        where = struct.pack("<i", flag - (at + 7)) if self._is_wide else struct.pack("<I", flag)
        code = b"\x80\x3d" + where + b"\0\x0f\x85" + struct.pack("<i", slow - (at + 13))
        return self._code.address + self._take(code + routine)

    def _common(self, at: int) -> bytes:
        """What all stubs jump to: store, tell, return."""
        mail, code = self._mail.address, b""
        if not self._is_wide:
            for word, register in ((CX, Register.CX), (DX, Register.DX), (SP, Register.SP)):
                code += bytes((0x89, 5 | register << 3)) + struct.pack("<I", mail + 4 * word)
            code += _OUT
            for word, register in ((RESULT, Register.AX), (RESULT_HIGH, Register.DX)):
                code += bytes((0x8B, 5 | register << 3)) + struct.pack("<I", mail + 4 * word)
            return code + b"\xc3"

        def move(operation: int, register: int, word: int) -> bytes:
            prefix = bytes(
                (0x4C if register >= 8 else 0x48, operation, 5 | (register & 7) << 3)
            )
            return prefix + struct.pack("<i", mail + 8 * word - (at + len(code) + 7))

        for word, register in enumerate(_STORED):
            code += move(0x89, register, word)
        code += _OUT
        code += move(0x8B, Register.AX, RESULT)
        return code + b"\xc3"

    def _stub(self, at: int, number: int, taken: int) -> bytes:
        common = self._code.address + _COMMON
        code = b"\xb8" + struct.pack("<I", number)  # mov eax, number
        if self._is_wide:
            return code + b"\xe9" + struct.pack("<i", common - (at + 10))  # jmp common
        code += b"\xe8" + struct.pack("<i", common - (at + 10))  # call common
        return code + (b"\xc2" + struct.pack("<H", taken) if taken else b"\xc3")

    def _fill_routines(self) -> None:
        """A stub at each address that a routine may have."""
        for offset in range(0, _ROUTINES_SIZE, ROUTINE_SPACING):
            at = self._routines.address + offset
            code = self._stub(at, _ROUTINE + offset, 0)
            if not self._is_wide:
                code = code[:-1] + self._epilogue()
            self._routines.data[offset : offset + len(code)] = code

    def _epilogue(self) -> bytes:
        """Return and take off as much as the mailbox says, on x86."""
        mail = self._mail.address + TAKEN * self._pointer_size
        # mov ecx, [taken]; pop edx; add esp, ecx; jmp edx
        return b"\x8b\x0d" + struct.pack("<I", mail) + b"\x5a\x01\xcc\xff\xe2"

    def routine_of(self, number: int) -> int | None:
        """The address of the routine that a number stands for; None for no routine's."""
        offset = number - _ROUTINE
        return self._routines.address + offset if 0 <= offset < _ROUTINES_SIZE else None
