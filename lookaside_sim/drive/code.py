"""The code of one compiled driver: starting it, calling it, unloading it.

Source:
    [header] wdm.h: DRIVER_OBJECT; [doc] DriverEntry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Final

import attrs

from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.images import LoadedImage
from lookaside_sim.drive.imports import Imports
from lookaside_sim.nt.arguments import shown
from lookaside_sim.system.drivers import Driver

_SERVICES: Final = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\"
_TYPE: Final = 4  # IO_TYPE_DRIVER
_EXTENSION_SIZE: Final = 0x60
MAJOR_FUNCTIONS: Final = 28
_ASKS_BY_NAME: Final = "MmGetSystemRoutineAddress"
"""With it a driver may ask for what it does not import."""
INVALID_REQUEST: Final = "IopInvalidDeviceRequest"
"""What a DRIVER_OBJECT's dispatch routines are at first. Choice of the name: NT exports none."""


@attrs.frozen
class DriverObjectLayout:
    """Offsets in a DRIVER_OBJECT.

    Attributes:
        size: bytes of it.
        start: DriverStart; the bytes of the image follow as a ULONG.
        extension: DriverExtension.
        name: DriverName, a UNICODE_STRING.
        init: DriverInit.
        unload: DriverUnload.
        major: MajorFunction, an array.
    """

    size: int
    start: int
    extension: int
    name: int
    init: int
    unload: int
    major: int


LAYOUTS: Final = {
    8: DriverObjectLayout(0x150, 0x18, 0x30, 0x38, 0x58, 0x68, 0x70),
    4: DriverObjectLayout(0xA8, 0x0C, 0x18, 0x1C, 0x2C, 0x34, 0x38),
}


class ImageCode:
    """The code of one image, on the processor of its machine.

    Args:
        environment: what exports find.
        imports: what imports lead to.
        image: the image.

    Attributes:
        driver_object: address of its DRIVER_OBJECT; 0 before it was started.
    """

    def __init__(self, environment: Environment, imports: Imports, image: LoadedImage) -> None:
        self._environment = environment
        self._imports = imports
        self._image = image
        self._processor = environment.processor
        self.driver_object = 0

    @property
    def missing(self) -> dict[str, int]:
        """How often each import was called that nobody provides."""
        return self._imports.called

    def start(self, driver: Driver) -> int:
        """Run DriverEntry; see `CompiledDriver.start`."""
        image = self._image
        self.driver_object = self._make_object()
        path = self._processor.system.unicode_string(_SERVICES + image.stem)
        entry = image.base + image.pe.entry
        return self.call(entry, self.driver_object, path) & 0xFFFF_FFFF

    def _make_object(self) -> int:
        image, system = self._image, self._processor.system
        layout = LAYOUTS[self._environment.pointer_size]
        size = self._environment.pointer_size
        at = system.place(layout.size)
        system.put(at, _TYPE.to_bytes(2, "little") + layout.size.to_bytes(2, "little"))
        extension = system.place(_EXTENSION_SIZE)
        system.put_pointer(extension, at)
        system.put_pointer(at + layout.start, image.base)
        system.put(at + layout.start + size, image.pe.size.to_bytes(4, "little"))
        system.put_pointer(at + layout.extension, extension)
        system.put_pointer(at + layout.init, image.base + image.pe.entry)
        name = system.unicode_string("\\Driver\\" + image.stem)
        system.put(at + layout.name, self._environment.kernel.memory.read(name, 2 * size))
        invalid = self._imports.address_of(INVALID_REQUEST)
        for index in range(MAJOR_FUNCTIONS):
            system.put_pointer(at + layout.major + size * index, invalid)
        return at

    def unload(self) -> None:
        """Run DriverUnload; see `CompiledDriver.unload`."""
        layout = LAYOUTS[self._environment.pointer_size]
        routine = self._environment.kernel.memory.read_pointer(
            self.driver_object + layout.unload
        )
        if routine:
            self.call(routine, self.driver_object)

    def call(self, address: int, *arguments: int) -> int:
        """Call code at an address."""
        return self._processor.call_in_image(address, *arguments)

    def check_entry(self) -> None:
        """Refuse to start an image without an entry point."""
        self._image.pe.check_entry()

    def add_export(self, name: str, function: Callable[..., Any]) -> None:
        """Let a function be an import."""
        imported = self._image.imported
        if name not in imported and _ASKS_BY_NAME not in imported:
            near = get_close_matches(name, imported)
            known = f"; near to it are {', '.join(near)}" if near else ""
            raise ValueError(
                f"name {shown(name)}: {self._image.name} imports no such routine{known}"
            )
        self._imports.add(name, function)

    def run_queued(self) -> int:
        """Run what was queued; see `CompiledDriver.run_queued`."""
        with self._environment.kernel as kernel:
            return kernel.queues.run()

    def place_of(self, symbol: str) -> int | None:
        """The address of a symbol."""
        rva = self._image.places.get(symbol)
        return None if rva is None else self._image.base + rva

    def name_of(self, address: int) -> str:
        """What lies at an address."""
        return self._processor.name_of(address)

    @property
    def symbols(self) -> Sequence[str]:
        """The names of what lies in the image."""
        return sorted(self._image.places)
