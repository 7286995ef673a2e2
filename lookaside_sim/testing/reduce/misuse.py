"""Replay a trace in which something is freed twice, as the program did that was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.calls import AllocateEntry, is_inside_list_call
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.machine.calls import Call
from lookaside_sim.pool.calls import AllocateBlock
from lookaside_sim.trace import Event, replay
from lookaside_sim.trace.replay import MICROSECONDS, Replay

__all__ = ["replay_with_misuse"]


def replay_with_misuse(events: Iterable[Event], kernel: Kernel | None = None) -> Replay:
    """Run every event of a trace; a free of what was freed before is one.

    `replay` takes such a trace for a wrong one. Here the address is freed again, to where it came
    from, which stops most machines.

    Args:
        events: the trace.
        kernel: the machine to run it on; None for a new one with the defaults.

    Returns:
        What was done; ``events`` does not count the frees of this kind.

    Raises:
        TraceError: as `replay`, but for such a free.
        BugCheck: the machine stopped.
    """
    machine = Kernel() if kernel is None else kernel
    allocated = _Allocated()
    stop = machine.listen(allocated.hear)
    try:
        return replay(_without_misuse(events, machine, allocated), machine)
    finally:
        stop()


class _Allocated:
    """What the last call that allocates returned."""

    address: int | None = None
    owner: LookasideList | None = None

    def hear(self, call: Call) -> None:
        if not call.is_over or is_inside_list_call(call):
            return
        if isinstance(call, AllocateEntry):
            # A replay makes no other lists.
            assert isinstance(call.lookaside, LookasideList)
            self.address, self.owner = call.result, call.lookaside
        elif isinstance(call, AllocateBlock):
            self.address, self.owner = call.result, None


def _without_misuse(
    events: Iterable[Event], kernel: Kernel, allocated: _Allocated
) -> Iterator[Event]:
    """The events that `replay` runs; the others are run here, when their turn comes."""
    # It asks for the next event when the last was run.
    freed: dict[int, tuple[int | None, LookasideList | None]] = {}
    live: dict[int, tuple[int | None, LookasideList | None]] = {}
    seconds = 0
    for event in events:
        if event.op == "free" and event.id in freed:
            address, owner = freed[event.id]
            passed = event.time // MICROSECONDS - seconds
            if passed > 0:
                # An event that sets the IRQL again changes nothing, and lets time pass.
                yield Event("irql", event.time, level=int(kernel.irql))
                seconds += passed
            if address is not None:
                again = kernel.pool.free if owner is None else owner.free
                again(address)
            continue
        allocated.address = None
        yield event
        seconds = max(seconds, event.time // MICROSECONDS)
        if event.id is None:
            continue
        if event.op == "alloc":
            freed.pop(event.id, None)
            live[event.id] = allocated.address, allocated.owner
        elif event.id in live:
            freed[event.id] = live.pop(event.id)
