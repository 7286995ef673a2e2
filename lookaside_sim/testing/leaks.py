"""Find out what a test left behind, and where it came from."""

from __future__ import annotations

import sys
from typing import Final, Self

import attrs

from lookaside_sim import windbg
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.machine.calls import Observer
from lookaside_sim.nt.types import PoolTag, PoolType, TagLike

__all__ = ["Leak", "LeakError", "LeakTracker"]

_PACKAGE: Final = __name__.partition(".")[0]


class LeakError(AssertionError):
    """Something is still allocated at the end.

    Args:
        leaks: what.
        report: the text.
    """

    def __init__(self, leaks: list[Leak], report: str) -> None:
        super().__init__(report)
        self.leaks = leaks


@attrs.frozen
class Leak:
    """One thing left behind.

    Attributes:
        what: what it is, in words.
        where: file, line and function that made it, or empty where that is not known.
        lookaside: the list concerned, or None for a pool block.
        address: of the entry or block; None for a list that was not deleted.
    """

    what: str
    where: str = ""
    lookaside: LookasideList | None = None
    address: int | None = None

    def __str__(self) -> str:
        return f"{self.what}, from {self.where}" if self.where else self.what


@attrs.frozen
class _Origin:
    lookaside: LookasideList | None
    size: int
    kind: str
    where: str


class LeakTracker:
    """An observer of one kernel that remembers who allocated what.

    As a context manager it listens inside the block.

    Args:
        kernel: the machine.
        then: another observer that shall hear the same.

    Attributes:
        kernel: the machine.
        then: the other observer.
    """

    def __init__(self, kernel: Kernel, then: Observer | None = None) -> None:
        self.kernel = kernel
        self.then = then
        self._live: dict[int, _Origin] = {}
        self._freed: dict[int, tuple[_Origin, str]] = {}
        self._lists: dict[LookasideList, str] = {}
        self._before = self._outstanding()

    def __enter__(self) -> Self:
        self.kernel.observe(self)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.kernel.observer is self and self.kernel.bugcheck is None:
            self.kernel.observe(None)

    # --- the result ------------------------------------------------------------------------

    def leaks(self) -> list[Leak]:
        """What is allocated now and was not before; entries first, then blocks, then lists."""
        found = [
            Leak(
                f"entry {address:#x} of {origin.lookaside!r} was not freed"
                if origin.lookaside is not None
                else f"{origin.kind} block {address:#x} of {origin.size} bytes was not freed",
                origin.where,
                origin.lookaside,
                address,
            )
            for address, origin in self._live.items()
        ]
        found.sort(key=lambda leak: leak.lookaside is None)
        found += [
            Leak(
                f"list {lookaside!r} was not deleted and keeps"
                f" {lookaside.current_depth} free entries",
                where,
                lookaside,
            )
            for lookaside, where in self._lists.items()
            if lookaside.is_active
        ]
        if not found and self._outstanding() > self._before:
            # Somebody else listened meanwhile, or a list was deleted before its entries.
            blocks = self._outstanding() - self._before
            found.append(Leak(f"{blocks} pool blocks were not freed"))
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
        what = (
            f"an entry of {origin.lookaside!r}"
            if origin.lookaside
            else f"a {origin.kind} block"
        )
        text = f"{address:#x}: {what}, {origin.size} bytes, allocated at {origin.where}"
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
        return sum(
            row.nonpaged_allocs - row.nonpaged_frees + row.paged_allocs - row.paged_frees
            for row in self.kernel.pool.rows().values()
        )

    def _forget(self, address: int) -> None:
        origin = self._live.pop(address, None)
        if origin is not None:
            self._freed[address] = origin, _caller()

    # --- Observer --------------------------------------------------------------------------

    def pool_allocated(
        self, address: int | None, pool_type: PoolType, size: int, tag: TagLike
    ) -> None:
        """Remember a block."""
        if address is not None:
            kind = f"{windbg.pool_type_name(int(pool_type))} {PoolTag(tag)!s}"
            self._live[address] = _Origin(None, size, kind, _caller())
        if self.then is not None:
            self.then.pool_allocated(address, pool_type, size, tag)

    def pool_freed(self, address: int) -> None:
        """Forget a block."""
        self._forget(address)
        if self.then is not None:
            self.then.pool_freed(address)

    def list_initialized(self, lookaside: LookasideList) -> None:
        """Remember a list."""
        self._lists[lookaside] = _caller()
        if self.then is not None:
            self.then.list_initialized(lookaside)

    def list_allocated(self, lookaside: LookasideList, entry: int | None) -> None:
        """Remember an entry."""
        if entry is not None:
            self._live[entry] = _Origin(lookaside, lookaside.size, "", _caller())
        if self.then is not None:
            self.then.list_allocated(lookaside, entry)

    def list_freed(self, lookaside: LookasideList, entry: int) -> None:
        """Forget an entry."""
        self._forget(entry)
        if self.then is not None:
            self.then.list_freed(lookaside, entry)

    def list_flushed(self, lookaside: LookasideList) -> None:
        """Only pass it on."""
        if self.then is not None:
            self.then.list_flushed(lookaside)

    def list_deleted(self, lookaside: LookasideList) -> None:
        """Forget a list."""
        self._lists.pop(lookaside, None)
        if self.then is not None:
            self.then.list_deleted(lookaside)

    def ticked(self) -> None:
        """Only pass it on."""
        if self.then is not None:
            self.then.ticked()

    def irql_changed(self, level: int) -> None:
        """Only pass it on."""
        if self.then is not None:
            self.then.irql_changed(level)


def _caller() -> str:
    """The place outside this package that made the call."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
