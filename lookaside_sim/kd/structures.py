"""``dt``: the structures that the shell knows, as the debugger lays them out.

Source:
    [header] wdm.h and public symbol layouts; docs/sources.md, lists section 1, pool section 3.
    [doc] Microsoft, Debugging Tools for Windows: ``dt (Display Type)``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

import attrs

from lookaside_sim.kd.numbers import address_text, short_hex, signed
from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.windbg.lookaside import pool_type_name

_NAME_WIDTH: Final = 16


class Kind(Enum):
    """How a field's value is written."""

    NUMBER = "number"
    POINTER = "pointer"
    POOL_TYPE = "pool type"
    BITS = "bits"
    LIST_ENTRY = "two pointers"
    STRUCTURE = "another structure"


@attrs.frozen
class Field:
    """A field of a structure.

    Attributes:
        offset: bytes from its start.
        name: as the header spells it.
        type: what is shown where there is no value.
        size: bytes.
        kind: how a value is written.
        first_bit: of a bit field, in its word.
        bits: of a bit field.
    """

    offset: int
    name: str
    type: str
    size: int
    kind: Kind = Kind.NUMBER
    first_bit: int = 0
    bits: int = 0


def _number(offset: int, name: str, size: int) -> Field:
    return Field(offset, name, f"Uint{size}B", size)


def _bits(offset: int, name: str, size: int, first: int, bits: int) -> Field:
    return Field(offset, name, f"Pos {first}, {bits} Bits", size, Kind.BITS, first, bits)


def _pointer(arch: Architecture, offset: int, name: str, to: str) -> Field:
    size = arch.pointer_size
    return Field(offset, name, f"Ptr{8 * size} {to}", size, Kind.POINTER)


def _structure(offset: int, name: str, to: str, size: int) -> Field:
    return Field(offset, name, to, size, Kind.STRUCTURE)


def _lookaside(arch: Architecture) -> list[Field]:
    at = arch.lookaside_offsets
    size = arch.pointer_size
    fields = [_structure(0, "ListHead", "_SLIST_HEADER", arch.slist_header_size)]
    for name, width in (("Depth", 2), ("MaximumDepth", 2), ("TotalAllocates", 4)):
        fields.append(_number(at[name], name, width))
    fields += [_number(at[name], name, 4) for name in ("AllocateMisses", "TotalFrees")]
    fields += [
        _number(at["FreeMisses"], "FreeMisses", 4),
        Field(at["Type"], "Type", "_POOL_TYPE", 4, Kind.POOL_TYPE),
        _number(at["Tag"], "Tag", 4),
        _number(at["Size"], "Size", 4),
        _pointer(arch, at["AllocateEx"], "AllocateEx", "void*"),
        _pointer(arch, at["FreeEx"], "FreeEx", "void"),
        Field(at["ListEntry.Flink"], "ListEntry", "_LIST_ENTRY", 2 * size, Kind.LIST_ENTRY),
        _number(at["LastTotalAllocates"], "LastTotalAllocates", 4),
        _number(at["LastAllocateMisses"], "LastAllocateMisses", 4),
        Field(at["Future[0]"], "Future", "[2] Uint4B", 8, Kind.STRUCTURE),
    ]
    return fields


def _list_ex(arch: Architecture) -> list[Field]:
    return [_structure(0, "L", "_GENERAL_LOOKASIDE_POOL", arch.lookaside_size)]


def _older_list(arch: Architecture) -> list[Field]:
    fields = [_structure(0, "L", "_GENERAL_LOOKASIDE", arch.lookaside_size)]
    lock = arch.obsolete_lock_offset
    if lock is not None:
        fields.append(_number(lock, "Lock__ObsoleteButDoNotDelete", 4))
    return fields


def _slist_header(arch: Architecture) -> list[Field]:
    if arch.pointer_size == 8:
        return [
            _number(0, "Alignment", 8),
            _number(8, "Region", 8),
            _bits(0, "Depth", 8, 0, 16),
            _bits(0, "Sequence", 8, 16, 48),
            _bits(8, "Reserved", 8, 0, 4),
            _bits(8, "NextEntry", 8, 4, 60),
        ]
    return [
        _number(0, "Alignment", 8),
        _structure(0, "Next", "_SINGLE_LIST_ENTRY", 4),
        _number(4, "Depth", 2),
        _number(6, "Sequence" if arch.slist_has_sequence else "CpuId", 2),
    ]


def _list_entry(arch: Architecture) -> list[Field]:
    return [
        _pointer(arch, 0, "Flink", "_LIST_ENTRY"),
        _pointer(arch, arch.pointer_size, "Blink", "_LIST_ENTRY"),
    ]


def _single_list_entry(arch: Architecture) -> list[Field]:
    return [_pointer(arch, 0, "Next", "_SINGLE_LIST_ENTRY")]


