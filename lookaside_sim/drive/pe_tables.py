"""The tables of a PE file: imports, exports, relocations, symbols, functions.

Source:
    [doc] PE Format; x64 exception handling.
"""

from __future__ import annotations

import re
import struct
from typing import Final

import attrs

from lookaside_sim.drive.pe import (
    DELAYED_IMPORTS,
    EXCEPTIONS,
    EXPORTS,
    IMPORTS,
    RELOCATIONS,
    PeFile,
)

_MOST_NAMES: Final = 0x1_0000
"""Imports, exports or symbols of one image. Choice."""
_LONGEST_NAME: Final = 512
_ABSOLUTE, _HIGHLOW, _DIR64 = 0, 3, 10  # kinds of relocations
_EXTERNAL, _STATIC = 2, 3  # storage classes of symbols


_CPP_NAME: Final = re.compile(r"_+ZL?(\d{1,3})(?=[A-Za-z_])")
"""What is in front of a plain name that a C++ compiler has mangled, its length last."""


@attrs.frozen
class Import:
    """What an image wants of another one.

    Attributes:
        library: file name of the other one.
        name: the routine or variable; ``#12`` for one that is asked for by number.
        slot: where in the image its address goes.
    """

    library: str
    name: str
    slot: int


class _Image:
    """The bytes of an image, read with care."""

    def __init__(self, pe: PeFile) -> None:
        self._pe = pe
        self._bytes = pe.image

    def number(self, rva: int, size: int, what: str) -> int:
        piece = self._bytes[rva : rva + size]
        if rva < 0 or len(piece) != size:
            self._pe.refuse(f"{what} leads to {rva:#x}, outside of the image")
        return int.from_bytes(piece, "little")

    def text(self, rva: int, what: str) -> str:
        end = self._bytes.find(b"\0", rva, rva + _LONGEST_NAME)
        if rva < 0 or end < 0:
            self._pe.refuse(f"{what} leads to no name at {rva:#x}")
        return self._bytes[rva:end].decode("latin-1")


def imports(pe: PeFile) -> list[Import]:
    """What the image imports.

    Raises:
        ImageError: a table that leads out of the image.
    """
    if pe.directory(DELAYED_IMPORTS)[0]:
        pe.refuse("it loads imports when they are called first, which no driver does")
    image, found = _Image(pe), list[Import]()
    rva, _ = pe.directory(IMPORTS)
    if not rva:
        pe.refuse("it has no import table, and every driver imports something")
    what = "the import table"
    flag = 1 << (8 * pe.pointer_size - 1)
    while True:
        names, _, _, library_at, slots = (image.number(rva + 4 * i, 4, what) for i in range(5))
        if not library_at or not slots:
            return found
        library = image.text(library_at, what)
        names, index = names or slots, 0
        while thunk := image.number(names + index * pe.pointer_size, pe.pointer_size, what):
            name = f"#{thunk & 0xFFFF}" if thunk & flag else image.text(thunk + 2, what)
            slot = slots + index * pe.pointer_size
            image.number(slot, pe.pointer_size, what)
            found.append(Import(library, name, slot))
            index += 1
            if len(found) > _MOST_NAMES:
                pe.refuse(f"{what} has more than {_MOST_NAMES} names")
        rva += 20


def exports(pe: PeFile) -> dict[str, int]:
    """Where in the image what it exports lies, by name."""
    image, found = _Image(pe), dict[str, int]()
    rva, _ = pe.directory(EXPORTS)
    if not rva:
        return found
    what = "the export table"
    count, functions, names, ordinals = (
        image.number(rva + 24 + 4 * i, 4, what) for i in range(4)
    )
    if count > _MOST_NAMES:
        pe.refuse(f"{what} has {count} names: give at most {_MOST_NAMES}")
    for i in range(count):
        name = image.text(image.number(names + 4 * i, 4, what), what)
        ordinal = image.number(ordinals + 2 * i, 2, what)
        found[name] = image.number(functions + 4 * ordinal, 4, what)
    return found


