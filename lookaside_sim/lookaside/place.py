"""Where the fields of a list lie between two calls.

A list in a driver's data of its own is the object: its place is None, its fields are the memory,
and a hit touches nothing else. A list inside memory that somebody else owns, such as a pool block, is
not kept in the object, since whoever frees or overwrites that memory changes the list: each
routine *fetches* the fields, works on them and *puts them back*, and in between the object
*rests*: its fields look like those of a list that is empty and full at once, so that no call
can take a hot path.
"""

from __future__ import annotations

from typing import Final, Protocol

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lookaside.fields import ListFields, PlainFields
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.touch import READ
from lookaside_sim.memory.windows import Window
from lookaside_sim.nt.types import ULONG_MASK, USHORT_MASK
from lookaside_sim.pool.kind import Pool


class Resting(Protocol):
    """A list, as its place sees it."""

    def load_fields(self, image: bytes) -> None:
        """Take every field over from the structure's bytes."""

    def store_fields(self) -> bytes:
        """Render the fields as bytes."""

    def set_head(self, image: bytes) -> None:
        """Take over the fields that a hit touches."""

    def store_head(self) -> bytes:
        """Render the fields that a hit touches."""

    def rest(self) -> None:
        """Let no call take a hot path."""


_WORD_MASK: Final = (1 << 64) - 1


