"""The calls of the list routines, as onlookers see them."""

from __future__ import annotations

from typing import ClassVar

import attrs

from lookaside_sim.lookaside.initialize import ListSettings
from lookaside_sim.lookaside.on_memory import ListOnMemory
from lookaside_sim.machine.calls import Call
from lookaside_sim.nt.types import NtStatus


@attrs.define(eq=False, repr=False)
class ListCall(Call):
    """A call on one list.

    Attributes:
        lookaside: the list.
    """

    lookaside: ListOnMemory


@attrs.define(eq=False, repr=False)
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


@attrs.define(eq=False, repr=False)
class AllocateEntry(ListCall):
    """An entry is asked for. The result is its address, None for NULL."""

    word: ClassVar[str] = "alloc"

    @property
    def is_refused(self) -> bool:
        """Whether there was none."""
        return self.result is None


@attrs.define(eq=False, repr=False)
class FreeEntry(ListCall):
    """An entry is given back.

    Attributes:
        entry: its address; 0 for NULL.
    """

    word: ClassVar[str] = "free"
    entry: int


@attrs.define(eq=False, repr=False)
class FlushList(ListCall):
    """The free entries are given back."""

    word: ClassVar[str] = "flush"


@attrs.define(eq=False, repr=False)
class DeleteList(ListCall):
    """A list is deleted."""

    word: ClassVar[str] = "delete"


@attrs.define(eq=False, repr=False)
class ResetCounters(ListCall):
    """The debugger zeroes a list's counters."""

    word: ClassVar[str] = "reset"


@attrs.define(eq=False, repr=False)
class SetDepth(ListCall):
    """The debugger writes a list's depth.

    Attributes:
        depth: entries.
    """

    word: ClassVar[str] = "depth"
    depth: int


@attrs.define(eq=False, repr=False)
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