def relocate(pe: PeFile, base: int) -> bytearray:
    """The image as it lies at an address.

    Raises:
        ImageError: it has no relocations, or some that are no good.
    """
    memory = bytearray(pe.image)
    difference = base - pe.preferred_base
    rva, size = pe.directory(RELOCATIONS)
    if not rva and difference and not _stands_anywhere(pe):
        pe.refuse("it has no relocations, and the address it was linked for is not its own")
    image, end, what = _Image(pe), rva + size, "the relocation table"
    while rva and rva + 8 <= end:
        page, length = image.number(rva, 4, what), image.number(rva + 4, 4, what)
        if length < 8 or rva + length > len(memory):
            pe.refuse(f"{what} has a block of {length:#x} bytes at {rva:#x}")
        for at in range(rva + 8, rva + length - 1, 2):
            entry = image.number(at, 2, what)
            _relocate_one(pe, memory, page + (entry & 0xFFF), entry >> 12, difference)
        rva += length
    return memory


def _stands_anywhere(pe: PeFile) -> bool:
    """Whether the linker left relocations out because there were none, not because it was told to."""
    return not pe.number(pe.number(0x3C, 4, "the DOS header") + 22, 2, "the file header") & 1


def _relocate_one(pe: PeFile, memory: bytearray, at: int, kind: int, difference: int) -> None:
    if kind == _ABSOLUTE:
        return
    size = {_HIGHLOW: 4, _DIR64: 8}.get(kind)
    if size is None:
        pe.refuse(f"the relocation at {at:#x} is of the unknown kind {kind}")
    piece = memory[at : at + size]
    if len(piece) != size:
        pe.refuse(f"the relocation table leads to {at:#x}, outside of the image")
    value = int.from_bytes(piece, "little") + difference & (1 << 8 * size) - 1
    memory[at : at + size] = value.to_bytes(size, "little")


def symbols(pe: PeFile) -> dict[int, str]:
    """The name of what lies at each place in the image, as far as the file says.

    An x86 name is shown as C has it, without the underscore and the bytes of arguments.
    """
    found: dict[int, str] = {}
    of_linker: set[int] = set()

    def put(rva: int, name: str) -> None:
        # The linker's own names, such as __bss_start__, stand where a variable's may too.
        is_linkers = name.startswith("__")
        name = _plain(name, pe.pointer_size)
        if not name or name.startswith((".", "/")) or not name.isprintable():
            return
        if rva not in found or (rva in of_linker and not is_linkers):
            found[rva] = name
            (of_linker.add if is_linkers else of_linker.discard)(rva)

    records = pe.symbol_records()
    index = 0
    while index < min(len(records), _MOST_NAMES):
        raw, value, section, kind, storage, more = struct.unpack("<8sIhHBB", records[index])
        index += 1 + more
        is_function = kind >> 4 == 2
        if not 0 < section <= len(pe.sections):
            continue
        if storage != _EXTERNAL and not (storage == _STATIC and (is_function or not more)):
            continue
        if raw[:4] == bytes(4):
            name = pe.string_at(int.from_bytes(raw[4:], "little"))
        else:
            name = raw.rstrip(b"\0").decode("latin-1")
        put(pe.sections[section - 1].rva + value, name)
    for name, rva in exports(pe).items():
        put(rva, name)
    return found


def _plain(name: str, pointer_size: int) -> str:
    """A name as the source has it, where that is easily seen."""
    found = _CPP_NAME.match(name)
    if found is not None:
        return name[found.end() : found.end() + int(found[1])]
    if pointer_size == 8:
        return name
    name = name.removeprefix("_").removeprefix("@")
    stem, at, digits = name.rpartition("@")
    return stem if at and digits.isdecimal() else name


@attrs.frozen
class Function:
    """A function of x64 code, as its image describes it for unwinding.

    Attributes:
        begin: where in the image it begins.
        end: the first byte behind it.
        unwind: where in the image its UNWIND_INFO lies.
    """

    begin: int
    end: int
    unwind: int


def functions(pe: PeFile) -> list[Function]:
    """The functions that an x64 image describes, by address; those that make no sense left out."""
    rva, size = pe.directory(EXCEPTIONS)
    if not rva or pe.pointer_size != 8:
        return []
    table = pe.image[rva : min(rva + size, pe.size)]
    found = [
        Function(*struct.unpack_from("<III", table, at)) for at in range(0, len(table) - 11, 12)
    ]
    good = [
        each for each in found if each.begin < each.end <= pe.size and each.unwind < pe.size
    ]
    return sorted(good, key=lambda each: each.begin)
