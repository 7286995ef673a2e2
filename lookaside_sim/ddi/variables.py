"""Memory of a driver's own: its globals, what it has on the stack, its constants.

`variable` is the declaration of a variable whose address is needed::

    Event = variable(KEVENT)            # KEVENT Event;
    Buffer = variable(UCHAR * 64)       # UCHAR Buffer[64];
    Extension = variable(EXTENSION)     # in the running driver's data; it goes with the driver

Source:
    Choice: what is declared outside of any driver lies behind the images.
"""

from __future__ import annotations

from typing import Any

from lookaside_sim.ddi.structures import StructureType
from lookaside_sim.ddi.types import ArrayType, FieldType
from lookaside_sim.kernel import current_kernel
from lookaside_sim.memory.regions import Region
from lookaside_sim.nt.arguments import raw_bytes, shown
from lookaside_sim.system.calls import PlaceData

__all__ = ["variable"]


def variable(type: FieldType, contents: bytes = b"") -> Any:
    """Declare a variable of the driver whose code runs: a piece of its data, zero at first.

    Args:
        type: of the variable.
        contents: what it begins with instead.

    Returns:
        For a structure its fields, for an array its items, for a lookaside list the list; for
        any other type its address.

    Raises:
        TypeError, ValueError: no type, or more contents than it has room for.
    """
    if not isinstance(type, FieldType):
        raise TypeError(f"type {shown(type)}: give a type, such as ULONG or a structure")
    kernel = current_kernel()
    size = type.size_on(kernel.arch)
    contents = raw_bytes("contents", contents)
    if len(contents) > size:
        raise ValueError(f"contents of {len(contents)} bytes: give at most {size}, for {type}")
    address = place(
        size, max(type.alignment_on(kernel.arch), kernel.arch.pointer_size), contents
    )
    if isinstance(type, (StructureType, ArrayType)):
        return type.load(kernel, address)
    return address


def place(size: int, alignment: int, contents: bytes) -> int:
    """Make a piece of data that belongs to the running code; returns its address."""
    machine = current_kernel().machine
    machine.check_running()
    image = machine.program.current
    address = machine.program.find_data_place(size, alignment)
    region = Region(address, size, contents=contents)
    call = PlaceData(image, size, alignment, contents)
    return machine.hooks.run(call, _map, region)


def constant(contents: bytes) -> int:
    """The address of a constant of the running code's."""
    return place(len(contents), 2, contents)


def _map(region: Region) -> int:
    current_kernel().memory.map(region)
    return region.address
