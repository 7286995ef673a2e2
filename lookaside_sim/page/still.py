"""A machine as it stands, as a recording without steps: what a notebook shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import attrs

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.layouts import PAGE_MASK, Architecture
from lookaside_sim.run import Block, Edit, State, Step
from lookaside_sim.run.state import block_at, look, look_at

_MOST_BLOCKS: Final = 20_000
"""Blocks that the page of a still machine has; those around free entries come first."""


class Shown(Protocol):
    """The machine of a recording, as far as a page asks it."""

    @property
    def arch(self) -> Architecture:
        """Its layouts."""

    @property
    def pool(self) -> Any:
        """Its pool manager."""


class Recording(Protocol):
    """What a page shows; a `Run` is one."""

    title: str

    @property
    def notes(self) -> Mapping[int, list[str]]:
        """Texts by position."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Texts of source files by path."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Step]: ...

    def machine(self, position: int) -> Shown:
        """The machine at a position."""

    def state(self, position: int) -> State:
        """What it shows there."""

    def all_edits(
        self, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, tuple[Edit, ...]]]:
        """What the steps changed."""


@attrs.frozen
class _Parts:
    """Enough of a machine to show a list."""

    arch: Architecture
    pool: Any


@attrs.define
class Still:
    """A recording without steps.

    Attributes:
        title: what is shown.
        shown: the machine.
        now: its state.
    """

    title: str
    shown: Shown
    now: State

    @classmethod
    def of_kernel(cls, kernel: Kernel, address: int | None = None) -> Still:
        """A whole machine.

        Args:
            kernel: the machine.
            address: an address whose page is to be there, whatever is left out.
        """
        now = look(kernel, lambda each: block_at(kernel, each, None))
        first = {entry & ~PAGE_MASK for each in now.lists.values() for entry in each.entries}
        if address is not None:
            first.add(address & ~PAGE_MASK)
        if len(now.blocks) > _MOST_BLOCKS:
            order = sorted(now.blocks, key=lambda each: each & ~PAGE_MASK not in first)
            now.blocks = {each: now.blocks[each] for each in sorted(order[:_MOST_BLOCKS])}
        return cls(repr(kernel), kernel, now)

    @classmethod
    def of_list(cls, lookaside: LookasideList) -> Still:
        """A list, and the pages that its free entries lie in."""
        seen = look_at(lookaside)
        now = State(machine={})
        if seen is not None:
            now.lists[lookaside.address] = seen
            pages = dict.fromkeys(entry & ~PAGE_MASK for entry in seen.entries)
            now.blocks = dict(_blocks_of(lookaside.pool, pages))
        return cls(repr(lookaside), _Parts(lookaside.arch, lookaside.pool), now)

    @property
    def notes(self) -> dict[int, list[str]]:
        """None."""
        return {}

    @property
    def sources(self) -> dict[str, str]:
        """None."""
        return {}

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Step]:
        return iter(())

    def machine(self, position: int) -> Shown:
        """The machine itself: nothing is done with it."""
        return self.shown

    def state(self, position: int) -> State:
        """Its state."""
        return self.now

    def all_edits(
        self, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, tuple[Edit, ...]]]:
        """Nothing changes."""
        return iter(())


def _blocks_of(pool: Any, pages: Iterable[int]) -> Iterator[tuple[int, Block]]:
    """The live blocks of some pages."""
    for page in pages:
        at = page
        while at < page + PAGE_MASK:
            found = pool.find(at)
            if found is not None:
                yield found.address, Block(found.size, found.tag, found.pool_type)
                at = max(at, found.address + found.size)
            at += 8
