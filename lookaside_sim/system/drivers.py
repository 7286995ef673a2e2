"""Drivers: images that own lists and pool, and can be unloaded.

A driver has a range of addresses: code, where its call sites get their addresses, and data,
where lists lie that are made without an address of their own. Unloading unmaps the range.

A list left active there is then a trap: the system-wide list still leads to it, and whoever
follows the link touches memory that is gone. NT knows the range of a driver unloaded last
and says so: 0xD4 when the touch came at a raised IRQL, as the balance set manager's scan
does under its spin lock, else 0xCE.

Source:
    [doc] bug checks 0xCE and 0xD4; docs/sources.md, pool sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Final, Self

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lookaside import AllocateRoutine, FreeRoutine, LookasideList
from lookaside_sim.machine.program import CallSite, calling_frame, calling_site, site_of
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import PoolTag, PoolType, TagLike

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel
    from lookaside_sim.pool.ledger import BlockRecord

IMAGE_SIZE: Final = 0x40000
"""Bytes of a driver's range: half code, half data. Choice."""
_DATA_OFFSET: Final = IMAGE_SIZE // 2
_CODE_OFFSET: Final = 0x1000
_SITE_SPACING: Final = 0x10


class Driver:
    """A loaded driver. Obtained from `Kernel.load_driver`.

    As a context manager it is the code that runs: what is created inside belongs to it.

    Args:
        kernel: the machine.
        name: file name of the image, such as ``mydrv.sys``.
        base: address of its range.

    Attributes:
        name: as given.
        image_base: first address of its range.
        image_end: first address behind it.
        loaded: whether it has not been unloaded.
        lists: the lists it initialized and that are active, oldest first.
    """

    __slots__ = (
        "_kernel",
        "_next_data",
        "_sites",
        "_unload_routine",
        "image_base",
        "image_end",
        "lists",
        "loaded",
        "name",
    )

    def __init__(self, kernel: Kernel, name: str, base: int) -> None:
        self._kernel = kernel
        self.name = name
        self.image_base = base
        self.image_end = base + IMAGE_SIZE
        self.loaded = True
        self.lists: list[LookasideList] = []
        self._next_data = base + _DATA_OFFSET
        self._sites: dict[tuple[CodeType, int], CallSite] = {}
        self._unload_routine: Callable[[], None] | None = None

    # --- what belongs to it --------------------------------------------------------------

    def lookaside_list(self, name: str = "", address: int | None = None) -> LookasideList:
        """Make a list in this driver's data, or at an address; see `LookasideList`."""
        with self:
            return LookasideList(self._kernel, name, address)

    def allocate(self, pool_type: PoolType | int, size: int, tag: TagLike) -> int | None:
        """Allocate pool that belongs to this driver; see `PoolManager.allocate`."""
        with self:
            return self._kernel.pool.allocate(pool_type, size, tag)

    def free(self, address: int | None, tag: TagLike | None = None) -> None:
        """Free pool; see `PoolManager.free`."""
        with self:
            self._kernel.pool.free(address, tag)

    def routines(
        self, allocate: AllocateRoutine, free: FreeRoutine
    ) -> tuple[AllocateRoutine, FreeRoutine]:
        """Make two routines run as this driver's code, whoever calls them.

        Args:
            allocate: an allocate routine for `LookasideList.initialize`.
            free: a free routine.

        Returns:
            The two to pass on. After the unload, calling one is a touch of unloaded code.
        """

        def allocate_ex(
            pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
        ) -> int | None:
            self._check_loaded_code()
            with self:
                return allocate(pool_type, size, tag, lookaside)

        def free_ex(entry: int, lookaside: LookasideList) -> None:
            self._check_loaded_code()
            with self:
                free(entry, lookaside)

        return allocate_ex, free_ex

    def on_unload(self, routine: Callable[[], None]) -> None:
        """Set DriverUnload: what `unload` calls first, as this driver's code."""
        self._unload_routine = routine

    @property
    def pool(self) -> tuple[BlockRecord, ...]:
        """Its live pool blocks, oldest first."""
        ledger = self._kernel.ledger
        return () if ledger is None else tuple(ledger.owned_by(self))

    def place_data(self, size: int, alignment: int) -> int | None:
        """Find room for a structure in its data section; None when that is full."""
        address = -(-self._next_data // alignment) * alignment
        while not self._kernel.memory.is_unmapped(address, size):
            address += alignment
        if address + size > self.image_end:
            return None
        self._next_data = address + size
        return address

    def holds(self, address: int) -> bool:
        """Whether an address lies in its range."""
        return self.image_base <= address < self.image_end

    def call_site(self) -> CallSite:
        """The line of the program that runs, with an address in this image."""
        return _known_site(self._sites, self.image_base + _CODE_OFFSET)

    def _check_loaded_code(self) -> None:
        if not self.loaded:
            self._kernel.page_fault(self.image_base + _CODE_OFFSET, 0x10)

    # --- unloading -----------------------------------------------------------------------

    def unload(self) -> None:
        """Unload the driver: run its unload routine, unmap its range.

        Pool it did not free stays allocated for good. A list it did not delete stays on the
        system-wide list, and the next scan stops the machine with 0xD4.

        Raises:
            BugCheck: with the verifier on, for a driver it covers:
                DRIVER_VERIFIER_DETECTED_VIOLATION (0x62) for unfreed pool (with pool
                tracking), then DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS for
                lists not deleted. The exception's ``leaks`` are the unfreed blocks.
            LookasideSimError: it is unloaded already.

        Source:
            docs/sources.md, pool sections 6 and 7.3. Choice of order: unfreed pool comes first, as NT
            counts it while it unloads, and touches left-over lists afterwards.
        """
        kernel = self._kernel
        kernel.check_running()
        if not self.loaded:
            raise LookasideSimError(f"{self.name} is unloaded already")
        if self._unload_routine is not None:
            with self:
                self._unload_routine()
        if kernel.verification is not None:
            kernel.verification.check_unload(self)
        self.loaded = False
        kernel.drivers.unloaded(self)

    def __enter__(self) -> Self:
        self._kernel.drivers.running.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        self._kernel.drivers.running.pop()

    def __repr__(self) -> str:
        state = "loaded" if self.loaded else "unloaded"
        return f"<Driver {self.name} @ {self.image_base:#x} {state}>"


class Drivers:
    """The drivers of one kernel, loaded and unloaded.

    Args:
        kernel: the owner.

    Attributes:
        all: every driver ever loaded, in that order.
        running: the drivers whose code runs, innermost last; empty for code outside any.
    """

    __slots__ = ("_kernel", "_next_base", "_sites", "all", "running")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._next_base = kernel.arch.driver_images_start
        self._sites: dict[tuple[CodeType, int], CallSite] = {}
        self.all: list[Driver] = []
        self.running: list[Driver] = []

    @property
    def current(self) -> Driver | None:
        """The driver whose code runs now, None for code outside any."""
        return self.running[-1] if self.running else None

    def load(self, name: str) -> Driver:
        """Give a driver its range. A name may be loaded again after its unload."""
        if not name or any(driver.name == name for driver in self.loaded()):
            raise ValueError(f"driver {name!r}: give the name of a driver that is not loaded")
        driver = Driver(self._kernel, name, self._next_base)
        self._next_base += 2 * IMAGE_SIZE
        self.all.append(driver)
        return driver

    def loaded(self) -> Iterator[Driver]:
        """The drivers that are loaded."""
        return (driver for driver in self.all if driver.loaded)

    def call_site(self) -> CallSite:
        """The line of the program that runs, with an address in the running driver."""
        current = self.current
        if current is not None:
            return current.call_site()
        return _known_site(
            self._sites, self._kernel.arch.driver_images_start - _PROGRAM_CODE_OFFSET
        )

    def list_initialized(self, lookaside: LookasideList) -> None:
        """A list belongs to the driver whose data it lies in, else to the running one."""
        owner = self.owner_of(lookaside) or self.current
        if owner is not None and not any(each is lookaside for each in owner.lists):
            owner.lists.append(lookaside)

    def owner_of(self, lookaside: LookasideList) -> Driver | None:
        """The loaded driver whose data a list lies in."""
        owner = self.at(lookaside.address)
        return owner if owner is not None and owner.loaded else None

    def list_deleted(self, lookaside: LookasideList) -> None:
        """A deleted list belongs to nobody."""
        for driver in self.all:
            driver.lists = [each for each in driver.lists if each is not lookaside]

    def unloaded(self, driver: Driver) -> None:
        """Unmap a driver's range."""
        for structure in self._kernel.memory.detach_range(driver.image_base, driver.image_end):
            if isinstance(structure, LookasideList):
                structure.lose_memory()
        self._kernel.registry.forget_walks()

    def at(self, address: int) -> Driver | None:
        """The driver, loaded or not, whose range holds an address."""
        for driver in self.all:
            if driver.holds(address):
                return driver
        return None

    def is_unloaded(self, address: int) -> bool:
        """Whether an address lies in the range of an unloaded driver."""
        driver = self.at(address)
        return driver is not None and not driver.loaded

    def explain_fault(self, address: int, operation: int) -> None:
        """Stop for a touch of memory that an unloaded driver left.

        Raises:
            BugCheck: 0xD4 at a raised IRQL, else 0xCE; nothing when it is no such memory.
        """
        driver = self.at(address)
        if driver is None or driver.loaded:
            return
        kernel = self._kernel
        left = [each for each in driver.lists if each.address <= address]
        what = f"{address:#x} was touched, in the memory of {driver.name}, which is unloaded"
        if left and address < left[-1].address + left[-1].image_size:
            what += f": its lookaside list {left[-1].name!r} at {left[-1].address:#x} was not"
            what += " deleted"
        write = int(bool(operation & 2))
        if kernel.scanning or kernel.irql >= 2:
            kernel.stop(
                BugCheckCode.SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD,
                (address, max(int(kernel.irql), 2), write, 0),
                what,
            )
        kernel.stop(
            BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
            (address, write, calling_site().address, 0),
            what,
        )


_PROGRAM_CODE_OFFSET: Final = 0x10_0000
"""How far before the first driver the code outside any driver lies."""


def _known_site(sites: dict[tuple[CodeType, int], CallSite], base: int) -> CallSite:
    frame = calling_frame()
    assert frame is not None, "the package is always called by somebody"
    key = (frame.f_code, frame.f_lineno)
    site = sites.get(key)
    if site is None:
        site = sites[key] = site_of(*key, base + len(sites) * _SITE_SPACING)
    return site
