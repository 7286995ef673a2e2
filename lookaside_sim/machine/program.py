"""Whose code runs: images of drivers, and the line of the program that makes a call.

An `Image` is a range of addresses: code, where call sites get their addresses, and data,
where structures lie that are made without an address of their own. Code outside any image
has a range of its own, as the rest of NT would.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Final, Self

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.machine.call_site import CallSite, Sites, calling_frame, frames, site_of
from lookaside_sim.memory.address_space import Memory

IMAGE_SIZE: Final = 0x40000
"""Bytes of an image: half code, half data. Choice."""
CODE_OFFSET: Final = 0x1000
"""Where in an image its first call site lies."""
_PROGRAM_CODE_OFFSET: Final = 0x10_0000
"""How far before the first image the code outside any image lies."""


class Image:
    """The range of one driver.

    As a context manager it is the code that runs: what is created inside belongs to it.

    Args:
        program: whose.
        name: file name of the image, such as ``mydrv.sys``.
        base: address of its range.
        size: bytes of it.

    Attributes:
        name: as given.
        image_base: first address of its range.
        image_end: first address behind it.
        loaded: whether it has not been unloaded.
        next_data: where its data section has room, as far as is known.
        sites: the lines of its code that were given addresses.
    """

    __slots__ = (
        "_program",
        "image_base",
        "image_end",
        "loaded",
        "name",
        "next_data",
        "sites",
    )

    def __init__(self, program: Program, name: str, base: int, size: int = IMAGE_SIZE) -> None:
        self._program = program
        self.name = name
        self.image_base = base
        self.image_end = base + size
        self.loaded = True
        self.next_data = base + size // 2
        self.sites = Sites(base + CODE_OFFSET)

    def holds(self, address: int) -> bool:
        """Whether an address lies in its range."""
        return self.image_base <= address < self.image_end

    def call_site(self) -> CallSite:
        """The line of the program that runs, with an address in this image."""
        return self._program.site_in(self.sites)

    def find_data_place(self, size: int, alignment: int) -> int | None:
        """Find room in its data section; None when that is full."""
        address = -(-self.next_data // alignment) * alignment
        while not self._program.memory.is_unmapped(address, size):
            address += alignment
        if address + size > self.image_end:
            return None
        self.next_data = address + size
        return address

    def __enter__(self) -> Self:
        self._program.running.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        running = self._program.running
        if not running or running[-1] is not self:
            inner = f"{running[-1].name!r} runs" if running else "no driver's code runs"
            raise LookasideSimError(
                f"the block of {self.name!r} is left while {inner}: leave each block that was"
                " entered, in the reverse order"
            )
        running.pop()


class Program:
    """The code that runs on one machine.

    Args:
        memory: the machine's address space.

    Attributes:
        memory: as given.
        running: the images whose code runs, innermost last; empty for code outside any.
        stack_provider: gives the call sites, innermost first, while code runs that has no
            Python frames; None asks the frames.
        site_provider: gives the line that runs with its code address, where the sites of
            `stack_provider` have none; None where they have.
        watcher: says whether the verifier watches the code that runs; None where it is off.
        notes_sites: whether it is taken note of who allocated and freed what where.
        nx_images: where the images lie whose code names NonPagedPool and means the pool that
            is not executable; 0 stands for the code outside any.
    """

    __slots__ = (
        "_bases",
        "_images",
        "_next_base",
        "_next_data",
        "_sites",
        "_unloaded",
        "memory",
        "notes_sites",
        "nx_images",
        "running",
        "site_provider",
        "stack_provider",
        "watcher",
    )

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._images: list[Image] = []
        self._bases: list[int] = []
        self._unloaded: list[Image] = []
        self._next_base = memory.arch.driver_images_start
        self._next_data = memory.arch.image_data_start
        self._sites = Sites(memory.arch.driver_images_start - _PROGRAM_CODE_OFFSET)
        self.running: list[Image] = []
        self.stack_provider: Callable[[], Sequence[CallSite]] | None = None
        self.site_provider: Callable[[], CallSite] | None = None
        self.watcher: Callable[[], bool] | None = None
        self.notes_sites = False
        self.nx_images: set[int] = set()

    # --- pool types ------------------------------------------------------------------------

    def opt_into_nx(self) -> None:
        """NonPagedPool, where the running code names it, is not executable from now on."""
        self.nx_images.add(self._current_base)

    @property
    def opted_into_nx(self) -> bool:
        """Whether the running code has said so."""
        return self._current_base in self.nx_images

    @property
    def _current_base(self) -> int:
        return self.running[-1].image_base if self.running else 0

    # --- images ----------------------------------------------------------------------------

    def next_base(self, size: int = IMAGE_SIZE) -> int:
        """Set a range aside for an image; ranges are in order of their addresses.

        Where no more addresses are left, the range of the image comes again that was unloaded
        longest ago of those that fit: nobody can say any more whose memory it was.

        Args:
            size: bytes of the range; behind it some stay free.

        Raises:
            LookasideSimError: there are no addresses left for it.
        """
        base = self._next_base
        slots = -(-size // IMAGE_SIZE)
        end = base + (slots + 1) * IMAGE_SIZE
        if end > self.memory.arch.driver_images_end:
            return self._range_of_unloaded(slots, size)
        self._next_base = end
        return base

    def _range_of_unloaded(self, slots: int, size: int) -> int:
        for image in self._unloaded:
            if -(-(image.image_end - image.image_base) // IMAGE_SIZE) == slots:
                self._unloaded.remove(image)
                at = self._images.index(image)
                del self._bases[at], self._images[at]
                self.nx_images.discard(image.image_base)
                return image.image_base
        raise LookasideSimError(f"no {size:#x} bytes of addresses are left for an image")

    def add(self, image: Image) -> None:
        """An image was loaded."""
        at = bisect_right(self._bases, image.image_base)
        self._bases.insert(at, image.image_base)
        self._images.insert(at, image)

    def remove(self, image: Image) -> None:
        """An image was unloaded; its range stays its own for a long time."""
        self._unloaded.append(image)

    def at(self, address: int) -> Image | None:
        """The image, loaded or not, whose range holds an address."""
        at = bisect_right(self._bases, address) - 1
        if at < 0:
            return None
        image = self._images[at]
        return image if image.holds(address) else None

    def owner_of(self, address: int) -> Image | None:
        """The loaded image whose range holds an address."""
        image = self.at(address)
        return image if image is not None and image.loaded else None

    @property
    def current(self) -> Image | None:
        """The image whose code runs now, None for code outside any."""
        return self.running[-1] if self.running else None

    def find_data_place(self, size: int, alignment: int = 0) -> int:
        """Find room for a structure in the running driver's data, else in NT's.

        Args:
            size: bytes of the structure.
            alignment: in bytes; 0 is that of a LOOKASIDE_LIST_EX.

        Returns:
            An unmapped address.
        """
        alignment = alignment or self.memory.arch.lookaside_alignment
        image = self.current
        if image is not None and image.loaded:
            placed = image.find_data_place(size, alignment)
            if placed is not None:
                return placed
        address = -(-self._next_data // alignment) * alignment
        while not self.memory.is_unmapped(address, size):
            address += alignment
        self._next_data = -(-(address + size) // alignment) * alignment
        return address

    def take_data_place(self, address: int, size: int, alignment: int = 0) -> None:
        """Set a place aside if it is the one that `find_data_place` finds next."""
        image = self.current
        before = self._next_data, 0 if image is None else image.next_data
        if self.find_data_place(size, alignment) != address:
            self._next_data = before[0]
            if image is not None:
                image.next_data = before[1]

    @property
    def is_watched(self) -> bool:
        """Whether the verifier watches the code that runs now."""
        return self.watcher is not None and self.watcher()

    # --- call sites ------------------------------------------------------------------------

    def call_site(self) -> CallSite:
        """The line of the program that runs, with an address in the running image."""
        if self.running:
            return self.running[-1].call_site()
        return self.site_in(self._sites)

    def calling_site(self) -> CallSite:
        """The line of the program that runs; no address is given out for it."""
        if self.stack_provider is not None:
            return self.stack_provider()[0]
        frame = calling_frame()
        assert frame is not None, "the package is always called by somebody"
        return site_of(frame.f_code, frame.f_lineno)

    def calling_stack(self) -> tuple[CallSite, ...]:
        """The innermost frames of the program, at most 8, innermost first."""
        return frames() if self.stack_provider is None else tuple(self.stack_provider())

    def known_address(self, image: Image | None, code: CodeType, instruction: int) -> int:
        """The address that a line was given as one of an image's; 0 for none yet."""
        return (self._sites if image is None else image.sites).known(code, instruction)

    def site_in(self, sites: Sites) -> CallSite:
        """The line that runs, with the address it has among some sites."""
        if self.site_provider is not None:
            return self.site_provider()
        if self.stack_provider is not None:
            return self.stack_provider()[0]
        frame = calling_frame(2)  # this method, and who of this class or an image called it
        assert frame is not None, "the package is always called by somebody"
        return sites.of(frame)
