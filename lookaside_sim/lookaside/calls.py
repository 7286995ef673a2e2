"""The calls of the list routines, as onlookers see them."""

from __future__ import annotations

from typing import ClassVar

from lookaside_sim.lookaside.initialize import ListSettings
from lookaside_sim.lookaside.on_memory import ListOnMemory
from lookaside_sim.machine.calls import Call
from lookaside_sim.nt.types import NtStatus


class ListCall(Call):
    """A call on one list.

    Attributes:
        lookaside: the list.
    """

    lookaside: ListOnMemory


class InitializeList(ListCall):
    """A list is initialized. The result is the status.

    Attributes:
        size: bytes of an entry, as asked for; no minimum applied.
        settings: what the arguments come to, or the status that refuses them.
        is_older: whether a routine of the older N and Paged families does it.
    """

    word: ClassVar[str] = "init"
    size: int
    settings: ListSettings | NtStatus
    is_older: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether the arguments were refused."""
        return isinstance(self.settings, NtStatus)


class AllocateEntry(ListCall):
    """An entry is asked for. The result is its address, None for NULL."""

    word: ClassVar[str] = "alloc"

    @property
    def is_refused(self) -> bool:
        """Whether there was none."""
        return self.result is None


class FreeEntry(ListCall):
    """An entry is given back.

    Attributes:
        entry: its address; 0 for NULL.
    """

    word: ClassVar[str] = "free"
    entry: int


class FlushList(ListCall):
    """The free entries are given back."""

    word: ClassVar[str] = "flush"


class DeleteList(ListCall):
    """A list is deleted."""

    word: ClassVar[str] = "delete"


class ResetCounters(ListCall):
    """The debugger zeroes a list's counters."""

    word: ClassVar[str] = "reset"


class SetDepth(ListCall):
    """The debugger writes a list's depth.

    Attributes:
        depth: entries.
    """

    word: ClassVar[str] = "depth"
    depth: int


class SetMinimumDepth(Call):
    """ExMinimumLookasideDepth is set, for all lists.

    Attributes:
        depth: entries.
    """

    word: ClassVar[str] = "minimum"
    depth: int


def is_inside_list_call(call: Call) -> bool:
    """Whether a call was made in a list's custom routine, and so belongs to the list's call."""
    outer = call.outer
    while outer is not None and not isinstance(outer, ListCall):
        outer = outer.outer
    return outer is not None
