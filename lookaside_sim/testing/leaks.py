"""Find out what a test left behind, and where it came from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final, Self, TypeAlias

import attrs

from lookaside_sim import windbg
from lookaside_sim.errors import made_again
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FreeEntry,
    InitializeList,
    ListCall,
    is_inside_list_call,
)
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.machine.call_site import is_skipped
from lookaside_sim.machine.calls import Call
from lookaside_sim.machine.program import Program
from lookaside_sim.pool.calls import AllocateBlock, FreeBlock
from lookaside_sim.system.calls import (
    AllocateIrp,
    AllocateMdl,
    FreeIrp,
    FreeMdl,
)
from lookaside_sim.system.io import IoLists
from lookaside_sim.testing.ends import Ends

__all__ = ["Leak", "LeakError", "LeakTracker"]

_MOST_SITES: Final = 4
_RUNNERS: Final = frozenset({"_pytest", "pluggy", "pytest", "unittest", "hypothesis", "runpy"})
"""Packages that run tests, where a chain of callers ends."""


class LeakError(AssertionError):
    """Something is still allocated at the end.

    Args:
        leaks: what.
        report: the text.
    """

    def __init__(self, leaks: list[Leak], report: str) -> None:
        super().__init__(report)
        self.leaks = leaks

    def __reduce__(self) -> tuple[Any, ...]:
        # Text says all; a list is part of a machine, which stays where it is.
        leaks = [attrs.evolve(leak, lookaside=None) for leak in self.leaks]
        return made_again, (type(self), self.args, {**vars(self), "leaks": leaks})


@attrs.frozen
class Leak:
    """One thing left behind.

    Attributes:
        what: what it is, in words.
        where: file, line and function that made it, or empty where that is not known.
        lookaside: the list concerned, or None for a pool block, and in an error that was pickled.
        address: of the entry or block; None for a list that was not deleted.
        callers: the lines that called ``where``, innermost first.
    """

    what: str
    where: str = ""
    lookaside: LookasideList | None = None
    address: int | None = None
    callers: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.what}, from {self.where}" if self.where else self.what
        return "".join((text, *(f"\n      called from {each}" for each in self.callers)))


@attrs.frozen
class _Origin:
    lookaside: LookasideList | None
    size: int
    kind: str
    sites: tuple[_Site, ...]

    @property
    def where(self) -> str:
        """The line that made it."""
        return _shown(self.sites[0]) if self.sites else ""

    @property
    def callers(self) -> tuple[str, ...]:
        """The lines that called that one."""
        return tuple(map(_shown, self.sites[1:]))

    @property
    def of_size(self) -> str:
        """Its size in words, where it is known."""
        return f" of {self.size} bytes" if self.size else ""


class LeakTracker:
    """A listener of one kernel that remembers who allocated what.

    As a context manager it listens inside the block.

    Args:
        kernel: the machine.

    Attributes:
        kernel: the machine.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._stop: Callable[[], None] | None = None
        self._live: dict[int, _Origin] = {}
        self._freed: dict[int, tuple[_Origin, str]] = {}
        self._lists: dict[LookasideList, tuple[_Site, ...]] = {}
        self._before = self._outstanding()
        self._ends = Ends(kernel)

    def __enter__(self) -> Self:
        self._stop = self.kernel.listen(self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._stop is not None:
            self._stop()

    # --- the result ------------------------------------------------------------------------

    def leaks(self) -> list[Leak]:
        """What is allocated now and was not before; entries first, then blocks, then lists."""
        found = [
            Leak(
                f"entry {address:#x} of {origin.lookaside!r} was not freed"
                if origin.lookaside is not None
                else f"{origin.kind} {address:#x}{origin.of_size} was not freed",
                origin.where,
                origin.lookaside,
                address,
                origin.callers,
            )
            for address, origin in self._live.items()
        ]
        found.sort(key=lambda leak: leak.lookaside is None)
        found += [
            Leak(
                f"list {lookaside!r} was not deleted{_kept(lookaside)}",
                _shown(sites[0]) if sites else "",
                lookaside,
                callers=tuple(map(_shown, sites[1:])),
            )
            for lookaside, sites in self._lists.items()
            if lookaside.is_active
        ]
        if not found and self._outstanding() > self._before:
            # Somebody else listened meanwhile, or a list was deleted before its entries.
            blocks = self._outstanding() - self._before
            found.append(Leak(f"{blocks} pool blocks were not freed"))
        found += [Leak(what, where) for what, where in self._ends.left()]
        return found

    @property
    def lists(self) -> list[LookasideList]:
        """The lists that were initialized and not deleted."""
        return list(self._lists)

    def describe(self, address: int) -> str | None:
        """Tell where an address was allocated and freed last.

        Args:
            address: of an entry or a pool block.

        Returns:
            A sentence; None for an address nobody allocated.
        """
        if address in self._live:
            origin, freed = self._live[address], ""
        elif address in self._freed:
            origin, freed = self._freed[address]
        else:
            return None
        what = f"an entry of {origin.lookaside!r}" if origin.lookaside else f"a {origin.kind}"
        size = f", {origin.size} bytes" if origin.size else ""
        text = f"{address:#x}: {what}{size}, allocated at {origin.where}"
        return f"{text}, freed at {freed}" if freed else text

    def report(self, leaks: list[Leak]) -> str:
        """Put leaks into words, with the debugger's view of the lists concerned."""
        lists = dict.fromkeys(leak.lookaside for leak in leaks if leak.lookaside is not None)
        return "\n".join(
            [
                f"{len(leaks)} leaked on {self.kernel!r}:",
                *(f"  {leak}" for leak in leaks),
                *(f"\n{windbg.lookaside(each)}" for each in lists),
            ]
        )

    def check(self) -> None:
        """Ask for a clean end.

        Raises:
            LeakError: something was left behind.
        """
        leaks = self.leaks()
        if leaks:
            raise LeakError(leaks, self.report(leaks))

    def _outstanding(self) -> int:
        """Live blocks, without the IRPs and MDLs that were freed and wait on NT's lists."""
        blocks = sum(
            row.nonpaged_allocs - row.nonpaged_frees + row.paged_allocs - row.paged_frees
            for row in self.kernel.pool.rows().values()
        )
        waiting = sum(
            each.held for each in self.kernel.balance_set.built_in if isinstance(each, IoLists)
        )
        return blocks - waiting - self.kernel.references.blocks

    def _forget(self, address: int) -> None:
        origin = self._live.pop(address, None)
        if origin is not None:
            sites = self._sites()
            self._freed[address] = origin, _shown(sites[0]) if sites else ""

    def _sites(self) -> tuple[_Site, ...]:
        return _sites(self.kernel.machine.program)

    # --- what it hears ---------------------------------------------------------------------

    def _hear(self, call: Call) -> None:
        if not call.is_over or call.error is not None or is_inside_list_call(call):
            return
        if isinstance(call, AllocateBlock):
            if call.result is not None:
                kind = f"{windbg.pool_type_name(int(call.pool_type))} {call.tag!s} block"
                self._live[call.result] = _Origin(None, call.size, kind, self._sites())
        elif isinstance(call, AllocateEntry):
            if call.result is not None:
                lookaside = _list_of(call)
                seen = lookaside.peek()  # its allocate routine may have freed its memory
                size = 0 if seen is None else seen.size
                self._live[call.result] = _Origin(lookaside, size, "", self._sites())
        elif isinstance(call, (AllocateIrp, AllocateMdl)):
            if call.result:
                kind = "IRP" if isinstance(call, AllocateIrp) else "MDL"
                self._live[call.result] = _Origin(None, 0, kind, self._sites())
        elif isinstance(call, FreeBlock):
            self._forget(call.address)
        elif isinstance(call, FreeEntry):
            self._forget(call.entry)
        elif isinstance(call, FreeIrp):
            self._forget(call.irp)
        elif isinstance(call, FreeMdl):
            self._forget(call.mdl)
        elif isinstance(call, InitializeList):
            if not call.is_refused:
                self._lists[_list_of(call)] = self._sites()
        elif isinstance(call, DeleteList):
            self._lists.pop(_list_of(call), None)


def _list_of(call: ListCall) -> LookasideList:
    """The list of a call; programs call no others."""
    assert isinstance(call.lookaside, LookasideList)
    return call.lookaside


def _kept(lookaside: LookasideList) -> str:
    """What a list keeps, where that can be seen."""
    seen = lookaside.peek()
    if seen is None:
        return ", and its memory is gone"
    return f" and keeps {seen.current_depth} free entries"


_Site: TypeAlias = tuple[CodeType, int] | str
"""A line of the program; of code without Python frames in words."""


def _sites(program: Program) -> tuple[_Site, ...]:
    """The line of the program that made the call, and a few of those that called it.

    This package's own frames and those of helpers are skipped; what runs the test is none of its
    business.
    """
    if program.stack_provider is not None:
        return tuple(map(str, program.calling_stack()[:_MOST_SITES]))
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_skipped(frame):
        frame = frame.f_back
    found: list[_Site] = []
    while frame is not None and len(found) < _MOST_SITES:
        top = frame.f_globals.get("__name__", "").partition(".")[0]
        if found and top in _RUNNERS:
            break
        if not is_skipped(frame):
            found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


def _shown(site: _Site) -> str:
    if isinstance(site, str):
        return site
    code, line = site
    return f"{code.co_filename}:{line} in {code.co_qualname}"
