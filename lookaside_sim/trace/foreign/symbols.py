"""Names of functions for addresses in a program's files, from their symbol tables (ELF).

A stripped file keeps the names that other files may use, such as a library's; the program itself has none then.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple

FRAMES: Final = " < "
"""Stands between the frames of a call site."""
_MAGIC: Final = b"\x7fELF"
_SYMTAB: Final = 2
_DYNSYM: Final = 11
_FUNCTIONS: Final = (2, 10)
"""Types of symbols: a function, and one that is chosen when the program starts."""
_MOST_BYTES: Final = 1 << 28
"""Of a table: only a damaged file has more."""


class _Function(NamedTuple):
    start: int
    end: int
    name: str


class _Layout(NamedTuple):
    """What files of one width have where, as formats of struct."""

    header: str
    """Offset, size and number of the section headers."""
    section: str
    """Name, type, flags, address, offset, size, link, info, alignment, size of an entry."""
    symbol: str
    fields: tuple[int, int, int, int, int]
    """Places of name, type, section, value and size in a symbol."""


_LAYOUTS: Final = {
    1: _Layout("32xI10xHH", "10I", "IIIBBH", (0, 3, 5, 1, 2)),
    2: _Layout("40xQ10xHH", "IIQQQQIIQQ", "IBBHQQ", (0, 1, 3, 4, 5)),
}


class SiteNames:
    """Turns call sites as the preloaded library writes them into what people read.

    ``/usr/bin/demo+0x1189`` becomes ``demo!make_node+0x23``, or ``demo+0x1189`` where no function is known.
    """

    def __init__(self) -> None:
        self._functions: dict[str, list[_Function]] = {}

    def __call__(self, site: str) -> str:
        """Name a site.

        Args:
            site: its frames, the innermost first.
        """
        return FRAMES.join(map(self._frame, site.split(FRAMES)))

    def _frame(self, frame: str) -> str:
        path, _, offset = frame.rpartition("+")
        try:
            address = int(offset, 16)
        except ValueError:
            return frame
        if not path.startswith("/"):
            return frame
        functions = self._functions.get(path)
        if functions is None:
            functions = self._functions[path] = functions_of(Path(path))
        module = PurePosixPath(path).name
        # The address is that behind the call, which may be the function's last instruction.
        at = bisect_right(functions, address - 1, key=itemgetter(0)) - 1
        if at >= 0 and address - 1 < functions[at].end:
            found = functions[at]
            return f"{module}!{found.name}+{address - found.start:#x}"
        return f"{module}+{address:#x}"


def functions_of(path: Path) -> list[_Function]:
    """Read which functions a file has, and where.

    Args:
        path: a program or library.

    Returns:
        They, in order of their addresses; none where it is no such file, or names none.
    """
    try:
        with path.open("rb") as file:
            return sorted(set(_read(file)))
    except (OSError, ValueError, struct.error):
        return []


def _read(file: IO[bytes]) -> Iterator[_Function]:
    head = file.read(64)
    if head[:4] != _MAGIC or head[4] not in _LAYOUTS:
        return
    layout = _LAYOUTS[head[4]]
    order = ">" if head[5] == 2 else "<"
    start, size, count = struct.unpack_from(order + layout.header, head)
    row, symbol = struct.Struct(order + layout.section), struct.Struct(order + layout.symbol)
    sections = [row.unpack(_part(file, start + at * size, row.size)) for at in range(count)]
    tables = [each for each in sections if each[1] in (_SYMTAB, _DYNSYM) and each[6] < count]
    for table in tables:
        _, _, _, _, offset, length, link, *_ = table
        texts = _part(file, *sections[link][4:6])
        whole = _part(file, offset, length // symbol.size * symbol.size)
        for fields in symbol.iter_unpack(whole):
            name, kind, section, value, length = (fields[at] for at in layout.fields)
            if kind & 0xF in _FUNCTIONS and section and length:
                text = texts[name : texts.find(b"\0", name)].decode("utf-8", "replace")
                yield _Function(value, value + length, text)


def _part(file: IO[bytes], start: int, length: int) -> bytes:
    if length > _MOST_BYTES:
        raise ValueError(length)
    file.seek(start)
    return file.read(length)
