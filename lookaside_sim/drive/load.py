"""Loading an image: what `Kernel.load_image` does."""

from __future__ import annotations

from os import PathLike
from typing import Final

from lookaside_sim.drive.code import ImageCode
from lookaside_sim.drive.cr8 import watch_cr8
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.extra import require
from lookaside_sim.drive.images import LoadedImage
from lookaside_sim.drive.imports import Imports
from lookaside_sim.drive.pe import PeFile, read_pe
from lookaside_sim.drive.pe_tables import imports, relocate
from lookaside_sim.drive.processor import Processor
from lookaside_sim.errors import ImageError
from lookaside_sim.kernel import Kernel
from lookaside_sim.memory.regions import Region
from lookaside_sim.nt.arguments import shown
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.system.calls import LoadImage
from lookaside_sim.system.compiled import CompiledDriver

_ROOM_FOR_DATA: Final = 0x2_0000
"""Bytes behind an image for what a test places in the driver's data."""
_MOST_SECONDS: Final = 10**9
"""That a call may take; an engine counts microseconds in 64 bits."""


class Drive:
    """What runs the compiled code of one machine.

    Args:
        kernel: the machine.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.processor = Processor(kernel)
        self.environment = Environment(self.processor)
        self.imports = Imports(self.environment)
        self._kernel = kernel

    def load(self, pe: PeFile) -> CompiledDriver:
        """Load a file; see `Kernel.load_image`."""
        kernel, processor = self._kernel, self.processor
        kernel.drivers.check_name(pe.name)
        wanted = imports(pe)
        room = pe.size + _ROOM_FOR_DATA
        base = kernel.machine.program.next_base(room)
        memory = relocate(pe, base)
        image = LoadedImage(pe, base, pe.name)
        size = pe.pointer_size
        for each in wanted:
            address = self.imports.bind(each)
            memory[each.slot : each.slot + size] = address.to_bytes(size, "little")
        for region in regions(pe, base, memory):
            kernel.memory.map(region)
        code = ImageCode(self.environment, self.imports, image)
        driver = CompiledDriver(kernel.drivers, pe.name, base, room, pe.size, code)
        image.owner = driver
        processor.images.add(image)
        if size == 8:
            watch_cr8(processor, image, memory)
        return kernel.drivers.take_in(driver, LoadImage(pe.name, room, pe.size, pe.data))


def regions(pe: PeFile, base: int, memory: bytearray) -> list[Region]:
    """The regions of an image: one for each section and for the headers.

    Sections that share pages, as small ones may, permit everything, as NT has it.
    """
    if not pe.has_pages:
        return [Region(base, pe.size, executable=True, contents=memory)]
    found, at = [], 0
    for each in sorted(pe.sections, key=lambda section: section.rva):
        if each.rva < at or not each.size:
            continue
        if each.rva > at:
            found.append(_region(base, memory, at, each.rva, False, False))
        end = -(-(each.rva + each.size) // PAGE_SIZE) * PAGE_SIZE
        at = min(end, pe.size)
        found.append(_region(base, memory, each.rva, at, each.writable, each.executable))
    if at < pe.size:
        found.append(_region(base, memory, at, pe.size, False, False))
    return found


def _region(
    base: int, memory: bytearray, start: int, end: int, writable: bool, executable: bool
) -> Region:
    return Region(
        base + start,
        end - start,
        writable=writable,
        executable=executable,
        contents=memoryview(memory)[start:end],
    )


def _seconds(given: object) -> float:
    right = f"give how long a call may take, up to {_MOST_SECONDS} s, 0 for ever"
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"seconds={shown(given)}: {right}")
    if not 0 <= given <= _MOST_SECONDS:
        raise ValueError(f"seconds={shown(given)}: {right}")
    return float(given)


def load_image(
    kernel: Kernel,
    path: str | PathLike[str],
    *,
    unknown: str = "stop",
    seconds: float = 60.0,
) -> CompiledDriver:
    """Load a compiled driver; see `Kernel.load_image`."""
    kernel.check_running()
    if unknown not in ("stop", "zero"):
        raise ValueError(f"unknown={shown(unknown)}: give 'stop' or 'zero'")
    seconds = _seconds(seconds)
    pe = read_pe(path)
    if pe.arch != kernel.arch.name:
        raise ImageError(
            pe.name, f"it is a driver for {pe.arch}, and this is an {kernel.arch.name}"
        )
    require(
        "elftools"
    )  # needed by the first line that is asked for, which is no time to find out
    drive = kernel.compiled
    if not isinstance(drive, Drive):
        drive = kernel.compiled = Drive(kernel)
    drive.imports.zero = unknown == "zero"
    drive.processor.seconds = seconds
    return drive.load(pe)
