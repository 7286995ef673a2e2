"""Watching lists that a header's inlined code works on, while somebody listens.

The allocate and free routines of ``wdm.h`` are inlined: they count, look at fields, and call an import
only to take an entry off or put one on, and a routine of the list's when it is empty or full. So
that a recorder or the sanitizer sees calls of lists, what the inlined code has done so far is taken back
at these calls, and the whole call is made in Python, where everybody sees it.

What inlined code does once more is kept from happening: where an allocate routine returned NULL the
code calls it again, and gets NULL at once; the free routine of a full list is not called again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from lookaside_sim.drive.engine import Register
from lookaside_sim.drive.processor import Processor
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.memory.notices import Changed

_TOOK_ALLOCATE_EX: Final = 16
_TOOK_ALLOCATE: Final = 12
_TOOK_FREE_EX: Final = 8
_TOOK_FREE: Final = 4
"""Bytes that the routines of the families take off the stack on x86."""


class Watched(Protocol):
    """What exports find, as a watch sees it.

    Attributes:
        kernel: the machine.
        processor: what runs the code.
        pointer_size: bytes of a pointer.
        lists: the last list that compiled code initialized at each address.
    """

    kernel: Kernel
    processor: Processor
    pointer_size: int
    lists: dict[int, LookasideList]


class Watch:
    """Makes the calls of inlined code in Python while somebody listens.

    Args:
        env: what exports find.
    """

    def __init__(self, env: Watched) -> None:
        self._env = env
        self._free_misses: dict[int, int] = {}
        self._refused: int | None = None
        self._inside = 0
        offsets = env.kernel.arch.lookaside_offsets
        self._total_allocates = offsets["TotalAllocates"]
        self._allocate_misses = offsets["AllocateMisses"]
        self._total_frees = offsets["TotalFrees"]
        self._missed_frees = offsets["FreeMisses"]
        self._free_routine = offsets["FreeEx"]

    @property
    def _watches(self) -> bool:
        return self._env.processor.is_listened_to

    def begin(self) -> None:
        """Compiled code is called from outside: remember what its lists have counted."""
        self._refused = None
        self._free_misses = {}
        if self._watches:
            for address in self._env.lists:
                self._remember(address)

    def _remember(self, address: int) -> None:
        seen = self._env.kernel.memory.peek_bytes(address + self._missed_frees, 4)
        if seen is not None:
            self._free_misses[address] = int.from_bytes(seen, "little")

    def _add(self, address: int, value: int) -> None:
        memory = self._env.kernel.memory
        count = int.from_bytes(memory.read(address, 4), "little") + value & 0xFFFF_FFFF
        memory.write(address, count.to_bytes(4, "little"))
        memory.notice(Changed.BYTES, address, 4)

    def _list_at_head(self, head: int) -> LookasideList | None:
        """The list that begins with an SLIST's head; None for an SLIST of the driver's own."""
        found = self._env.lists.get(head)
        if found is None or not self._watches or self._inside:
            return None
        return found if found.is_active or self._env.kernel.sanitizer is not None else None

    # --- entries taken off and put on ----------------------------------------------------------

    def pop(self, head: int) -> int | None:
        """Allocate from the list whose inlined code takes an entry off; None where there is none."""
        lookaside = self._list_at_head(head)
        if lookaside is None:
            return None
        self._add(head + self._total_allocates, -1)
        entry = lookaside.allocate()
        if entry is None:
            self._add(head + self._allocate_misses, -1)
            self._refused = head
        return entry or 0

    def push(self, head: int, entry: int) -> int | None:
        """Free to the list whose inlined code puts an entry on; None where there is none."""
        lookaside = self._list_at_head(head)
        if lookaside is None:
            return None
        first = self._env.kernel.slists.first(head)
        self._add(head + self._total_frees, -1)
        lookaside.free(entry)
        self._remember(head)
        return first

    # --- routines that inlined code calls ----------------------------------------------------------

    def refuses(self) -> bool:
        """Whether an allocate routine is called that has just returned NULL for the same entry."""
        refused, self._refused = self._refused, None
        return refused is not None

    def free_to_full(self, routine: int, entry: int) -> bool:
        """Free to the list that inlined code found full.

        Args:
            routine: address of the free routine that it calls.
            entry: what it is called with.

        Returns:
            Whether there was such a list; the free is done then.
        """
        if not self._watches or self._inside:
            return False
        memory = self._env.kernel.memory
        for address, known in self._free_misses.items():
            seen = memory.peek_bytes(address + self._missed_frees, 4)
            field = memory.peek_pointer(address + self._free_routine)
            if (
                seen is not None
                and field == routine
                and int.from_bytes(seen, "little") != known
            ):
                self._add(address + self._total_frees, -1)
                self._add(address + self._missed_frees, -1)
                self._inside += 1
                try:
                    self._env.lists[address].free(entry)
                finally:
                    self._inside -= 1
                    self._remember(address)
                return True
        return False

    # --- routines of the driver's own ----------------------------------------------------------

    def watch_routine(self, address: int, *, older: bool, allocates: bool) -> None:
        """Look at each call of a routine of the driver's that a list has."""
        reached: Callable[[], None]
        if allocates:
            reached = partial(
                self._allocate_called, _TOOK_ALLOCATE if older else _TOOK_ALLOCATE_EX
            )
        else:
            reached = partial(
                self._free_called, address, _TOOK_FREE if older else _TOOK_FREE_EX
            )
        self._env.processor.engine.stop_at(address, reached)

    def _allocate_called(self, taken: int) -> None:
        if self._refused is not None and not self._inside and self.refuses():
            self._return(0, taken)

    def _free_called(self, address: int, taken: int) -> None:
        if self._inside or not self._watches:
            return
        processor = self._env.processor
        engine = processor.engine
        sp = engine.get(Register.SP)
        is_wide = self._env.pointer_size == 8
        entry = engine.get(Register.CX) if is_wide else processor.pointer_at(sp + 4)
        with processor.at_return(sp):
            freed = self.free_to_full(address, entry)
        if freed:
            engine.put(Register.SP, sp)
            self._return(0, taken)

    def _return(self, result: int, taken: int) -> None:
        """Return from a routine before its first instruction."""
        processor = self._env.processor
        engine = processor.engine
        sp = engine.get(Register.SP)
        back = processor.pointer_at(sp)
        is_wide = self._env.pointer_size == 8
        engine.put(Register.AX, result)
        engine.put(Register.SP, sp + (8 if is_wide else 4 + taken))
        engine.go_on_at(back)
