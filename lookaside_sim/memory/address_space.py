"""The simulated address space: reading, writing, looking, and what a page is to an emulator.

What is mapped:

* *Arenas*: the pages of a pool (`lookaside_sim.memory.arena`).
* *Structures*: objects outside pool memory that know their own image, such as a `LookasideList`
  in a driver's data or a list head (`lookaside_sim.memory.structures`).
* *Regions*: plain bytes with permissions, such as the sections of an image, a stack, the data
  of a driver (`lookaside_sim.memory.regions`).

Nothing overlaps. Everything else is unmapped (`lookaside_sim.memory.mapped`).

Glossary:

* a *touch* reads, writes or executes; one that cannot be is a *fault*: `TouchFault` is called
  with the first address that could not be touched, and does not return;
* a *hole* is where nothing is mapped; only `Memory.peek`, which looks as a debugger does, sees
  holes instead of faulting;
* a page is *fresh* until somebody touches it: its bytes are made up then, and are a function of
  seed and address, so that looking does not depend on when;
* a *watched* page has somebody who is called after each write into it;
* a *region* of the address space, in the tables of the pools, is the part that one arena has;
  everywhere else a `Region` is meant;
* words are *held* by slots, *rendered* and *settled* (`lookaside_sim.memory.slots`); lists
  *cache* links in them, and pages are *exposed* (`lookaside_sim.memory.links`). The *bytes are
  true* when no slot holds a word.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.memory.arena import BIG, BLOCKS, RESERVED, Arena
from lookaside_sim.memory.links import FOR_GOOD, LinkCache, Uncached
from lookaside_sim.memory.live import LiveBlocks
from lookaside_sim.memory.mapped import Holder, Mapped
from lookaside_sim.memory.pages import ArenaPage, NoPage, RegionPage, ServedPage, Translation
from lookaside_sim.memory.regions import Region
from lookaside_sim.memory.slots import Slot, Slots
from lookaside_sim.memory.structures import Structure
from lookaside_sim.memory.touch import EXECUTE, READ, WRITE, Reason, TouchFault
from lookaside_sim.memory.windows import BlockWindow, RegionWindow, Window
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Architecture

__all__ = ["EXECUTE", "READ", "WRITE", "Memory", "Structure"]

if sys.byteorder != "little":  # pragma: no cover - the bytes are viewed as native words
    raise ImportError("lookaside_sim needs a little-endian host, as NT does")


class Memory(Mapped):
    """The address space of one kernel.

    Args:
        arch: the machine.
        seed: seed of the garbage that fresh pages hold.
        fault: called on a touch that fails; does not return.

    Attributes:
        arch: the machine.
        slots: the words that are kept outside of the bytes.
        links: which slots lists may keep their links in.
        cached: gives the slot of an entry: `LinkCache.cached`, bound here so that a list's
            free pays for no other call.
        slot_at: gives what the header of a list refers to: `LinkCache.slot_at`, likewise.
        write_link: writes a link where a live block starts: `LinkCache.write`, likewise.
        big_blocks: address to size in bytes of each live big allocation, kept by the pool
            manager.
        big_pages: which pages belong to which big allocation.
    """

    __slots__ = (
        "_blocks",
        "_fault",
        "_pointer_size",
        "big_blocks",
        "big_pages",
        "cached",
        "links",
        "slot_at",
        "slots",
        "write_link",
    )

    def __init__(self, arch: Architecture, seed: int, fault: TouchFault) -> None:
        super().__init__(arch, seed)
        self._fault = fault
        self._pointer_size = arch.pointer_size
        self.slots = Slots(arch, self._arenas)
        self._blocks = LiveBlocks(arch, self._arenas, self.slots)
        self.big_blocks = self._blocks.big_blocks
        self.big_pages = self._blocks.big_pages
        self.links = LinkCache(arch.pointer_size, self._arenas, self._blocks, self.slots)
        self.cached: Callable[[object], Slot | None] = self.links.cached
        self.slot_at: Callable[[int], Slot] = self.links.slot_at
        self.write_link: Callable[[int, Slot], bool] = self.links.write

    # --- bytes ---------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Read bytes; a touch of unmapped memory faults at the first unmapped address.

        Cost: of the bytes read, and of each page, region or structure among them; a structure
        is rendered whole.
        """
        # Most reads lie in one page of a pool, or in one region.
        arena = self._arenas.near(address)
        if arena is not None:
            at = address - arena.base
            page = at >> PAGE_SHIFT
            if (
                (at & PAGE_MASK) + size <= PAGE_SIZE
                and 0 <= page < len(arena.states)
                and arena.states[page] > RESERVED
            ):
                if self.slots.by_address:
                    self.slots.render(arena, address, address + size)
                return bytes(arena.data[at : at + size])
        else:
            region = self._regions.at(address)
            if region is not None and address + size <= region.end:
                at = address - region.address
                return bytes(region.data[at : at + size])
        parts = []
        for where, length, holder in self._pieces(address, size, READ):
            parts.append(self._look(where, length, holder))
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes; nothing is written when any of the range faults.

        Cost: as of `read`.
        """
        for where, length, holder in list(self._pieces(address, len(data), WRITE)):
            piece = data[where - address : where - address + length]
            if isinstance(holder, Arena):
                at = where - holder.base
                self.links.prepare_write(holder, where, length)
                holder.data[at : at + length] = piece
                watcher = self._watchers.get(where >> PAGE_SHIFT)
                if watcher is not None:
                    watcher()
            elif isinstance(holder, Region):
                at = where - holder.address
                holder.data[at : at + length] = piece
            else:
                at = where - holder.address
                image = bytearray(holder.store_image())
                image[at : at + length] = piece
                holder.load_image(bytes(image))

    def read_pointer(self, address: int) -> int:
        """Read one pointer."""
        # Most are a word of a page in a pool, and no word is held when this is asked often.
        arena = self._arenas.near(address)
        if arena is not None and not self.slots.by_address:
            at = address - arena.base
            page = at >> PAGE_SHIFT
            if (
                not at % self._pointer_size
                and 0 <= page < len(arena.states)
                and arena.states[page] > RESERVED
            ):
                return arena.words[at // self._pointer_size]
        return int.from_bytes(self.read(address, self._pointer_size), "little")

    def write_pointer(self, address: int, value: int) -> None:
        """Write one pointer."""
        self.write(address, value.to_bytes(self._pointer_size, "little"))

    def _pieces(
        self, address: int, size: int, operation: int
    ) -> Iterator[tuple[int, int, Holder]]:
        """Split a range into pieces of one page or holder, faulting where it cannot be touched."""
        end = address + size
        while address < end:
            found = self._holder(address)
            if found is None:
                self._fault(address, operation)
            holder, behind = found
            if isinstance(holder, Arena):
                page = (address - holder.base) >> PAGE_SHIFT
                if holder.states[page] == RESERVED:
                    holder.map(page, BIG)
            elif operation == WRITE and isinstance(holder, Region) and not holder.writable:
                self._fault(address, operation, Reason.NOT_PERMITTED)
            behind = min(behind, end)
            yield address, behind - address, holder
            address = behind

    def _look(self, address: int, size: int, holder: Holder) -> bytes:
        """The bytes of a piece as they are now; changes nothing."""
        if isinstance(holder, Arena):
            if self.slots.by_address:
                self.slots.render(holder, address, address + size)
            return holder.look(address - holder.base, size)
        at = address - holder.address
        if isinstance(holder, Region):
            return bytes(holder.data[at : at + size])
        return holder.store_image()[at : at + size]

    def window(self, address: int, size: int) -> Window | None:
        """View bytes inside one live block with a header, or one region, where they lie.

        Args:
            address: of the first byte.
            size: bytes.

        Returns:
            The window; None where the bytes lie elsewhere, or nobody can say whose they are.
        """
        region = self._regions.at(address)
        if region is not None:
            inside = address + size <= region.end and region.writable
            return RegionWindow(self._regions, region, address) if inside else None
        shift, found = self.arch.pool_header.unit_shift, self._arenas.page_at(address)
        if not self.slots.decide or found is None or found[0].states[found[1]] != BLOCKS:
            return None
        arena, behind = found[0], address + size + (1 << shift)
        body, units = self._blocks.block_before(arena, address)
        end = body - self.arch.pool_header.size + (units << shift)
        if not units or address + size > end or behind > (address | PAGE_MASK) + 1:
            return None
        slot = self.slots.by_address[body]
        # From the block's start on, so that the slot keeps no link either.
        self.slots.settle(arena, body, address + size)
        return BlockWindow(self.slots, arena, slot, address, size, shift)

    # --- looking without touching --------------------------------------------------------

    def peek(self, address: int, size: int) -> list[int | None]:
        """Look at bytes as a debugger does: never faults, never changes anything.

        Returns:
            Each byte, None where it cannot be seen: in a hole, outside of the address space,
            or in a structure that cannot be rendered any more.

        Raises:
            TypeError, ValueError: an address or size that no pointer can hold.
        """
        seen: list[int | None] = []
        for length, data in self._views(address, size):
            seen.extend([None] * length if data is None else data)
        return seen

    def peek_bytes(self, address: int, size: int) -> bytes | None:
        """Look at bytes as `peek` does; None when any of them cannot be seen."""
        parts = []
        for _, data in self._views(address, size):
            if data is None:
                return None
            parts.append(data)
        return b"".join(parts)

    def peek_pointer(self, address: int) -> int | None:
        """Look at a pointer as `peek` does; None when any of its bytes cannot be seen."""
        data = self.peek_bytes(address, self._pointer_size)
        return None if data is None else int.from_bytes(data, "little")

    def _views(self, address: int, size: int) -> Iterator[tuple[int, bytes | None]]:
        """The length and bytes of each piece of a range, no bytes for what cannot be seen."""
        address = unsigned("address", address, self.arch.address_bits)
        end = address + unsigned("size", size, self.arch.address_bits)
        while address < end:
            found = self._holder(address)
            if found is None:
                behind = min(self._end_of_hole(address), end)
                yield behind - address, None
            else:
                holder, behind = found
                behind = min(behind, end)
                try:
                    data = self._look(address, behind - address, holder)
                except LookasideSimError:  # a list whose own memory is gone
                    yield behind - address, None
                else:
                    yield behind - address, data
            address = behind

    # --- page tables of somebody else's --------------------------------------------------

    def translate(self, address: int, operation: int = READ) -> Translation:
        """Say what the page of an address is, to somebody who keeps page tables.

        A fresh page is filled. As long as words may be cached (see `keep_bytes_true`) pages of
        arenas are served, since their bytes may be stale.

        Args:
            address: in the page.
            operation: READ, WRITE or EXECUTE.

        Returns:
            The page with all that it permits; `NoPage` where the operation is impossible.
        """
        number = address >> PAGE_SHIFT
        start = number << PAGE_SHIFT
        page: ArenaPage | RegionPage | ServedPage | None
        found = self._arenas.page_at(address)
        if found is not None:
            arena, index = found
            if number in self._watchers or not self.bytes_are_true:
                page = ServedPage(writable=True, executable=arena.executable)
            else:
                if arena.states[index] == RESERVED:
                    arena.map(index, BIG)
                page = ArenaPage(arena, index, writable=True, executable=arena.executable)
        else:
            page = self._outside_pools(start)
            if page is None:
                return NoPage(Reason.UNMAPPED)
        if (operation == WRITE and not page.writable) or (
            operation == EXECUTE and not page.executable
        ):
            return NoPage(Reason.NOT_PERMITTED)
        return page

    # --- the link cache ------------------------------------------------------------------

    def stop_caching(self, reason: Uncached = Uncached.LISTENED_TO) -> None:
        """Let no list keep links in slots while the reason holds."""
        self.links.stop(reason)

    def resume_caching(self, reason: Uncached = Uncached.LISTENED_TO) -> None:
        """Let lists keep links in slots again when this was the last reason not to.

        Raises:
            ValueError: a reason that never ends.
        """
        self.links.resume(reason)

    @property
    def caching(self) -> bool:
        """Whether lists may keep links in slots.

        The machine runs, nobody listens, and nobody needs the bytes to be true.
        """
        return self.links.may_cache

    def keep_bytes_true(self) -> None:
        """From now on the bytes are the truth: no slot ever holds a word again.

        Whoever shares the buffers of arenas asks for this, whoever else listens or stops.
        """
        self.stop_caching(Uncached.BYTES_ARE_TRUE)

    def settle_all(self) -> None:
        """Have all in the bytes for a moment, for whoever copies them."""
        self.links.settle_all()

    @property
    def bytes_are_true(self) -> bool:
        """Whether the bytes of arenas are true now and for good."""
        return bool(self.links.reasons & FOR_GOOD)

    # --- for the pool manager ------------------------------------------------------------

    def reserve(self, arena: Arena, first: int, count: int) -> None:
        """Map pages of a big allocation, each to be filled when it is first touched."""
        self._blocks.reserve(arena, first, count)

    def release(self, arena: Arena, first: int, count: int, *, cached: bool) -> None:
        """Take the pages of a big allocation from it; cached ones stay mapped."""
        self._blocks.release(arena, first, count, cached=cached)

    def expose(self, arena: Arena, page: int) -> None:
        """From now on nothing in a page of blocks is cached: its headers may be anything."""
        self.links.expose(arena, page)

    def unused_at(self, arena: Arena, body: int) -> int:
        """How many bytes at the end of the live block at an address were not asked for."""
        return self._blocks.unused_at(arena, body)

    def has_header_at(self, arena: Arena, body: int) -> bool:
        """Whether a live block with a header starts at an address, aligned to units."""
        return self._blocks.has_header_at(arena, body)

    def block_starts(self, arena: Arena, page: int) -> set[int]:
        """Positions, in units from the arena's base, of the live blocks of a page."""
        return self._blocks.starts_in(arena, page)

    def render_page(self, arena: Arena, page: int) -> None:
        """Bring the bytes of a page up to date, for whoever reads the arena's words."""
        start = arena.base + (page << PAGE_SHIFT)
        self.slots.render(arena, start, start + PAGE_SIZE)

    def block_start(self, address: int) -> int | None:
        """Address of the header of the live block in whose page and before whose end it is.

        The nearest one whose body starts at or below the address.
        """
        return self._blocks.header_before(address)
