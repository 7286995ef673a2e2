"""What can be held against an allocator without knowing which entries it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lookaside_sim.testing.conformance.backend import Backend
from lookaside_sim.testing.conformance.blocks import Block
from lookaside_sim.testing.conformance.contract import Contract
from lookaside_sim.testing.conformance.differences import Broken

__all__ = ["Observed"]

ROUNDS: Final = 300
"""Rounds of a load after which it takes no more memory. A hardened allocator that keeps freed
entries back for a while takes more in the first ones, and is right."""


class Observed:
    """Order, capacity, growth and plain counters of one allocator in one program.

    Args:
        contract: what is stated.
        backend: its memory.
        ordered: whether the order is looked at here.
    """

    def __init__(self, contract: Contract, backend: Backend, *, ordered: bool = True) -> None:
        self._contract = contract
        self._backend = backend
        self._live = 0
        self._most_live = 0
        self._most_held = 0
        self._rounds = 0
        self._most_this_round = 0
        self._size = 0
        self._emptied = False
        self._free: dict[int, Block] = {}  # in order of their free
        self._count = {"total_allocates": 0, "total_frees": 0}
        self._one_size = not contract.sized
        self._ordered = ordered and contract.order is not None

    def served(self, entry: int, size: int) -> None:
        """An entry was handed out.

        Args:
            entry: its address.
            size: its bytes.

        Raises:
            Broken: it is not the one whose turn it is, or it took memory that it should not.
        """
        self._count["total_allocates"] += 1
        self._live += 1
        if self._ordered:
            self._check_order(entry)
        capacity = self._contract.capacity
        self._most_this_round = max(self._most_this_round, self._live)
        if size != self._size:
            # Another kind of load, which may not fit into what another one left.
            self._size = size
            self._rounds = 0
            self._emptied = False
        if self._live > self._most_live:
            if capacity is not None and capacity is not True and self._live > capacity:
                raise Broken(
                    f"allocate() returned an entry although {capacity} are live, which is all"
                    " there are",
                    {"live entries": capacity},
                    {"live entries": self._live},
                )
            # A larger load than ever: what it takes is taken note of from here.
            self._most_live = self._live
            self._rounds = 0
            self._emptied = False
        self._check_growth()

    def _check_order(self, entry: int) -> None:
        free = self._free
        for gone in [each for each, block in free.items() if not self._backend.is_live(block)]:
            del free[gone]
        if not free:
            return
        lifo = self._contract.order == "lifo"
        due = next(reversed(free)) if lifo else next(iter(free))
        if entry != due:
            raise Broken(
                f"allocate() did not return the entry that was freed {'last' if lifo else 'first'}",
                {"allocate()": due},
                {"allocate()": entry},
            )
        del free[entry]

    def _check_growth(self) -> None:
        held = self._backend.held
        if held <= self._most_held:
            return
        if self._contract.grows is False and self._rounds > ROUNDS:
            raise Broken(
                f"the allocator takes more memory for a load of {self._most_live} that it"
                f" served more than {ROUNDS} times before",
                {"bytes of the backend": self._most_held},
                {"bytes of the backend": held},
            )
        self._most_held = held

    def refused(self, *, by_backend: bool) -> None:
        """None was handed out.

        Args:
            by_backend: whether the backend refused a request in this call.

        Raises:
            Broken: there must have been an entry.
        """
        self._count["total_allocates"] += 1
        if by_backend:
            return
        capacity = self._contract.capacity
        if not self._most_live:
            raise Broken(
                "allocate() returned None although no memory was ever refused",
                {"allocate()": "a new entry"},
                {"allocate()": None},
            )
        if capacity is None or not self._one_size:
            return
        if capacity is not True:
            if self._live < capacity:
                raise Broken(
                    f"allocate() returned None although only {self._live} of {capacity} entries"
                    " are live",
                    {"allocate()": "an entry"},
                    {"allocate()": None},
                )
        elif self._emptied and self._live < self._most_live:
            raise Broken(
                f"allocate() returned None although {self._most_live} entries were served at"
                " once, and everything was freed since",
                {"live entries": self._most_live},
                {"live entries": self._live},
            )

    def freed(self, entry: int, block: Block) -> None:
        """An entry was freed."""
        self._count["total_frees"] += 1
        self._live -= 1
        if self._ordered:
            self._free[entry] = block
        if not self._live:
            self._emptied = True
            # Rounds of a smaller load say nothing about this one.
            self._rounds += self._most_this_round == self._most_live
            self._most_this_round = 0

    def restart(self, live: int) -> None:
        """Calls were made that were not seen.

        Args:
            live: entries that live now.
        """
        self._free.clear()
        self._live = live
        self._most_live = max(self._most_live, live)
        self._most_this_round = live
        self._rounds = 0
        self._emptied = False

    def resized(self, grown: bool) -> None:
        """An entry has another size: loads before are not comparable any more."""
        if grown:
            self._rounds = 0
            self._emptied = False

    def flushed(self, kept: int) -> None:
        """The allocator was flushed.

        Args:
            kept: blocks of the allocator's own, taken when it was made.

        Raises:
            Broken: it kept entries although it promised to keep none.
        """
        self._free.clear()
        if self._contract.flush is None:
            return
        left = [block for block in self._backend.blocks.values() if not block.entries]
        if len(left) > kept:
            raise Broken(
                f"{len(left) - kept} of the backend's blocks with no live entry are still"
                " allocated after flush()",
                {"free blocks": kept},
                {"free blocks": len(left)},
            )

    def counters(self) -> Mapping[str, int]:
        """What the counters should be."""
        return {name: self._count[name] for name in self._contract.counters}
