"""The two system-wide lists of active lookaside lists, nonpaged and paged.

They are doubly linked through the ListEntry fields in simulated memory, so what corrupts
those fields corrupts the lists, and what the kernel then finds is what NT would find.

Source:
    docs/sources.md, lists sections 3 (insertion), 5 (removal) and 6 (the walk).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn, Protocol

from lookaside_sim.errors import InvariantError, LookasideSimError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.bugchecks import FAST_FAIL_CORRUPT_LIST_ENTRY, BugCheckCode


class Registered(Protocol):
    """A list, as the system-wide lists see it."""

    address: int
    name: str

    @property
    def next_entry(self) -> int | None:
        """ListEntry.Flink where the object knows it; None where memory must be asked."""

    @property
    def is_embedded(self) -> bool:
        """Whether the structure lies in memory that somebody else owns."""

    def adjust_depth(self, minimum_depth: int) -> bool:
        """One scan of the balance set manager; whether anything changed."""

    def disable(self) -> None:
        """Let the list hold nothing any more."""


class ListHead:
    """A LIST_ENTRY in the kernel's data: empty when it points at itself.

    Args:
        address: where it lies.
        pointer_size: bytes of a pointer.
        changed: called before the links change.
    """

    __slots__ = ("_changed", "_pointer_size", "address", "blink", "flink")

    def __init__(self, address: int, pointer_size: int, changed: Callable[[], None]) -> None:
        self.address = self.flink = self.blink = address
        self._pointer_size = pointer_size
        self._changed = changed

    @property
    def image_size(self) -> int:
        """Bytes of a LIST_ENTRY."""
        return 2 * self._pointer_size

    def store_image(self) -> bytes:
        """Flink, then Blink."""
        size = self._pointer_size
        return self.flink.to_bytes(size, "little") + self.blink.to_bytes(size, "little")

    def load_image(self, image: bytes) -> None:
        """Take both links over."""
        self._changed()
        size = self._pointer_size
        self.flink = int.from_bytes(image[:size], "little")
        self.blink = int.from_bytes(image[size:], "little")


class Registry:
    """The heads, and which `LookasideList` object stands for which ListEntry.

    Args:
        machine: the machine.
        over_memory: takes whatever lies at an address for a list, as code that follows a
            link does.

    Attributes:
        nonpaged: head of the nonpaged lists.
        paged: head of the paged lists.
    """

    __slots__ = (
        "_by_entry",
        "_machine",
        "_offset",
        "_over_memory",
        "_walked",
        "nonpaged",
        "paged",
    )

    def __init__(self, machine: Machine, over_memory: Callable[[int], Registered]) -> None:
        arch = machine.arch
        self._machine = machine
        self._over_memory = over_memory
        self._offset = arch.list_entry_offset
        self._by_entry: dict[int, Registered] = {}
        self._walked: dict[int, tuple[Registered, ...]] = {}
        start, size, changed = arch.lookaside_heads_start, arch.pointer_size, self.forget_walks
        self.nonpaged = ListHead(start, size, changed)
        self.paged = ListHead(start + 0x40, size, changed)
        machine.memory.attach(self.nonpaged)
        machine.memory.attach(self.paged)

    def insert(self, lookaside: Registered, *, paged: bool) -> None:
        """InsertTailList: append a list, checking the old end points back at the head.

        Under the spin lock of its system-wide list, so that a link which leads nowhere is 0xA.
        """
        self._machine.locked = True
        try:
            self._insert(lookaside, paged)
        finally:
            self._machine.locked = False

    def _insert(self, lookaside: Registered, paged: bool) -> None:
        memory = self._machine.memory
        size = self._machine.arch.pointer_size
        head = self.paged if paged else self.nonpaged
        entry = lookaside.address + self._offset
        last = head.blink
        self.forget_walks()
        back = memory.read_pointer(last)
        if back != head.address:
            self._fail(head.address, f"the last entry, {last:#x}, points on to {back:#x}")
        memory.write_pointer(entry, head.address)
        memory.write_pointer(entry + size, last)
        memory.write_pointer(last, entry)
        head.blink = entry
        self._by_entry[entry] = lookaside

    def remove(self, lookaside: Registered) -> None:
        """RemoveEntryList: unlink a list, checking that both neighbors point at it.

        Under the spin lock, likewise.
        """
        self._machine.locked = True
        try:
            self._remove(lookaside)
        finally:
            self._machine.locked = False

    def _remove(self, lookaside: Registered) -> None:
        memory = self._machine.memory
        size = self._machine.arch.pointer_size
        entry = lookaside.address + self._offset
        self.forget_walks()
        flink = memory.read_pointer(entry)
        blink = memory.read_pointer(entry + size)
        last = (1 << self._machine.arch.address_bits) - 1  # above it addresses begin anew
        for neighbor, back in (
            (flink, memory.read_pointer(flink + size & last)),
            (blink, memory.read_pointer(blink)),
        ):
            if back != entry:
                self._fail(
                    entry,
                    f"its neighbor {neighbor:#x} points at {back:#x}; was the lookaside list"
                    f" at {lookaside.address:#x} deleted before, or never initialized?",
                )
        memory.write_pointer(blink, flink)
        memory.write_pointer(flink + size & last, blink)
        self._by_entry.pop(entry, None)

    def holds(self, lookaside: Registered) -> bool:
        """Whether a list at this list's address was inserted and not removed."""
        return lookaside.address + self._offset in self._by_entry

    def all(self) -> Iterator[Registered]:
        """The active lists, in order of initialization, whatever the links say."""
        return iter(self._by_entry.values())

    def at(self, address: int) -> Registered | None:
        """The active list at an address."""
        return self._by_entry.get(address + self._offset)

    def active(self) -> list[Registered]:
        """The lists as NT finds them, touching their links: nonpaged, then paged."""
        return [*self.walk(self.nonpaged), *self.walk(self.paged)]

    def look(self) -> list[Registered]:
        """The lists as a debugger finds them: nonpaged, then paged, each once.

        Where the links lead to no memory, or into a ring, is the end; nothing stops.
        """
        return [*self._look_along(self.nonpaged), *self._look_along(self.paged)]

    def _look_along(self, head: ListHead) -> Iterator[Registered]:
        peek = self._machine.memory.peek_pointer
        last = (1 << self._machine.arch.address_bits) - 1
        entry, seen = head.flink, {head.address}
        while entry not in seen:
            seen.add(entry)
            address = entry - self._offset & last
            lookaside = self._by_entry.get(entry)
            next_entry = peek(entry) if lookaside is None else lookaside.next_entry
            if lookaside is None and next_entry is not None:
                lookaside = self._over_memory(address)
            if lookaside is not None:
                yield lookaside
            if next_entry is None:
                next_entry = peek(entry)
            if next_entry is None:
                return
            entry = next_entry

    def check(self) -> None:
        """Verify that the links lead through the active lists, forward and back; looks only.

        Raises:
            InvariantError: they do not.
        """
        found: set[int] = set()
        for head in (self.nonpaged, self.paged):
            found.update(self._checked(head))
        lost = [each for entry, each in self._by_entry.items() if entry not in found]
        if lost:
            raise InvariantError(
                f"the active lookaside list at {lost[0].address:#x} is on no system-wide list"
            )

    def _checked(self, head: ListHead) -> Iterator[int]:
        """The entries of a sound system-wide list."""
        peek = self._machine.memory.peek_pointer
        size = self._machine.arch.pointer_size
        last = (1 << self._machine.arch.address_bits) - 1
        before, entry = head.address, head.flink
        seen: set[int] = set()
        while entry != head.address:
            if entry in seen or peek(entry + size & last) != before:
                raise InvariantError(
                    f"the LIST_ENTRY at {entry:#x} does not point back at {before:#x}, which"
                    f" points at it, on the system-wide list at {head.address:#x}"
                )
            seen.add(entry)
            yield entry
            before, entry = entry, peek(entry) or 0
        if head.blink != before:
            raise InvariantError(
                f"the system-wide list at {head.address:#x} ends at {before:#x}, and its head"
                f" points back at {head.blink:#x}"
            )

    def embedded(self) -> Iterator[Registered]:
        """The active lists whose structure lies in a pool block."""
        return (each for each in self._by_entry.values() if each.is_embedded)

    def forget_walks(self) -> None:
        """The links may have changed: follow them again the next time."""
        self._walked.clear()

    def walk(self, head: ListHead) -> Iterable[Registered]:
        """The lists as the forward links give them.

        A walk is remembered until a link changes, as long as all of its links are where only
        `forget_walks` callers can change them.

        Raises:
            BugCheck: PAGE_FAULT_IN_NONPAGED_AREA where a link leads to unmapped memory.
            LookasideSimError: the links form a ring that does not come back to the head. On
                NT the walking thread would never end.
        """
        walked = self._walked.get(head.address)
        return self._follow(head) if walked is None else walked

    def _follow(self, head: ListHead) -> Iterator[Registered]:
        """Follow the links, each read after its list was yielded."""
        known = self._by_entry
        walked: list[Registered] | None = []
        read_pointer = self._machine.memory.read_pointer
        steps = 0
        seen: set[int] = set()
        entry = head.flink
        while entry != head.address:
            steps += 1
            if steps > len(known):
                if entry in seen:
                    raise LookasideSimError(
                        f"the system-wide list at {head.address:#x} runs in a ring through"
                        f" {entry:#x}: a lookaside list was initialized twice"
                    )
                seen.add(entry)
            lookaside = known.get(entry)
            if lookaside is None:
                address = entry - self._offset & (1 << self._machine.arch.address_bits) - 1
                lookaside = self._over_memory(address)
            yield lookaside
            next_entry = lookaside.next_entry
            if next_entry is None:
                walked = None
                next_entry = read_pointer(entry)
            elif walked is not None:
                walked.append(lookaside)
            entry = next_entry
        if walked is not None:
            self._walked[head.address] = tuple(walked)

    def _fail(self, entry: int, why: str) -> NoReturn:
        self._machine.stop(
            BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE,
            (FAST_FAIL_CORRUPT_LIST_ENTRY, 0, 0, 0),
            f"the LIST_ENTRY at {entry:#x} is corrupt: {why}",
        )
