"""System threads: objects that are signaled when their routine is over.

Source:
    [doc] PsCreateSystemThread, PsTerminateSystemThread. Choice: nothing of a thread is in memory but its
    DISPATCHER_HEADER; it waits to run, as a work item does.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.system.dispatcher import THREAD, Dispatcher
from lookaside_sim.system.queues import Queues
from lookaside_sim.system.references import Object, References

_SIZE: Final = 0x80
"""Bytes of a thread object's body. Choice."""


class SystemThreads:
    """The system threads of one machine.

    Args:
        dispatcher: its dispatcher objects.
        references: its objects.
        queues: what waits to run.
        routines: whose addresses start routines have.
    """

    __slots__ = ("_dispatcher", "_queues", "_references", "_routines")

    def __init__(
        self,
        dispatcher: Dispatcher,
        references: References,
        queues: Queues,
        routines: Routines,
    ) -> None:
        self._dispatcher = dispatcher
        self._references = references
        self._queues = queues
        self._routines = routines

    def make(self, routine: int, context: int) -> Object | None:
        """Make a thread that waits to run, or None where there is no memory.

        Args:
            routine: address of its start routine.
            context: what that is called with.
        """
        made = self._references.make("Thread", "", _SIZE)
        if made is None:
            return None
        self._dispatcher.initialize(made.address, THREAD, _SIZE, 0)
        made.references += 1  # a thread that has not ended refers to itself
        over = partial(self._ended, made.address)
        self._queues.add("thread", made.address, self._routines.call, (routine, context), over)
        return made

    def _ended(self, thread: int) -> None:
        self._dispatcher.set_state(thread, 1, "ended")
        self._references.dereference(thread)
