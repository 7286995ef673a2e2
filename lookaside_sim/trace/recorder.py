"""Record what is done with a kernel as a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lookaside_sim.nt.types import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT,
    PoolTag,
    PoolType,
    TagLike,
)
from lookaside_sim.trace.format import Event, save
from lookaside_sim.trace.replay import MICROSECONDS

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel
    from lookaside_sim.lookaside import LookasideList

_FLAG_BITS = {
    PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE: EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE: EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
}
_INIT_TYPE_BITS = 0x3E7 | sum(int(bit) for bit in _FLAG_BITS)


class Recording:
    """The events so far; an `Observer` of one kernel, made by `record`.

    Time is the simulated one: every tick is a second.

    Attributes:
        events: what was recorded.
        left_out: what the format cannot say, in words: frees of addresses nobody allocated
            while recording or to a list they do not come from, and lists initialized before
            the recording or with custom routines.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.left_out: list[str] = []
        self._time = 0
        self._next_id = 1
        self._live: dict[int, tuple[int, LookasideList | None]] = {}
        self._names: dict[LookasideList, str] = {}

    def save(self, path: str | Path, source: str = "") -> None:
        """Write the events to a file; see `lookaside_sim.trace.save`."""
        save(path, self.events, source)

    def pool_allocated(
        self, address: int | None, pool_type: PoolType, size: int, tag: TagLike
    ) -> None:
        """Record an allocation from a pool."""
        identity = self._new_id(address, None)
        self._add(Event("alloc", self._time, identity, size, PoolTag(tag), pool_type))

    def pool_freed(self, address: int) -> None:
        """Record a free to a pool."""
        self._freed(address, None)

    def list_initialized(self, lookaside: LookasideList) -> None:
        """Record the initialization of a list."""
        why_not = _why_no_init_event_makes(lookaside)
        if why_not:
            self._names.pop(lookaside, None)
            self.left_out.append(f"init of {lookaside!r}: {why_not}")
            return
        name = self._names.get(lookaside)
        if name is None:
            taken = set(self._names.values())
            name = base = lookaside.name or "list"
            number = 2
            while name in taken:
                name, number = f"{base}-{number}", number + 1
            self._names[lookaside] = name
        pool_type, flags = lookaside.type, 0
        for bit, flag in _FLAG_BITS.items():
            if pool_type & bit:
                pool_type, flags = PoolType(int(pool_type) & ~bit), flag
        maximum = lookaside.maximum_depth
        self._add(
            Event(
                "init",
                self._time,
                size=lookaside.size,
                tag=lookaside.tag,
                pool=pool_type,
                list=name,
                flags=flags,
                depth=0 if maximum == EX_MAXIMUM_LOOKASIDE_DEPTH_BASE else maximum,
            )
        )

    def list_allocated(self, lookaside: LookasideList, entry: int | None) -> None:
        """Record an allocation from a list."""
        name = self._name(lookaside)
        if name is not None:
            self._add(Event("alloc", self._time, self._new_id(entry, lookaside), list=name))

    def list_freed(self, lookaside: LookasideList, entry: int) -> None:
        """Record a free to a list."""
        self._freed(entry, lookaside)

    def list_flushed(self, lookaside: LookasideList) -> None:
        """Record a flush."""
        name = self._name(lookaside)
        if name is not None:
            self._add(Event("flush", self._time, list=name))

    def list_deleted(self, lookaside: LookasideList) -> None:
        """Record a deletion."""
        name = self._name(lookaside)
        if name is not None:
            self._add(Event("delete", self._time, list=name))

    def ticked(self) -> None:
        """Let a second pass."""
        self._time += MICROSECONDS

    def finish(self, level: int) -> None:
        """End the recording: seconds after the last call need an event that carries them.

        Args:
            level: the IRQL now; an event that sets it again changes nothing.
        """
        if self._time > (self.events[-1].time if self.events else 0):
            self.irql_changed(level)

    def irql_changed(self, level: int) -> None:
        """Record a new IRQL."""
        self._add(Event("irql", self._time, level=level))

    def _add(self, event: Event) -> None:
        self.events.append(event)

    def _new_id(self, address: int | None, owner: LookasideList | None) -> int:
        identity = self._next_id
        self._next_id += 1
        if address is not None:
            self._live[address] = identity, owner
        return identity

    def _freed(self, address: int, owner: LookasideList | None) -> None:
        identity, came_from = self._live.pop(address, (0, owner))
        if not identity or came_from is not owner:
            self.left_out.append(f"free of {address:#x}, which was not allocated there")
            return
        self._add(Event("free", self._time, identity))

    def _name(self, lookaside: LookasideList) -> str | None:
        name = self._names.get(lookaside)
        if name is None:
            self.left_out.append(f"call on {lookaside!r}, initialized before the recording")
        return name


def _why_no_init_event_makes(lookaside: LookasideList) -> str:
    """Say what an init event has no field for, or nothing where it has all."""
    pool_type = int(lookaside.type)
    maximum = lookaside.maximum_depth
    if not lookaside.has_default_routines:
        return "custom routines"
    if lookaside.size < lookaside.arch.minimum_entry_size:
        return f"a size below {lookaside.arch.minimum_entry_size}"
    if pool_type & ~_INIT_TYPE_BITS or pool_type & 3 == 3 or pool_type & 24 == 24:
        return f"type {pool_type:#x}"
    if not EX_MAXIMUM_LOOKASIDE_DEPTH_BASE <= maximum <= EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT:
        return f"maximum depth {maximum}"
    return ""


@contextmanager
def record(kernel: Kernel) -> Iterator[Recording]:
    """Record every call on a kernel inside the ``with`` block.

    Args:
        kernel: the machine. Its lists take their slow path meanwhile.

    Yields:
        The recording, which stays when the block is left, also by a stop.
    """
    recording = Recording()
    kernel.observe(recording)
    try:
        yield recording
    finally:
        recording.finish(int(kernel.irql))
        kernel.observer = None
        if kernel.bugcheck is None:
            kernel.observe(None)
