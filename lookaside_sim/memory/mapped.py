"""What is mapped where: arenas, regions and structures, and who is told when that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from lookaside_sim.memory.arena import Arena, Arenas, garbage
from lookaside_sim.memory.notices import Changed, Listener, Notices
from lookaside_sim.memory.pages import RegionPage, ServedPage
from lookaside_sim.memory.regions import Region, Regions
from lookaside_sim.memory.structures import Structure, Structures
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Architecture

Holder: TypeAlias = Arena | Region | Structure
"""What holds the bytes of a mapped address."""


class Mapped:
    """The ranges of one address space. Nothing in it overlaps.

    Args:
        arch: the machine.
        seed: seed of the garbage that fresh pages hold.

    Attributes:
        arch: the machine.
    """

    __slots__ = (
        "_arenas",
        "_garbage",
        "_limit",
        "_notices",
        "_regions",
        "_structures",
        "_watchers",
        "arch",
    )

    def __init__(self, arch: Architecture, seed: int) -> None:
        self.arch = arch
        self._limit = 1 << arch.address_bits
        self._garbage = garbage(seed)
        self._notices = Notices()
        self._arenas = Arenas(arch.pool_region_shift)
        self._regions = Regions()
        self._structures = Structures()
        self._watchers: dict[int, Callable[[], None]] = {}

    # --- mapping and unmapping -----------------------------------------------------------

    def add_arena(
        self, base: int, pages: int, *, executable: bool = False, heads: bytes = b""
    ) -> Arena:
        """Set a range aside for a pool.

        Args:
            base: its address, at the start of a page.
            pages: most pages it can have.
            executable: whether code in it may run.
            heads: the bytes of its first page, if list heads lie there.

        Raises:
            ValueError: no whole pages of the address space, or not all of them free, or
                another arena has a pool region of theirs.
        """
        size = pages << PAGE_SHIFT
        if base & PAGE_MASK or pages <= 0:
            raise ValueError(
                f"base {base:#x}, pages {pages}: give the start of a page, and some"
            )
        number, other = self._arenas.in_regions(base, base + size)
        self._check_free("base", base, size, may_hold_arenas=other is not None)
        if other is not None:
            raise ValueError(
                f"base {base:#x}: the arena at {other.base:#x} has the pool region {number:#x}"
            )
        arena = Arena(
            self.arch,
            base,
            pages,
            self._garbage,
            executable=executable,
            notices=self._notices,
            heads=heads,
        )
        self._arenas.add(arena)
        return arena

    def watch_page(self, number: int, watcher: Callable[[], None]) -> None:
        """Have a function called after every write into a page of an arena."""
        self._watchers[number] = watcher
        self.notice(Changed.PERMISSIONS, number << PAGE_SHIFT, PAGE_SIZE)

    def attach(self, structure: Structure) -> None:
        """Map a structure's range.

        Raises:
            ValueError: the range lies outside the address space, touches something mapped, or
                lies where a pool may grow.
        """
        start, size = structure.address, structure.image_size
        self._check_free("address", start, size)
        self._structures.attach(structure)
        self.notice(Changed.MAPPED, start, size)

    def detach_range(self, start: int, end: int) -> list[Structure]:
        """Unmap every structure that begins in a range; regions stay.

        Returns:
            The structures, by address.
        """
        found = self._structures.detach_range(start, end)
        for structure in found:
            self.notice(Changed.UNMAPPED, structure.address, structure.image_size)
        return found

    def take_over(self, old: Structure, new: Structure) -> None:
        """Have another object stand for the structure at an address."""
        self._structures.take_over(old, new)

    def map(self, region: Region) -> None:
        """Map a region.

        Raises:
            ValueError: the range lies outside the address space, touches something mapped, or
                lies where a pool may grow.
        """
        start, size = region.address, region.size
        self._check_free("region", start, size)
        self._regions.add(region)
        self.notice(Changed.MAPPED, start, size)

    def unmap(self, region: Region) -> None:
        """Unmap a region; its bytes stay as they are.

        Raises:
            ValueError: it is not mapped.
        """
        self._check_mapped(region)
        self._regions.remove(region)
        self.notice(Changed.UNMAPPED, region.address, region.size)

    def unmap_range(self, start: int, end: int) -> list[Structure]:
        """Unmap every structure and region that begins in a range.

        Returns:
            The structures, by address.
        """
        for region in self._regions.overlapping(start, end):
            if region.address >= start:
                self.unmap(region)
        return self.detach_range(start, end)

    def protect(
        self, region: Region, *, writable: bool | None = None, executable: bool | None = None
    ) -> None:
        """Change what a mapped region permits.

        Args:
            region: the region.
            writable: whether it may be written; None leaves that as it is.
            executable: whether code in it may run; likewise.

        Raises:
            ValueError: it is not mapped.
        """
        self._check_mapped(region)
        if writable is not None:
            region.writable = writable
        if executable is not None:
            region.executable = executable
        self.notice(Changed.PERMISSIONS, region.address, region.size)

    def _check_free(
        self, name: str, start: int, size: int, *, may_hold_arenas: bool = True
    ) -> None:
        if not 0 < start <= self._limit - size:
            raise ValueError(
                f"{name} {start:#x}: {size:#x} bytes there lie outside the address space"
            )
        end = start + size
        arena = self._arenas.set_aside(start, end) if may_hold_arenas else None
        if (
            self._structures.overlapping(start, end)
            or self._regions.overlapping(start, end)
            or (arena is not None and not self._arenas.is_unmapped(start, end))
        ):
            raise ValueError(f"{name} {start:#x}: {size:#x} bytes there are already mapped")
        if arena is not None:
            raise ValueError(
                f"{name} {start:#x}: {size:#x} bytes there are set aside for the pool at"
                f" {arena.base:#x}"
            )

    def _check_mapped(self, region: Region) -> None:
        if region not in self._regions:
            raise ValueError(f"region {region!r}: give one that is mapped here")

    # --- who is told ---------------------------------------------------------------------

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have a function told of what changes for those who keep page tables.

        It is called after the change, any number may listen, and what one raises reaches
        whoever made the change.

        Returns:
            What ends it; calling that again does nothing.
        """
        return self._notices.listen(listener)

    def notice(self, what: Changed, address: int, size: int) -> None:
        """Tell the listeners of a change that somebody made above memory, such as a trim."""
        if self._notices.listeners:
            self._notices.tell(what, address, size)

    # --- what is where -------------------------------------------------------------------

    def is_unmapped(self, address: int, size: int) -> bool:
        """Whether no byte of a range is mapped; so of an empty one."""
        end = address + size
        return size <= 0 or (
            self._arenas.is_unmapped(address, end)
            and not self._structures.overlapping(address, end)
            and not self._regions.overlapping(address, end)
        )

    def is_mapped(self, address: int, size: int) -> bool:
        """Whether every byte of a range is mapped; so of an empty one."""
        end = address + size
        while address < end:
            found = self._holder(address)
            if found is None:
                return False
            address = found[1]
        return True

    def mapped_ranges(self, start: int, end: int) -> list[tuple[int, int]]:
        """What is mapped in a range: starts and ends, by address; neighbors may touch.

        Args:
            start: first address of the range.
            end: first address behind it.
        """
        found = [each for arena in self._arenas.all() for each in arena.mapped_ranges()]
        found += [(each.address, each.end) for each in self._regions.overlapping(start, end)]
        found += [
            (each.address, each.address + each.image_size)
            for each in self._structures.overlapping(start, end)
        ]
        return sorted(
            (max(first, start), min(behind, end))
            for first, behind in found
            if first < end and start < behind
        )

    def structure_at(self, address: int) -> Structure | None:
        """The structure that holds an address, if any."""
        return self._structures.at(address)

    def structures(self) -> Iterator[Structure]:
        """Every structure, by nothing in particular."""
        return self._structures.all()

    def region_at(self, address: int) -> Region | None:
        """The region that holds an address, if any."""
        return self._regions.at(address)

    def _holder(self, address: int) -> tuple[Holder, int] | None:
        """What holds an address, and where its page or it ends."""
        found = self._arenas.page_at(address)
        if found is not None:
            return found[0], (address | PAGE_MASK) + 1
        region = self._regions.at(address)
        if region is not None:
            return region, region.end
        structure = self._structures.at(address)
        if structure is not None:
            return structure, structure.address + structure.image_size
        return None

    def _end_of_hole(self, address: int) -> int:
        """Where the next thing begins in the page of an unmapped address, else its end."""
        end = (address | PAGE_MASK) + 1
        beyond: list[Region | Structure] = [
            *self._regions.overlapping(address, end)[:1],
            *self._structures.overlapping(address, end)[:1],
        ]
        return min((each.address for each in beyond), default=end)

    def _outside_pools(self, start: int) -> RegionPage | ServedPage | None:
        """What the page at an address is, where no arena has one."""
        end = start + PAGE_SIZE
        region = self._regions.at(start)
        if region is not None and end <= region.end:
            offset = start - region.address
            return RegionPage(region, offset, region.writable, region.executable)
        regions = self._regions.overlapping(start, end)
        structures = self._structures.overlapping(start, end)
        if not regions and not structures:
            return None
        return ServedPage(
            writable=bool(structures) or any(region.writable for region in regions),
            executable=any(region.executable for region in regions),
        )