class InMemory:
    """The fields are bytes that somebody else owns.

    Args:
        machine: whose memory.
        address: where.
        size: bytes of the structure, the fields and what follows them; 0 for the fields alone.
        links_are_known: whether the object knows ListEntry, as nobody can write to it.
    """

    __slots__ = (
        "_head",
        "_head_size",
        "_is_wide",
        "_machine",
        "_step",
        "_window",
        "address",
        "links_are_known",
        "size",
    )

    def __init__(
        self, machine: Machine, address: int, size: int = 0, *, links_are_known: bool = False
    ) -> None:
        self._machine = machine
        self.address = address
        self.size = size or machine.arch.lookaside_size
        self._head = machine.arch.lookaside_head
        self._head_size = self._head.size
        self._is_wide = machine.arch.pointer_size == 8
        self._step = int(machine.arch.slist_has_sequence)  # CpuId does not count
        self._window: Window | None = None
        self.links_are_known = links_are_known

    @property
    def is_mapped(self) -> bool:
        """Whether there still is memory."""
        return self._machine.memory.is_mapped(self.address, self.size)

    def fetch(self, of: Resting) -> None:
        """Read the fields, as code that runs on the machine does."""
        machine, size = self._machine, self._machine.arch.lookaside_size
        for check in machine.touch_checks:
            check(self.address, size, READ, False)
        of.load_fields(machine.memory.read(self.address, size))

    def put_back(self, of: Resting) -> None:
        """Write the fields, and let the object rest."""
        self._machine.memory.write(self.address, of.store_fields())
        of.rest()

    def fetch_head(self, of: Resting) -> None:
        """Read the fields that a hit touches; others are not looked at, and stay."""
        machine, size = self._machine, self._head_size
        for check in machine.touch_checks:
            check(self.address, size, READ, False)
        of.set_head(machine.memory.read(self.address, size))

    def put_back_head(self, of: Resting) -> None:
        """Write the fields that a hit touches, and let the object rest."""
        self._machine.memory.write(self.address, of.store_head())
        of.rest()

    def take(self) -> int:
        """A hit of ExAllocateFromLookasideListEx, on the words where they lie.

        What `ListOnMemory` does step by step, in one go and without the fields in between.

        Returns:
            The entry; 0, with nothing touched, where anything is out of the ordinary.
        """
        window = self._open_window()
        if window is None:
            return 0
        view, at, memory = window.view, window.at, self._machine.memory
        if self._is_wide:
            low, high, depth, most, taken, missed, freed, full = self._head.unpack_from(
                view, at
            )
            entry = high & ~0xF
            link = memory.links.link_in(entry) if entry else None
            if link is None or link & 0xF:
                return 0
            head = low & ~USHORT_MASK | (low - 1 & USHORT_MASK), link | high & 0xF
            words: tuple[int, ...] = head
        else:
            low, depth, most, taken, missed, freed, full = self._head.unpack_from(view, at)
            entry = low & ULONG_MASK
            link = memory.links.link_in(entry) if entry else None
            if link is None:
                return 0
            held = (low >> 32) - 1 & USHORT_MASK
            words = (link | held << 32 | low >> 48 << 48,)
        taken = taken + 1 & ULONG_MASK
        self._head.pack_into(view, at, *words, depth, most, taken, missed, freed, full)
        return int(entry)

    def give(self, entry: int) -> bool:
        """A hit of ExFreeToLookasideListEx, on the words where they lie; see `take`.

        Returns:
            Whether the entry is on the list now; else nothing was touched.
        """
        window = self._open_window()
        # An entry whose link lies in the list itself: the order of the writes matters.
        if window is None or -8 < entry - self.address < self._head_size:
            return False
        view, at, memory = window.view, window.at, self._machine.memory
        low, *second, depth, most, taken, missed, freed, full = self._head.unpack_from(view, at)
        if self._is_wide:
            held, first = low & USHORT_MASK, second[0] & ~0xF
            if held >= depth or held == USHORT_MASK or entry & 0xF:
                return False
            if not memory.write_link(entry, memory.slot_at(first)):
                return False
            words: tuple[int, ...] = (
                (held + 1 | (low >> 16) + 1 << 16) & _WORD_MASK,
                entry | second[0] & 0xF,
            )
        else:
            held, first = low >> 32 & USHORT_MASK, low & ULONG_MASK
            if held >= depth or held == USHORT_MASK:
                return False
            if not memory.write_link(entry, memory.slot_at(first)):
                return False
            words = (entry | held + 1 << 32 | ((low >> 48) + self._step & USHORT_MASK) << 48,)
        freed = freed + 1 & ULONG_MASK
        self._head.pack_into(view, at, *words, depth, most, taken, missed, freed, full)
        return True

    def _open_window(self) -> Window | None:
        machine, window = self._machine, self._window
        if not machine.is_plain or machine.touch_checks:
            return None
        if window is None or not window.holds():
            window = self._window = machine.memory.window(self.address, self._head_size)
        return window

    def look(self) -> bytes:
        """See the structure as a debugger does, which never stops the machine.

        Raises:
            LookasideSimError: its memory is gone.
        """
        seen = self._machine.memory.peek_bytes(self.address, self.size)
        if seen is None:
            raise LookasideSimError(
                f"the memory of the lookaside list at {self.address:#x} is gone: nothing is"
                " mapped there any more"
            )
        return seen

    def peek(self) -> ListFields | None:
        """The fields as they lie there now, None where nothing is mapped; never raises."""
        arch = self._machine.arch
        image = self._machine.memory.peek_bytes(self.address, arch.lookaside_size)
        return None if image is None else PlainFields.of_image(arch, image)

    def fields(self) -> ListFields:
        """The fields as they lie there now."""
        return PlainFields.of_image(self._machine.arch, self.look())


def place_at(machine: Machine, pool: Pool, address: int, size: int) -> InMemory | None:
    """Decide whether a structure lies in a pool block or is driver data of its own.

    Args:
        machine: whose memory.
        pool: its pools.
        address: where the structure shall lie.
        size: bytes of it.

    Returns:
        Where in somebody else's memory it lies, None for data of its own.

    Raises:
        ValueError: it cannot lie there. x86 takes any alignment.
    """
    alignment = machine.arch.lookaside_alignment
    if machine.arch.next_entry_lost_bits and address % alignment:
        raise ValueError(
            f"address {address:#x}: a LOOKASIDE_LIST_EX is aligned to {alignment} bytes"
        )
    region = machine.memory.region_at(address)
    if region is not None:
        if address + size > region.end or not region.writable:
            raise ValueError(
                f"address {address:#x}: the {size:#x} bytes there are not inside one region"
                " that can be written"
            )
        return InMemory(machine, address, size)
    if pool.descriptor_at(address) is None:
        return None
    block = pool.find(address)
    if block is None or address + size > block.address + block.size:
        raise ValueError(
            f"address {address:#x}: the {size:#x} bytes there are not"
            " inside one live pool block"
        )
    return InMemory(machine, address, size)
