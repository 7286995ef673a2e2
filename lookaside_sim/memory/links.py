"""The link cache: which words of pool memory are kept outside of it, and until when.

A lookaside list keeps its links in the first pointer of the entries. Computing where that is
would be most of the price of a hit, so `LinkCache.links` maps the address of an entry to that
one word, for entries the lists are using. It is a write-back cache: while an address is a key,
the word there is the cached one, and the bytes of the arena are stale.

It stays exact because of one rule, kept here: only addresses at which a live pool block starts
are cached, in pages whose headers nobody but the pool manager has written. The pool manager
drops the word of a block it frees.

* A word is *cached* while its address is a key of `links`.
* It is *settled* when it is put back into its page; a write settles what it overlaps.
* A page is *exposed* when a write reached anything but the inside of one live block: its words
  are settled, and from then on nothing in it is cached, since its headers may be anything.
* A reader *lays* the cached words *over* the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Flag, auto
from typing import Final

from lookaside_sim.memory.arena import BLOCKS, EXPOSED, Arena, Arenas
from lookaside_sim.memory.live import LiveBlocks
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE, Architecture


class Uncached(Flag):
    """Why nothing is cached; several reasons can hold at once."""

    LISTENED_TO = auto()
    """Somebody is told of every call, so no list may take its hot path. Can end."""
    STOPPED = auto()
    """The machine has stopped. For good."""
    BYTES_ARE_TRUE = auto()
    """Somebody reads and writes the bytes where they lie. For good."""


FOR_GOOD: Final = Uncached.STOPPED | Uncached.BYTES_ARE_TRUE
"""Reasons that never end."""


class LinkCache:
    """The cached words of one address space.

    Args:
        arch: the machine.
        arenas: its pools' memory.
        blocks: which blocks there are live.

    Attributes:
        links: address of an entry to the word stored there.
        reasons: why nothing is cached; none while words may be.
    """

    __slots__ = (
        "_arenas",
        "_blocks",
        "_may_cache",
        "_pointer_size",
        "_unit",
        "links",
        "reasons",
    )

    def __init__(self, arch: Architecture, arenas: Arenas, blocks: LiveBlocks) -> None:
        self._arenas = arenas
        self._blocks = blocks
        self._pointer_size = arch.pointer_size
        self._unit = arch.pool_header.unit
        self.links: dict[int, int] = {}
        self.reasons = Uncached(0)
        self._may_cache = True  # the truth of a Flag is a Python call

    def cache(self, entry: int | None) -> bool:
        """Cache the word at an address if a live block starts there; the word stays.

        A list takes links from the cache as they are. Whoever asks must be about to write a
        link, or know that the word is one that a list's header can hold.

        Returns:
            Whether the word is cached now.
        """
        if entry in self.links:
            return True
        if not self._may_cache or type(entry) is not int or entry < 0:
            return False
        found = self._word_at(entry)
        if found is None:
            return False
        words, at = found
        self.links[entry] = words[at]
        return True

    def write(self, entry: int, word: int) -> bool:
        """Write the word at an address if a live block starts there; cache it if words may be.

        Cost: less than to cache the word first, or to find out what the page is.

        Returns:
            Whether it is written.
        """
        if entry in self.links:
            self.links[entry] = word
            return True
        found = self._word_at(entry)
        if found is None:
            return False
        if self._may_cache:
            self.links[entry] = word
        else:
            words, at = found
            words[at] = word
        return True

    def _word_at(self, entry: int) -> tuple[memoryview, int] | None:
        """The words of an arena and which one it is, where a live block starts."""
        found = self._arenas.page_at(entry)
        if found is None:
            return None
        arena, page = found
        if not self._blocks.start_at(arena, page, entry):
            return None
        return arena.words, (entry - arena.base) // self._pointer_size

    def stop(self, reason: Uncached) -> None:
        """Settle every word, and cache none as long as the reason holds."""
        self.reasons |= reason
        self._may_cache = False
        for entry in list(self.links):
            self._settle_word(entry)

    def resume(self, reason: Uncached) -> None:
        """Say that a reason holds no longer.

        Raises:
            ValueError: one that never ends.
        """
        if reason & FOR_GOOD:
            raise ValueError(f"reason {reason!r}: give {Uncached.LISTENED_TO!r}, which can end")
        self.reasons &= ~reason
        self._may_cache = not self.reasons

    def expose(self, arena: Arena, page: int) -> None:
        """From now on nothing in a page of blocks is cached: its headers may be anything."""
        if arena.states[page] != BLOCKS:
            return
        arena.states[page] = EXPOSED
        self.settle(arena.base + (page << PAGE_SHIFT), PAGE_SIZE)

    def prepare_write(self, arena: Arena, address: int, length: int) -> None:
        """Make a range within a page ready to be written where it lies.

        Exposes the page unless the range is inside one live block, and settles its words.
        """
        page = (address - arena.base) >> PAGE_SHIFT
        if arena.states[page] == BLOCKS and not self._blocks.one_holds(arena, address, length):
            self.expose(arena, page)
        if self.links:
            self.settle(address, length)

    def settle(self, address: int, size: int) -> None:
        """Settle the words that overlap a range."""
        for entry in list(self._overlapping(address, size)):
            self._settle_word(entry)

    def lay_over(self, data: bytes, address: int) -> bytes:
        """Lay the cached words that overlap a range over its bytes."""
        patched = bytearray(data)
        for entry in self._overlapping(address, len(data)):
            word = self.links[entry].to_bytes(self._pointer_size, "little")
            at = entry - address
            low, high = max(at, 0), min(at + len(word), len(data))
            patched[low:high] = word[low - at : high - at]
        return bytes(patched)

    def _overlapping(self, address: int, size: int) -> Iterator[int]:
        """Addresses of the cached words that overlap a range."""
        links = self.links
        if not links:
            return
        first = (address - self._pointer_size) // self._unit * self._unit + self._unit
        for entry in range(first, address + size, self._unit):
            if entry in links:
                yield entry

    def _settle_word(self, entry: int) -> None:
        found = self._arenas.near(entry)
        assert found is not None, "only pool addresses are cached"
        at = (entry - found.base) // self._pointer_size
        found.words[at] = self.links.pop(entry)