def _pool_header(arch: Architecture) -> list[Field]:
    # Two ways to spell one ULONG: PreviousSize and PoolIndex in its low half.
    size_bits = arch.pool_header.size_mask.bit_length()
    fields = [
        _bits(0, "PreviousSize", 2, 0, size_bits),
        _bits(0, "PoolIndex", 2, size_bits, 16 - size_bits),
        _bits(2, "BlockSize", 2, 0, size_bits),
        _bits(2, "PoolType", 2, size_bits, 16 - size_bits),
        _number(0, "Ulong1", 4),
        _number(4, "PoolTag", 4),
    ]
    if arch.pointer_size == 8:
        fields += [
            _pointer(arch, 8, "ProcessBilled", "_EPROCESS"),
            _number(8, "AllocatorBackTraceIndex", 2),
            _number(10, "PoolTagHash", 2),
        ]
    return fields


_STRUCTURES: Final[dict[str, Callable[[Architecture], list[Field]]]] = {
    "_LOOKASIDE_LIST_EX": _list_ex,
    "_GENERAL_LOOKASIDE_POOL": _lookaside,
    "_GENERAL_LOOKASIDE": _lookaside,
    "_NPAGED_LOOKASIDE_LIST": _older_list,
    "_PAGED_LOOKASIDE_LIST": _older_list,
    "_SLIST_HEADER": _slist_header,
    "_LIST_ENTRY": _list_entry,
    "_SINGLE_LIST_ENTRY": _single_list_entry,
    "_POOL_HEADER": _pool_header,
}
STRUCTURE_NAMES: Final = tuple(_STRUCTURES)


def structure_name(text: str) -> str | None:
    """The structure that a type's name means; None for an unknown one.

    Args:
        text: with or without ``nt!``, and with or without the underscore in front.
    """
    bare = text.rpartition("!")[2].upper()
    name = bare if bare.startswith("_") else f"_{bare}"
    return name if name in _STRUCTURES else None


def fields_of(name: str, arch: Architecture) -> list[Field]:
    """The fields of a structure, in the header's order."""
    return _STRUCTURES[name](arch)


Peek = Callable[[int, int], "bytes | None"]
Named = Callable[[int], "str | None"]


@attrs.frozen
class Shown:
    """How a structure is shown.

    Attributes:
        arch: whose layouts.
        address: where it lies; None for the types alone.
        peek: looks at memory.
        named: the symbol at an address.
    """

    arch: Architecture
    address: int | None
    peek: Peek
    named: Named

    def rows(self, name: str, wanted: str = "", indent: int = 3, deep: int = 0) -> list[str]:
        """The lines of a structure's fields.

        Args:
            name: of the structure.
            wanted: the field to show, with a dot before a field in it; empty for all.
            indent: blanks in front.
            deep: how many structures within structures are shown.
        """
        first, _, inner = wanted.partition(".")
        rows: list[str] = []
        for field in fields_of(name, self.arch):
            # What a structure without a name of its own holds can be named directly.
            through = field.name == "L" and bool(first) and first != "L"
            if first and not through and field.name.casefold() != first.casefold():
                continue
            if not through:
                rows.append(f"{' ' * indent}+0x{field.offset:03x} {self._line(field)}")
            known = structure_name(field.type)
            if known is not None and (deep > 0 or inner or through or field.name == "L"):
                sub = attrs.evolve(self, address=self._within(field))
                rows += sub.rows(
                    known,
                    wanted if through else inner,
                    indent + (0 if through else 3),
                    deep - 1,
                )
        return rows

    def _within(self, field: Field) -> int | None:
        return None if self.address is None else self.address + field.offset

    def _line(self, field: Field) -> str:
        return f"{field.name:<{_NAME_WIDTH}} : {self._value(field)}"

    def _value(self, field: Field) -> str:
        if self.address is None or field.kind is Kind.STRUCTURE:
            return field.type
        data = self.peek(self.address + field.offset, field.size)
        if data is None:
            return "??"
        if field.kind is Kind.LIST_ENTRY:
            half = len(data) // 2
            ends = [
                f"0x{address_text(int.from_bytes(part, 'little'), half)}"
                for part in (data[:half], data[half:])
            ]
            return f"{field.type} [ {ends[0]} - {ends[1]} ]"
        value = int.from_bytes(data, "little")
        if field.kind is Kind.BITS:
            value = value >> field.first_bit & (1 << field.bits) - 1
            return f"0y{value:0{field.bits}b} (0x{value:x})"
        if field.kind is Kind.POOL_TYPE:
            return f"0n{signed(value, 32)} ( {pool_type_name(value)} )"
        if field.kind is Kind.POINTER:
            symbol = self.named(value) if value else None
            text = f"0x{address_text(value, field.size)}" if value else "(null)"
            return f"{text} {field.type.partition(' ')[2]}" + (f"  {symbol}" if symbol else "")
        return short_hex(value)
