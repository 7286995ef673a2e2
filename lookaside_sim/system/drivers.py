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
from typing import Any, TypeVar

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lookaside.balance_set import BalanceSet
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.routines import AllocateRoutine, FreeRoutine
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.machine.machine import Machine
from lookaside_sim.machine.program import CODE_OFFSET, IMAGE_SIZE, Image
from lookaside_sim.memory.regions import Region
from lookaside_sim.memory.touch import EXECUTE, WRITE
from lookaside_sim.nt.arguments import check_callable, raw_bytes, shown, unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import PoolType, TagLike
from lookaside_sim.nt.windows import Windows, check_driver_loads
from lookaside_sim.pool.ledger import BlockLedger, BlockRecord
from lookaside_sim.system.calls import Leaving, LoadDriver, OptIntoNx, PlaceData, UnloadDriver


class OwnedRoutine:
    """A routine of a driver's that lists call.

    It knows the driver by its address alone, and whose code it is by the list that calls: so
    on a copy of the machine it is the copied driver's.

    Args:
        driver: whose code it is.
        routine: what it does; its last argument is the list.
    """

    __slots__ = ("_address", "_routine")

    def __init__(self, driver: Driver, routine: Callable[..., Any]) -> None:
        self._address = driver.image_base + CODE_OFFSET
        self._routine = routine

    def __call__(self, *arguments: Any) -> Any:
        """Run as the driver's code; a touch of unloaded code where the driver is gone."""
        machine: Machine = arguments[-1].machine
        image = machine.program.owner_of(self._address)
        if image is None:
            machine.page_fault(self._address, EXECUTE)
        with image:
            return self._routine(*arguments)


