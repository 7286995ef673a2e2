"""PE files, as a loader reads them: headers and sections. Their tables: `lookaside_sim.drive.pe_tables`.

Nothing in a file is believed: every number is held against the file or the image before it is
used, and what is wrong is an `ImageError` of one line.

Source:
    [doc] PE Format.
"""

from __future__ import annotations

import struct
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Final, NoReturn

import attrs

from lookaside_sim.errors import ImageError
from lookaside_sim.nt.arguments import shown
from lookaside_sim.nt.layouts import PAGE_SIZE

MACHINES: Final = {0x8664: "x64", 0x14C: "x86"}
_OTHER_MACHINES: Final = {0xAA64: "ARM64", 0x1C4: "ARM", 0x200: "Itanium"}
_MAGIC: Final = {"x64": 0x20B, "x86": 0x10B}
MOST_BYTES: Final = 32 << 20
"""Of an image in memory. Choice."""
_MOST_FILE_BYTES: Final = 256 << 20
_MOST_SECTIONS: Final = 96
_SECTION: Final = struct.Struct("<8sIIIIIIHHI")
_SYMBOL_SIZE: Final = 18

EXPORTS: Final = 0
IMPORTS: Final = 1
EXCEPTIONS: Final = 3
RELOCATIONS: Final = 5
DELAYED_IMPORTS: Final = 13
"""Numbers of data directories."""

_EXECUTE: Final = 0x2000_0000
_WRITE: Final = 0x8000_0000


@attrs.frozen
class Section:
    """One section.

    Attributes:
        name: its name; the long one where the file has it.
        rva: where in the image it begins.
        size: bytes in memory.
        data: what it begins with; zeros follow.
        writable: whether it may be written.
        executable: whether code in it may run.
    """

    name: str
    rva: int
    size: int
    data: bytes = attrs.field(repr=False)
    writable: bool
    executable: bool


