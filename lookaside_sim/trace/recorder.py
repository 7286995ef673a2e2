"""Record what is done with a kernel as a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookaside_sim.errors import BugCheck, NtStatusError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
    is_inside_list_call,
)
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.on_memory import ListOnMemory
from lookaside_sim.machine.calls import Call, RaiseIrql
from lookaside_sim.nt.types import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT,
    PoolType,
)
from lookaside_sim.pool.calls import AllocateBlock, FreeBlock
from lookaside_sim.trace.format import Event, save
from lookaside_sim.trace.replay import MICROSECONDS

_FLAG_BITS = {
    PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE: EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE: EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
}
_INIT_TYPE_BITS = 0x3E7 | sum(int(bit) for bit in _FLAG_BITS)


class Recording:
    """The events so far, made by `record`.

    Time is the simulated one: every second that passed on the machine is one. What a list's
    custom routine does belongs to the list's call.

    Args:
        kernel: the machine; `hear` is the listener to put on it.

    Attributes:
        events: what was recorded.
        left_out: what the format cannot say, in words: frees of addresses nobody allocated
            while recording or to a list they do not come from, and lists initialized before
            the recording or with custom routines.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.events: list[Event] = []
        self.left_out: list[str] = []
        self._kernel = kernel
        self._began = kernel.seconds
        self._level = int(kernel.irql)
        self._next_id = 1
        self._live: dict[int, tuple[int, ListOnMemory | None]] = {}
        self._names: dict[ListOnMemory, str] = {}

    def save(self, path: str | Path, source: str = "") -> None:
        """Write the events to a file; see `lookaside_sim.trace.save`."""
        save(path, self.events, source)

    def hear(self, call: Call) -> None:
        """Record a call that is over, unless it did not take effect.

        What stopped the machine is recorded too: replayed, it stops another.
        """
        if not call.is_over or is_inside_list_call(call):
            return
        if call.error is None or isinstance(call.error, (NtStatusError, BugCheck)):
            self._record(call)
        self._record_irql()

    def finish(self) -> None:
        """End the recording: seconds after the last call need an event that carries them."""
        if self._time > (self.events[-1].time if self.events else 0):
            # An event that sets the IRQL again changes nothing.
            self._add(Event(RaiseIrql.word, self._time, level=self._level))

    @property
    def _time(self) -> int:
        return (self._kernel.seconds - self._began) * MICROSECONDS

    def _record(self, call: Call) -> None:
        if isinstance(call, AllocateBlock):
            identity = self._new_id(call.result, None)
            self._add(
                Event(call.word, self._time, identity, call.size, call.tag, call.pool_type)
            )
        elif isinstance(call, FreeBlock):
            self._freed(call.address, None)
        elif isinstance(call, InitializeList):
            if not call.is_refused:
                self._initialized(call.lookaside)
        elif isinstance(call, AllocateEntry):
            name = self._name(call.lookaside)
            if name is not None:
                identity = self._new_id(call.result, call.lookaside)
                self._add(Event(call.word, self._time, identity, list=name))
        elif isinstance(call, FreeEntry):
            self._freed(call.entry, call.lookaside)
        elif isinstance(call, (FlushList, DeleteList)):
            name = self._name(call.lookaside)
            if name is not None:
                self._add(Event(call.word, self._time, list=name))

    def _record_irql(self) -> None:
        level = int(self._kernel.irql)
        if level != self._level:
            self._level = level
            self._add(Event(RaiseIrql.word, self._time, level=level))

    def _initialized(self, lookaside: ListOnMemory) -> None:
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
                InitializeList.word,
                self._time,
                size=lookaside.size,
                tag=lookaside.tag,
                pool=pool_type,
                list=name,
                flags=flags,
                depth=0 if maximum == EX_MAXIMUM_LOOKASIDE_DEPTH_BASE else maximum,
            )
        )

    def _add(self, event: Event) -> None:
        self.events.append(event)

    def _new_id(self, address: int | None, owner: ListOnMemory | None) -> int:
        identity = self._next_id
        self._next_id += 1
        if address is not None:
            self._live[address] = identity, owner
        return identity

    def _freed(self, address: int, owner: ListOnMemory | None) -> None:
        identity, came_from = self._live.pop(address, (0, owner))
        if not identity or came_from is not owner:
            self.left_out.append(f"free of {address:#x}, which was not allocated there")
            return
        self._add(Event(FreeEntry.word, self._time, identity))

    def _name(self, lookaside: ListOnMemory) -> str | None:
        name = self._names.get(lookaside)
        if name is None:
            self.left_out.append(f"call on {lookaside!r}, initialized before the recording")
        return name


def _why_no_init_event_makes(lookaside: ListOnMemory) -> str:
    """Say what an init event has no field for, or nothing where it has all."""
    pool_type = int(lookaside.type)
    maximum = lookaside.maximum_depth
    if isinstance(lookaside, LookasideList) and not lookaside.has_default_routines:
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

    Raises:
        BugCheck: the machine has stopped already.
    """
    kernel.check_running()
    recording = Recording(kernel)
    stop = kernel.listen(recording.hear)
    try:
        yield recording
    finally:
        recording.finish()
        stop()