class Driver(Image):
    """A loaded driver. Obtained from `Kernel.load_driver`.

    As a context manager it is the code that runs: what is created inside belongs to it.

    Args:
        drivers: the drivers of its machine.
        name: file name of the image, such as ``mydrv.sys``.
        base: address of its range.
        size: bytes of it.

    Attributes:
        name: as given.
        image_base: first address of its range.
        image_end: first address behind it.
        loaded: whether it has not been unloaded.
        said: what `log` tells.
    """

    __slots__ = ("_drivers", "_unload_routine", "said")

    def __init__(self, drivers: Drivers, name: str, base: int, size: int = IMAGE_SIZE) -> None:
        super().__init__(drivers.machine.program, name, base, size)
        self._drivers = drivers
        self._unload_routine: Callable[[], None] | None = None
        self.said: list[str] = []

    # --- what belongs to it --------------------------------------------------------------

    def lookaside_list(self, name: str = "", address: int | None = None) -> LookasideList:
        """Make a list in this driver's data, or at an address; see `LookasideList`."""
        with self:
            return LookasideList(self._drivers.lists, name, address)

    def allocate(self, pool_type: PoolType | int, size: int, tag: TagLike) -> int | None:
        """Allocate pool that belongs to this driver; see `PoolManager.allocate`."""
        with self:
            return self._drivers.lists.pool.allocate(pool_type, size, tag)

    def free(self, address: int | None, tag: TagLike | None = None) -> None:
        """Free pool; see `PoolManager.free`."""
        with self:
            self._drivers.lists.pool.free(address, tag)

    def routines(
        self, allocate: AllocateRoutine, free: FreeRoutine
    ) -> tuple[AllocateRoutine, FreeRoutine]:
        """Make two routines run as this driver's code, whoever calls them.

        Args:
            allocate: an allocate routine for `LookasideList.initialize`.
            free: a free routine.

        Returns:
            The two to pass on. After the unload, calling one is a touch of unloaded code. On
            another machine, such as a copy of this one, they are the code of the driver that
            is there at this driver's addresses.
        """
        check_callable("allocate", allocate)
        check_callable("free", free)
        return OwnedRoutine(self, allocate), OwnedRoutine(self, free)

    def on_unload(self, routine: Callable[[], None]) -> None:
        """Set DriverUnload: what `unload` calls first, as this driver's code.

        A copy of the machine calls the same routine, with whatever it has in hand.
        """
        check_callable("routine", routine)
        self._unload_routine = routine

    @property
    def pool(self) -> tuple[BlockRecord, ...]:
        """Its live pool blocks, oldest first."""
        return tuple(self._drivers.ledger.owned_by(self))

    @property
    def log(self) -> list[str]:
        """What its code printed with DbgPrint and its like, a text for each call."""
        return list(self.said)

    @property
    def lists(self) -> list[LookasideList]:
        """The active lists that belong to it, oldest first."""
        return self._drivers.lists_of(self)

    def place_data(self, size: int, alignment: int = 16, contents: bytes = b"") -> int:
        """Make a piece of the driver's data section: globals, or a stack, that can be written.

        Args:
            size: bytes, 1 or more.
            alignment: a power of two, in bytes.
            contents: what it begins with; zeroes follow.

        Returns:
            Its address. The memory goes with the driver.

        Raises:
            LookasideSimError: the driver is unloaded, or its data section is full.
            TypeError, ValueError: no size or alignment, or more contents than that.
        """
        size = unsigned("size", size, 32)
        contents = raw_bytes("contents", contents)
        alignment = unsigned("alignment", alignment, 16)
        if alignment.bit_count() != 1:
            raise ValueError(f"alignment {alignment}: give a power of two")
        if not size:
            raise ValueError("size 0: give 1 byte or more")
        if len(contents) > size:
            raise ValueError(f"contents of {len(contents)} bytes: give at most {size}")
        self._drivers.machine.check_running()
        address = self.find_data_place(size, alignment) if self.loaded else None
        if address is None:
            state = "its data section is full" if self.loaded else "it is unloaded"
            raise LookasideSimError(f"{self.name} has no room for {size} bytes: {state}")
        call = PlaceData(self, size, alignment, contents)
        region = Region(address, size, contents=contents)
        return self._drivers.machine.hooks.run(call, self._map, region)

    def _map(self, region: Region) -> int:
        self._drivers.machine.memory.map(region)
        return region.address

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
                SYSTEM_THREAD_EXCEPTION_NOT_HANDLED for a status that the unload routine raises.
            LookasideSimError: it is unloaded already.

        Source:
            docs/sources.md, pool sections 6 and 7.3. Choice of order: unfreed pool comes first, as NT
            counts it while it unloads, and touches left-over lists afterwards.
        """
        self._drivers.machine.check_running()
        if not self.loaded:
            raise LookasideSimError(f"{self.name} is unloaded already")
        self._drivers.machine.hooks.run(UnloadDriver(self), self._unload)

    def _unload(self) -> None:
        if self._unload_routine is not None:
            machine = self._drivers.machine
            with machine.system_thread(), self:
                machine.hooks.run_inside(0, self._unload_routine)
        self._drivers.machine.hooks.happened(Leaving(self))
        self.loaded = False
        self._drivers.unmap(self)

    def __repr__(self) -> str:
        state = "loaded" if self.loaded else "unloaded"
        return f"<Driver {self.name} @ {self.image_base:#x} {state}>"


D = TypeVar("D", bound=Driver)


class Drivers:
    """The drivers of one kernel, loaded and unloaded.

    Args:
        machine: the machine.
        lists: what its lists share.
        ledger: who allocated which block.
        balance_set: what scans lists.
        windows: the machine's version of Windows.

    Attributes:
        machine: as given.
        lists: as given.
        ledger: as given.
        all: every driver ever loaded, in that order.
        log: what code outside any driver printed with DbgPrint and its like.
    """

    __slots__ = (
        "_balance_set",
        "_loaded",
        "_windows",
        "all",
        "ledger",
        "lists",
        "log",
        "machine",
    )

    def __init__(
        self,
        machine: Machine,
        lists: Shared,
        ledger: BlockLedger,
        balance_set: BalanceSet,
        windows: Windows,
    ) -> None:
        self._windows = windows
        self.machine = machine
        self.lists = lists
        self.ledger = ledger
        self._balance_set = balance_set
        self._loaded: dict[str, Driver] = {}
        self.all: list[Driver] = []
        self.log: list[str] = []
        machine.explainers.append(self._explain_fault)

    def load(self, name: str, *, built_for: str | None = None) -> Driver:
        """Load a driver; see `Kernel.load_driver`. A name may come again after its unload."""
        self.check_name(name)
        if built_for is not None:
            check_driver_loads(name, built_for, self._windows)
        base = self.machine.program.next_base()
        return self.take_in(Driver(self, name, base))

    def say(self, text: str) -> None:
        """The code that runs prints a text."""
        driver = self.current
        (driver.said if isinstance(driver, Driver) else self.log).append(text)

    def check_name(self, name: str) -> None:
        """Refuse what is no name for a driver that is to be loaded.

        Raises:
            BugCheck: the machine has stopped.
            TypeError, ValueError: no name, or one that is loaded.
        """
        self.machine.check_running()
        if not isinstance(name, str):
            raise TypeError(f"driver {shown(name)}: give the file name of an image")
        if not name or name in self._loaded:
            raise ValueError(
                f"driver {shown(name)}: give the name of a driver that is not loaded"
            )

    def take_in(self, driver: D, call: LoadDriver | None = None) -> D:
        """Load a driver that was made for an address of this machine's.

        Args:
            driver: which.
            call: what is told of it; None for a `LoadDriver`.
        """
        return self.machine.hooks.run(call or LoadDriver(driver.name), self._load, driver)

    def _load(self, driver: D) -> D:
        self.ledger.open()
        self._loaded[driver.name] = driver
        self.machine.program.add(driver)
        self.all.append(driver)
        return driver

    def opt_into_nx(self) -> None:
        """NonPagedPool, where the running code names it, is not executable from now on."""
        self.machine.check_running()
        self.machine.hooks.run(OptIntoNx(), self.machine.program.opt_into_nx)

    def loaded(self) -> Iterator[Driver]:
        """The drivers that are loaded."""
        return iter(self._loaded.values())

    def named(self, name: str) -> Driver:
        """The loaded driver of a name.

        Raises:
            ValueError: none is loaded under it.
        """
        driver = self._loaded.get(name)
        if driver is None:
            raise ValueError(f"driver {name!r}: give the name of a driver that is loaded")
        return driver

    @property
    def current(self) -> Image | None:
        """The driver whose code runs now, None for code outside any."""
        return self.machine.program.current

    def lists_of(self, driver: Driver) -> list[LookasideList]:
        """The active lists that belong to a driver, oldest first."""
        return [
            each
            for each in self.lists.registry.all()
            if isinstance(each, LookasideList) and each.owner is driver
        ]

    def unmap(self, driver: Driver) -> None:
        """Unmap the range of a driver that was unloaded."""
        self._loaded.pop(driver.name, None)
        self.machine.program.remove(driver)
        memory = self.machine.memory
        for structure in memory.unmap_range(driver.image_base, driver.image_end):
            if isinstance(structure, LookasideList):
                structure.lose_memory()
        self.lists.registry.forget_walks()

    def at(self, address: int) -> Image | None:
        """The driver, loaded or not, whose range holds an address."""
        return self.machine.program.at(address)

    def _explain_fault(self, address: int, operation: int, by_program: bool) -> None:
        """Stop for a touch of memory that an unloaded driver left.

        Raises:
            BugCheck: 0xD4 at a raised IRQL, else 0xCE; nothing when it is no such memory.
        """
        driver = self.at(address)
        if not isinstance(driver, Driver) or driver.loaded:
            return
        machine = self.machine
        left = [each for each in driver.lists if each.address <= address]
        what = f"{address:#x} was touched, in the memory of {driver.name}, which is unloaded"
        if left and address < left[-1].address + left[-1].image_size:
            what += f": its lookaside list {left[-1].name!r} at {left[-1].address:#x} was not"
            what += " deleted"
        write = int(bool(operation & WRITE))
        if machine.locked or machine.gate >= 2:
            machine.stop(
                BugCheckCode.SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD,
                (address, max(machine.gate, 2), write, 0),
                what,
            )
        machine.stop(
            BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
            (address, write, machine.program.calling_site().address, 0),
            what,
        )
