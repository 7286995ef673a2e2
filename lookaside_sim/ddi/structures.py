"""Structures: fields by name at an address, laid out as a C compiler does on either machine.

As the driver declares it, and as the driver uses it::

    ITEM = structure("ITEM", ("Links", LIST_ENTRY), ("Length", ULONG), ("Name", WCHAR * 16))
    item = ITEM(ExAllocatePoolZero(NonPagedPoolNx, sizeof(ITEM), literal("metI")))
    item.Length = 4
    InsertTailList(head, item.Links)
    first = CONTAINING_RECORD(RemoveHeadList(head), ITEM, "Links")

Source:
    [header] wdm.h, ntdef.h: the natural layout, each field aligned to its own alignment. The sizes
    and offsets were compared with what a compiler makes of the headers.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import attrs

from lookaside_sim.ddi.arguments import Pointer, address_of
from lookaside_sim.ddi.types import FieldType, Toucher
from lookaside_sim.kernel import Kernel, current_kernel
from lookaside_sim.nt.arguments import shown, text
from lookaside_sim.nt.layouts import Architecture

__all__ = ["CONTAINING_RECORD", "FIELD_OFFSET", "Fields", "structure", "union"]

_OWN_NAMES: Final = frozenset({"_kernel", "_type", "address"})


@attrs.frozen
class Layout:
    """A structure on one machine.

    Attributes:
        size: bytes, padding at the end included.
        alignment: the largest one of a field's.
        offsets: of each field.
    """

    size: int
    alignment: int
    offsets: dict[str, int]


class StructureType(FieldType):
    """A structure, or a union.

    Called with an address it gives the fields there.

    Args:
        name: as C spells it.
        fields: name and type of each, in order.
        overlaid: whether all lie at offset 0, as in a union.
        sizes: bytes by pointer size, where there are more than the fields need.

    Attributes:
        types: type of each field.
    """

    __slots__ = ("_layouts", "_overlaid", "_sizes", "types")

    def __init__(
        self,
        name: str,
        fields: tuple[tuple[str, FieldType], ...],
        *,
        overlaid: bool = False,
        sizes: dict[int, int] | None = None,
    ) -> None:
        super().__init__(text("name", name))
        self.types: dict[str, FieldType] = {}
        for each, type in fields:
            text("field", each)
            if not isinstance(type, FieldType):
                raise TypeError(f"field {each!r}, {shown(type)}: give a type, such as ULONG")
            if each in self.types:
                raise ValueError(f"field {each!r}: {name} has two of them")
            self.types[each] = type
        if not self.types:
            raise ValueError(f"{name}: give one field or more")
        self._overlaid = overlaid
        self._sizes = sizes or {}
        self._layouts: dict[str, Layout] = {}

    def layout_on(self, arch: Architecture) -> Layout:
        """Where its fields lie on a machine."""
        found = self._layouts.get(arch.name)
        if found is None:
            found = self._layouts[arch.name] = self._lay_out(arch)
        return found

    def _lay_out(self, arch: Architecture) -> Layout:
        offsets: dict[str, int] = {}
        end, widest = 0, 1
        for name, type in self.types.items():
            alignment = type.alignment_on(arch)
            widest = max(widest, alignment)
            start = 0 if self._overlaid else -(-end // alignment) * alignment
            offsets[name] = start
            end = max(end, start + type.size_on(arch))
        end = max(end, self._sizes.get(arch.pointer_size, 0))
        return Layout(-(-end // widest) * widest, widest, offsets)

    def size_on(self, arch: Architecture) -> int:
        """Bytes on a machine."""
        return self.layout_on(arch).size

    def alignment_on(self, arch: Architecture) -> int:
        """Alignment on a machine."""
        return self.layout_on(arch).alignment

    def offset_on(self, arch: Architecture, path: str) -> int:
        """Where a field lies; ``"Outer.Inner"`` is a field of a field.

        Raises:
            AttributeError: no such field.
        """
        offset = 0
        type: FieldType = self
        for name in path.split("."):
            if not isinstance(type, StructureType) or name not in type.types:
                _no_field(type, name)
            offset += type.layout_on(arch).offsets[name]
            type = type.types[name]
        return offset

    def load(self, kernel: Toucher, address: int) -> Fields:
        """The structure at an address."""
        return Fields(self, kernel, address)

    def store(self, kernel: Toucher, address: int, value: Any) -> None:
        """Assign a structure: copy its bytes.

        Raises:
            TypeError: neither such a structure nor its bytes.
        """
        if isinstance(value, Fields) and value._type is self:
            value = bytes(value)
        if not isinstance(value, bytes) or len(value) != self.size_on(kernel.arch):
            raise TypeError(f"{shown(value)}: give a {self.name}, or its bytes")
        kernel.write(address, value)

    def __call__(self, address: Pointer) -> Fields:
        """The fields at an address of the current kernel; nothing is touched."""
        return Fields(self, current_kernel(), address_of("address", address))


def _no_field(type: FieldType, name: str) -> NoReturn:
    known = ", ".join(type.types) if isinstance(type, StructureType) else "none"
    raise AttributeError(f"{type.name} has no field {name!r}; it has {known}")


class Fields:
    """A structure in memory: its fields are attributes, read and written as the program does.

    It stands for a pointer to the structure: it can be passed for one, compared, and asked
    whether it is NULL. A field that is itself called ``address`` is reached by ``fields["address"]``.

    Args:
        type: of the structure.
        kernel: the machine.
        address: where it lies.

    Attributes:
        address: as given.
    """

    __slots__ = ("_kernel", "_type", "address")
    _kernel: Toucher
    _type: StructureType
    address: int

    def __init__(self, type: StructureType, kernel: Toucher, address: int) -> None:
        object.__setattr__(self, "_type", type)
        object.__setattr__(self, "_kernel", kernel)
        object.__setattr__(self, "address", address)

    def __getitem__(self, name: str) -> Any:
        type = self._type.types.get(name)
        if type is None:
            _no_field(self._type, name)
        offset = self._type.layout_on(self._kernel.arch).offsets[name]
        return type.load(self._kernel, self.address + offset)

    def __setitem__(self, name: str, value: Any) -> None:
        type = self._type.types.get(name)
        if type is None:
            _no_field(self._type, name)
        offset = self._type.layout_on(self._kernel.arch).offsets[name]
        type.store(self._kernel, self.address + offset, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN_NAMES:
            raise AttributeError(f"{name} of {self!r} cannot be set")
        self[name] = value

    def __bytes__(self) -> bytes:
        return self._kernel.read(self.address, self._type.size_on(self._kernel.arch))

    def __index__(self) -> int:
        return self.address

    def __bool__(self) -> bool:
        return self.address != 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Fields):
            return self.address == other.address
        return self.address == other if isinstance(other, int) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.address)

    def __dir__(self) -> list[str]:
        return ["address", *self._type.types]

    def __repr__(self) -> str:
        return f"<{self._type.name} at {self.address:#x}>"


class _Nt:
    """NT's own code: what it touches is no touch of the program's, and is not told.

    Args:
        kernel: the machine.
    """

    __slots__ = ("arch", "list_at", "read", "routines", "write")

    def __init__(self, kernel: Kernel) -> None:
        self.arch = kernel.arch
        self.routines = kernel.routines
        self.read = kernel.memory.read
        self.write = kernel.memory.write
        self.list_at = kernel.list_at


def by_nt(type: StructureType, address: int) -> Fields:
    """The fields at an address, as NT's own code reads and writes them."""
    return Fields(type, _Nt(current_kernel()), address)


def structure(name: str, *fields: tuple[str, FieldType]) -> StructureType:
    """Declare a structure.

    Args:
        name: as C spells it.
        *fields: name and type of each, in order.

    Raises:
        TypeError, ValueError: no field, two of one name, or what is no type.
    """
    return StructureType(name, fields)


def union(name: str, *fields: tuple[str, FieldType]) -> StructureType:
    """Declare a union: a structure whose fields all lie at its beginning."""
    return StructureType(name, fields, overlaid=True)


def FIELD_OFFSET(type: StructureType, field: str) -> int:
    """Offset of a field on the current kernel's machine; ``"Outer.Inner"`` is one within another."""
    return type.offset_on(current_kernel().arch, field)


def CONTAINING_RECORD(address: Pointer, type: StructureType, field: str) -> Fields:
    """The structure whose field lies at an address.

    Args:
        address: of the field.
        type: of the structure.
        field: its name.
    """
    start = address_of("address", address) - FIELD_OFFSET(type, field)
    return type(start % (1 << current_kernel().arch.address_bits))