class PeFile:
    """A PE file.

    Args:
        name: of the file, for errors.
        data: what is in it.

    Attributes:
        name: as given.
        data: as given.
        arch: ``"x64"`` or ``"x86"``.
        pointer_size: bytes of a pointer.
        preferred_base: the address it was linked for.
        size: bytes in memory, whole pages.
        entry: where in the image its entry point lies; 0 for none.
        header_size: bytes of headers in front of the sections.
        sections: its sections, by address.

    Raises:
        ImageError: it is no PE file, or one that no loader would load.
    """

    def __deepcopy__(self, memo: object) -> PeFile:
        return self  # it cannot change: copies of a machine share it

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        if data[:2] != b"MZ":
            self.refuse("no PE file: it does not begin with MZ")
        start = self.number(0x3C, 4, "the DOS header")
        if data[start : start + 4] != b"PE\0\0":
            self.refuse("no PE file: the DOS header leads to no PE header")
        machine, count, _, symbols, symbol_count, optional_size, _ = self._unpack(
            "<HHIIIHH", start + 4, "the file header"
        )
        arch = MACHINES.get(machine)
        if arch is None:
            shown = _OTHER_MACHINES.get(machine, "an unknown machine")
            self.refuse(f"machine {machine:#x} ({shown}): give a driver for x64 or x86")
        self.arch: str = arch
        self.pointer_size = 8 if arch == "x64" else 4
        optional = start + 24
        magic = self.number(optional, 2, "the optional header")
        if magic != _MAGIC[arch]:
            self.refuse(f"the optional header's magic is {magic:#x}, not {_MAGIC[arch]:#x}")
        wide = self.pointer_size == 8
        what = "the optional header"
        self.entry = self.number(optional + 16, 4, what)
        self.preferred_base = (
            self.number(optional + 24, 8, what) if wide else self.number(optional + 28, 4, what)
        )
        self._alignment = self.number(optional + 32, 4, what)
        size = self.number(optional + 56, 4, what)
        self.header_size = min(self.number(optional + 60, 4, what), len(data))
        if not 0 < size <= MOST_BYTES:
            self.refuse(f"it takes {size:#x} bytes in memory: give 1 to {MOST_BYTES:#x}")
        self.size = -(-size // PAGE_SIZE) * PAGE_SIZE
        if self.entry >= self.size:
            self.refuse(f"its entry point {self.entry:#x} lies outside of the image")
        if self.header_size > self.size:
            self.refuse("its headers are larger than the image")
        directories = optional + (112 if wide else 96)
        shown_count = min(self.number(directories - 4, 4, what), 16)
        self._directories = [
            self._unpack("<II", directories + 8 * i, "the data directories")
            for i in range(shown_count)
        ]
        self._symbol_table = symbols, symbol_count
        if count > _MOST_SECTIONS:
            self.refuse(f"it has {count} sections: give at most {_MOST_SECTIONS}")
        self.sections = tuple(
            self._section(optional + optional_size + _SECTION.size * i, i) for i in range(count)
        )

    def refuse(self, problem: str) -> NoReturn:
        """Refuse the file.

        Raises:
            ImageError: always.
        """
        raise ImageError(self.name, problem)

    def check_entry(self) -> None:
        """Refuse to start an image that has no entry point.

        Raises:
            ImageError: it has none.
        """
        if not self.entry:
            self.refuse(
                "it has no entry point, so there is no DriverEntry to run: call its routines, or"
                " let other images import them"
            )

    # --- the file's bytes --------------------------------------------------------------------

    def number(self, at: int, size: int, what: str) -> int:
        """A number at a place in the file."""
        piece = self.data[at : at + size]
        if at < 0 or len(piece) != size:
            self.refuse(f"it ends inside {what}")
        return int.from_bytes(piece, "little")

    def _unpack(self, form: str, at: int, what: str) -> tuple[int, ...]:
        if at < 0 or at + struct.calcsize(form) > len(self.data):
            self.refuse(f"it ends inside {what}")
        return struct.unpack_from(form, self.data, at)

    def _section(self, at: int, index: int) -> Section:
        if at + _SECTION.size > len(self.data):
            self.refuse(f"it ends inside the header of section {index}")
        raw_name, size, rva, raw_size, raw, _, _, _, _, flags = _SECTION.unpack_from(
            self.data, at
        )
        name = raw_name.rstrip(b"\0").decode("latin-1")
        if name.startswith("/") and name[1:].isdecimal():
            name = self.string_at(int(name[1:])) or name
        size = size or raw_size
        if rva + size > self.size:
            self.refuse(
                f"section {index} ({name}) lies at {rva:#x} to {rva + size:#x}, outside of"
                f" the image of {self.size:#x} bytes"
            )
        if raw_size and raw + raw_size > len(self.data):
            self.refuse(
                f"section {index} ({name}) has bytes {raw:#x} to {raw + raw_size:#x} of the"
                f" file, which has {len(self.data):#x}"
            )
        data = self.data[raw : raw + min(raw_size, size)] if raw_size else b""
        return Section(name, rva, size, data, bool(flags & _WRITE), bool(flags & _EXECUTE))

    def string_at(self, offset: int) -> str:
        """A name in the string table behind the symbols; empty where there is none."""
        table, count = self._symbol_table
        start = table + _SYMBOL_SIZE * count + offset
        end = self.data.find(b"\0", start) if table and start < len(self.data) else -1
        return self.data[start:end].decode("latin-1") if end >= 0 else ""

    def symbol_records(self) -> list[bytes]:
        """The records of the COFF symbol table, as far as the file has them."""
        table, count = self._symbol_table
        if not table:
            return []
        have = max(len(self.data) - table, 0) // _SYMBOL_SIZE
        return [
            self.data[table + _SYMBOL_SIZE * i : table + _SYMBOL_SIZE * (i + 1)]
            for i in range(min(count, have))
        ]

    # --- the image ---------------------------------------------------------------------------

    def directory(self, number: int) -> tuple[int, int]:
        """Where in the image a data directory lies, and its bytes; (0, 0) for none."""
        if number >= len(self._directories):
            return 0, 0
        rva, size = self._directories[number]
        return (rva, size) if rva else (0, 0)

    @property
    def has_pages(self) -> bool:
        """Whether each section has pages of its own, and so permissions of its own."""
        return self._alignment >= PAGE_SIZE and all(
            not each.rva % PAGE_SIZE for each in self.sections
        )

    @cached_property
    def image(self) -> bytearray:
        """The image as it lies in memory, at the address it was linked for."""
        memory = bytearray(self.size)
        memory[: self.header_size] = self.data[: self.header_size]
        for each in self.sections:
            memory[each.rva : each.rva + len(each.data)] = each.data
        return memory


def _path(given: object) -> Path:
    """Take the path of a file."""
    named = given.__fspath__() if isinstance(given, PathLike) else given
    if not isinstance(named, str):
        raise TypeError(
            f"path {shown(given)}: give the path of a .sys file, as a text or a Path"
        )
    if not named or "\0" in named:
        raise ValueError(f"path {shown(given)}: give the path of a .sys file")
    return Path(named)


def read_pe(path: str | PathLike[str]) -> PeFile:
    """Read a PE file.

    Args:
        path: of the file.

    Raises:
        ImageError: it is no PE file, or one that no loader would load.
        OSError: it cannot be read.
        TypeError: no path.
        ValueError: a path that no file has.
    """
    path = _path(path)
    size = path.stat().st_size
    if not path.is_file():
        raise ImageError(str(path), "no file: give a .sys file")
    if size > _MOST_FILE_BYTES:
        raise ImageError(path.name, f"it has {size} bytes: give at most {_MOST_FILE_BYTES}")
    return PeFile(path.name, path.read_bytes())
