"""The engine that Unicorn is. Nothing else imports unicorn.

Unicorn runs with its virtual TLB: a miss asks for the page, a hit costs nothing. Where a page
is a hole it gets a physical address that nothing is lent at, since the hooks that would tell of
an unmapped access make every store many times slower; after the error the one instruction is run
again with such a hook, which says exactly what it touched.
"""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar, Final

from lookaside_sim.clonable import MISSING
from lookaside_sim.drive.engine import (
    HOLE,
    TRAP_PORT,
    Events,
    Fault,
    Register,
    StoppedEarlyError,
)
from lookaside_sim.drive.extra import require
from lookaside_sim.memory.touch import EXECUTE, READ, WRITE
from lookaside_sim.nt.layouts import PAGE_SIZE

_NAMES: Final = {
    8: "RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15 RIP EFLAGS",
    4: "EAX ECX EDX EBX ESP EBP ESI EDI R8 R9 R10 R11 R12 R13 R14 R15 EIP EFLAGS",
}


class UnicornEngine:
    """A core of Unicorn's, made when it is first needed, and anew in a copy of the machine.

    Args:
        pointer_size: 8 for x64, 4 for x86.
        events: whom it asks and tells.

    Raises:
        ImportError: the extra is not installed.
    """

    LEFT_OUT: ClassVar[dict[str, Any]] = {
        "_uc": MISSING,
        "_lent": {},
        "_next": None,
        "_kept": None,
    }

    def __init__(self, pointer_size: int, events: Events) -> None:
        self._unicorn: Any = require("unicorn")
        self._c: Any = require("unicorn.unicorn_const")
        x86: Any = require("unicorn.x86_const")
        c = self._c
        self._pointer_size = pointer_size
        self._events = events
        self._lent: dict[int, tuple[int, Any]] = {}
        self._next: int | None = None
        self._deadline = 0.0
        self._kept: BaseException | None = None
        self._ids = [getattr(x86, f"UC_X86_REG_{n}") for n in _NAMES[pointer_size].split()]
        self._x86 = x86
        self._operations = {c.UC_MEM_READ: READ, c.UC_MEM_WRITE: WRITE, c.UC_MEM_FETCH: EXECUTE}
        self._stops: list[tuple[int, Callable[[], None]]] = []
        self._blocks = 0, 0

    @cached_property
    def _uc(self) -> Any:
        """Unicorn's own core."""
        c, x86 = self._c, self._x86
        mode = c.UC_MODE_64 if self._pointer_size == 8 else c.UC_MODE_32
        uc = self._unicorn.Uc(c.UC_ARCH_X86, mode)
        uc.ctl_set_tlb_mode(c.UC_TLB_VIRTUAL)
        uc.hook_add(c.UC_HOOK_TLB_FILL, self._fill)
        uc.hook_add(c.UC_HOOK_INSN, self._trap, None, 1, 0, x86.UC_X86_INS_OUT)
        uc.hook_add(c.UC_HOOK_INTR, self._interrupt)
        uc.reg_write(self._ids[Register.FLAGS], 0x202)  # interrupts are on
        vars(self)["_uc"] = uc  # on x86 the blocks are read at once, from pages that are lent
        self._put_blocks(uc)
        for address, reached in self._stops:
            self._hook(uc, address, reached)
        return uc

    # --- what Unicorn calls ----------------------------------------------------------------

    def _fill(self, uc: Any, address: int, access: int, entry: Any, data: Any) -> bool:
        entry.paddr, entry.perms = self._events.fill(address, self._operations[access])
        return True

    def _trap(self, uc: Any, port: int, size: int, value: int, data: Any) -> None:
        # Other ports are the driver's; no device answers there.
        if port == TRAP_PORT:
            self._events.trap(value)

    def _interrupt(self, uc: Any, number: int, data: Any) -> None:
        self._events.interrupt(number)

    # --- memory ------------------------------------------------------------------------------

    def lend(self, physical: int, buffer: bytearray | mmap.mmap) -> None:
        """Let a buffer of whole pages be memory at a physical address."""
        size = len(buffer)
        view = (ctypes.c_char * size).from_buffer(buffer)
        self._uc.mem_map_ptr(physical, size, self._c.UC_PROT_ALL, ctypes.addressof(view))
        self._lent[physical] = size, view

    def take_back(self, physical: int) -> None:
        """Let it be memory no more."""
        size, _ = self._lent.pop(physical)
        self._uc.mem_unmap(physical, size)

    def serve(
        self,
        physical: int,
        read: Callable[[int, int], int],
        write: Callable[[int, int, int], None],
    ) -> None:
        """Let functions stand for a physical page."""

        # What these raise is kept: the binding would have it and no value for the instruction.
        def reads(uc: Any, offset: int, size: int, data: Any) -> int:
            try:
                return read(offset, size)
            except BaseException as error:
                return self._keep(error)

        def writes(uc: Any, offset: int, size: int, value: int, data: Any) -> None:
            try:
                write(offset, size, value & (1 << 8 * size) - 1)
            except BaseException as error:
                self._keep(error)

        self._uc.mmio_map(physical, PAGE_SIZE, reads, None, writes, None)

    def _keep(self, error: BaseException) -> int:
        self._kept = self._kept or error
        self._uc.emu_stop()
        return 0

    def forget_pages(self) -> None:
        """Ask again for each page."""
        self._uc.ctl(self._c.UC_CTL_TLB_FLUSH, self._c.UC_CTL_IO_WRITE)

    # --- registers ---------------------------------------------------------------------------

    def get(self, register: Register) -> int:
        """Read a register."""
        return int(self._uc.reg_read(self._ids[register]))

    def put(self, register: Register, value: int) -> None:
        """Write a register."""
        self._uc.reg_write(self._ids[register], value)

    def set_processor_block(self, address: int, descriptors: int) -> None:
        """Have gs (x64) or fs (x86) point at the processor's control block."""
        self._blocks = address, descriptors

    def _put_blocks(self, uc: Any) -> None:
        x86, (address, descriptors) = self._x86, self._blocks
        if self._pointer_size == 8:
            uc.reg_write(x86.UC_X86_REG_GS_BASE, address)
            return
        uc.reg_write(x86.UC_X86_REG_GDTR, (0, descriptors, PAGE_SIZE - 1, 0))
        for name, selector in (("CS", 8), ("SS", 16), ("DS", 16), ("ES", 16), ("FS", 24)):
            uc.reg_write(getattr(x86, f"UC_X86_REG_{name}"), selector)

    # --- running -----------------------------------------------------------------------------

    def stop_at(self, address: int, reached: Callable[[], None]) -> None:
        """Have a function called each time before the instruction at an address runs."""
        self._stops.append((address, reached))
        if "_uc" in vars(self):
            self._hook(self._uc, address, reached)

    def _hook(self, uc: Any, address: int, reached: Callable[[], None]) -> None:
        def hook(uc: Any, at: int, size: int, data: Any) -> None:
            reached()

        uc.hook_add(self._c.UC_HOOK_CODE, hook, None, address, address)

    def go_on_at(self, address: int) -> None:
        """Have the run go on elsewhere; see `Engine.go_on_at`."""
        # Behind a run inside this one Unicorn does not heed a new instruction pointer, so the
        # run is ended here and another one begins there.
        self._next = address
        self._uc.emu_stop()

    def run(self, start: int, until: int, microseconds: int) -> None:
        """Run instructions; see `Engine.run`."""
        if microseconds:
            self._deadline = time.monotonic() + microseconds / 1e6
        at: int | None = start
        while at is not None:
            self._next = None
            try:
                self._uc.emu_start(at, until, timeout=microseconds)
            except self._unicorn.UcError as error:
                raise self._fault(error.errno) from None
            if self._kept is not None:
                kept, self._kept = self._kept, None
                raise kept
            at, self._next = self._next, None
        if self.get(Register.IP) != until:
            raise StoppedEarlyError(is_late=0 < self._deadline <= time.monotonic())
        if microseconds:
            self._deadline = 0.0

    def _fault(self, number: int) -> Fault:
        """What Unicorn's error is about; it says which kind, not where."""
        c = self._c
        if number == c.UC_ERR_FETCH_UNMAPPED:
            return Fault(EXECUTE)
        operation = {c.UC_ERR_READ_UNMAPPED: READ, c.UC_ERR_WRITE_UNMAPPED: WRITE}.get(number)
        if operation is None:
            return Fault(None)
        seen: list[tuple[int, int, int]] = []

        def hook(uc: Any, access: int, at: int, size: int, value: int, data: Any) -> bool:
            seen.append((at, size, value))
            return False

        kinds = c.UC_HOOK_MEM_READ_UNMAPPED | c.UC_HOOK_MEM_WRITE_UNMAPPED
        handle = self._uc.hook_add(kinds, hook)
        with suppress(self._unicorn.UcError):
            self._uc.emu_start(self.get(Register.IP), 0, count=1)
        self._uc.hook_del(handle)
        at, size, value = seen[0] if seen else (HOLE, 1, 0)
        return Fault(operation, at, size, value & (1 << 8 * size) - 1)
