"""Compiled drivers: drivers whose code is an image's. What runs that code is above, in `drive`.

Source:
    [doc] DRIVER_OBJECT, DriverEntry, DriverUnload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.nt.arguments import shown, text, unsigned
from lookaside_sim.system.drivers import Driver, Drivers

F = TypeVar("F", bound=Callable[..., Any])
_MOST_ARGUMENTS: Final = 64


class CodeOfDriver(Protocol):
    """The code of one compiled driver, and what runs it.

    Attributes:
        driver_object: address of its DRIVER_OBJECT; 0 before it was started.
    """

    driver_object: int

    @property
    def missing(self) -> dict[str, int]:
        """How often each import was called that nobody provides."""

    def check_entry(self) -> None:
        """Refuse to start code that has no DriverEntry."""

    def start(self, driver: Driver) -> int:
        """Run DriverEntry; returns its status."""

    def unload(self) -> None:
        """Run DriverUnload, if there is one."""

    def call(self, address: int, *arguments: int) -> int:
        """Call code at an address."""

    def add_export(self, name: str, function: Callable[..., Any]) -> None:
        """Let a function be an import."""

    def run_queued(self) -> int:
        """Run what was queued; returns how much that was."""

    def place_of(self, symbol: str) -> int | None:
        """The address of a symbol."""

    def name_of(self, address: int) -> str:
        """What lies at an address."""

    @property
    def symbols(self) -> Sequence[str]:
        """The names of what lies in the image."""


class CompiledDriver(Driver):
    """A driver from a ``.sys`` file. Obtained from `Kernel.load_image`.

    It is a `Driver`: what its code allocates and initializes belongs to it. Its lists and routines
    have the names that the file's symbols give them.

    Args:
        drivers: the drivers of its machine.
        name: file name of the image.
        base: address of its range.
        size: bytes of the range.
        image_size: bytes of the image, at the start of the range.
        code: what runs its code.
    """

    __slots__ = ("_code", "_has_started")

    def __init__(
        self,
        drivers: Drivers,
        name: str,
        base: int,
        size: int,
        image_size: int,
        code: CodeOfDriver,
    ) -> None:
        super().__init__(drivers, name, base, size)
        self.next_data = base + image_size
        self._code = code
        self._has_started = False

    def start(self) -> int:
        """Run DriverEntry, with a DRIVER_OBJECT and a registry path.

        Returns:
            Its status, an NTSTATUS; 0 is STATUS_SUCCESS. Where the status is an error the image
            stays until `unload`, which does not run DriverUnload then.

        Raises:
            BugCheck: it stopped the machine.
            CompiledCodeError: it called an import that nobody provides, or took too long.
            ImageError: the image has no entry point.
            LookasideSimError: it was started before, or is unloaded.
        """
        self._check_loaded()
        if self._has_started:
            raise LookasideSimError(f"{self.name} was started before")
        self._code.check_entry()
        self._has_started = True
        status = self._code.start(self)
        if status < 1 << 31:
            self._unload_routine = self._code.unload
        return status

    def call(self, where: str | int, *arguments: int) -> int:
        """Call a routine of the driver.

        Args:
            where: its symbol, or its address.
            *arguments: pointers and integers, as many as it has parameters.

        Returns:
            What it leaves in rax (eax on x86), without a sign.

        Raises:
            BugCheck: it stopped the machine.
            CompiledCodeError: as for `start`.
            ValueError: no such symbol, or no such address or argument.
        """
        self._check_loaded()
        address = self.address_of(where) if isinstance(where, str) else where
        bits = self._drivers.machine.arch.address_bits
        address = unsigned("where", address, bits)
        if self._drivers.machine.memory.is_unmapped(address, 1):
            raise ValueError(
                f"where {address:#x}: give a symbol, or an address where code lies"
            )
        if len(arguments) > _MOST_ARGUMENTS:
            raise ValueError(f"{len(arguments)} arguments: give at most {_MOST_ARGUMENTS}")
        given = []
        for index, each in enumerate(arguments):
            if isinstance(each, bool) or not isinstance(each, int):
                raise TypeError(f"argument {index} {shown(each)}: give an integer")
            if not -(1 << bits - 1) <= each < 1 << bits:
                raise ValueError(f"argument {index} {each:#x}: give one that {bits} bits hold")
            given.append(int(each) & (1 << bits) - 1)
        return self._code.call(address, *given)

    def run_queued(self) -> int:
        """Run the work items and DPCs that the driver queued, oldest first, and what they queue.

        DPCs run at DISPATCH_LEVEL, work items at PASSIVE_LEVEL.

        Returns:
            How many ran.

        Raises:
            BugCheck: one of them stopped the machine.
            LookasideSimError: after many there still were more.
        """
        self._check_loaded()
        return self._code.run_queued()

    def export(self, name: str) -> Callable[[F], F]:
        """Provide an import: the function decorated is called where compiled code calls it.

        Args:
            name: of the import, also of one that is provided already. A driver that imports
                MmGetSystemRoutineAddress may ask for any name.

        Returns:
            The decorator. The function gets integers, also for pointers, and returns one, or None
            for 0. It has the parameters of the routine; where nobody knows those, as many as it
            has, each of a pointer's width.

        Raises:
            TypeError: no text; by the decorator: no function with that many parameters.
            ValueError: by the decorator: the driver imports nothing of that name.
        """
        text("name", name)

        def put(function: F) -> F:
            self._code.add_export(name, function)
            return function

        return put

    @property
    def driver_object(self) -> int:
        """The address of its DRIVER_OBJECT; 0 before it was started."""
        return self._code.driver_object

    @property
    def missing(self) -> dict[str, int]:
        """How often each import was called that nobody provides, by name."""
        return dict(self._code.missing)

    @property
    def symbols(self) -> Sequence[str]:
        """The names of what lies in the image, sorted."""
        return self._code.symbols

    def address_of(self, symbol: str) -> int:
        """The address of a symbol.

        Args:
            symbol: its name, as C has it.

        Raises:
            ValueError: the file has no such symbol.
        """
        address = self._code.place_of(text("symbol", symbol))
        if address is None:
            raise ValueError(f"symbol {symbol!r}: {self.name} has none of that name")
        return address

    def symbol_at(self, address: int) -> str:
        """What lies at an address, as a debugger writes it: ``mydrv!Requests``, ``mydrv+0x40``.

        Empty for what lies in no image.
        """
        bits = self._drivers.machine.arch.address_bits
        return self._code.name_of(unsigned("address", address, bits))

    def _check_loaded(self) -> None:
        self._drivers.machine.check_running()
        if not self.loaded:
            raise LookasideSimError(f"{self.name} is unloaded already")

    def __repr__(self) -> str:
        state = "loaded" if self.loaded else "unloaded"
        return f"<CompiledDriver {self.name} @ {self.image_base:#x} {state}>"
