"""Memory: showing, changing and searching it.

Source:
    [doc] Microsoft, Debugging Tools for Windows: ``d, da, db, dd, dp, dq, du, dw``, ``dds, dps,
    dqs``, ``e, ea, eb, ed, eq, ew``, ``s (Search Memory)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import attrs

from lookaside_sim.kd.numbers import address_text, printable_bytes
from lookaside_sim.kd.refusal import Refusal, missing, syntax
from lookaside_sim.kd.shell import Shell

_DEFAULT_BYTES: Final = 0x80
_ROW: Final = 16
_TEXT_ROW: Final = 48
"""Characters in a row of ``da`` and ``du``, as documented."""
_LONGEST_TEXT: Final = 0x1000
_MOST_ROWS: Final = 0x1000
_MOST_HITS: Final = 0x100
_STRING: Final = re.compile(r'"([^"]*)"')


# --- showing -------------------------------------------------------------------------------------


@attrs.frozen
class Style:
    """How a command shows memory.

    Attributes:
        size: bytes of a unit; 0 for those of a pointer.
        per_row: units in a row.
        with_text: whether the characters follow.
        with_symbols: whether symbols follow.
    """

    size: int
    per_row: int
    with_text: bool = False
    with_symbols: bool = False


STYLES: Final = {
    "db": Style(1, 16, with_text=True),
    "dw": Style(2, 8),
    "dd": Style(4, 4),
    "dc": Style(4, 4, with_text=True),
    "dq": Style(8, 2),
    "dp": Style(0, 0),
    "dps": Style(0, 1, with_symbols=True),
    "dds": Style(4, 1, with_symbols=True),
    "dqs": Style(8, 1, with_symbols=True),
}
"""By the name of the command."""


def display(name: str) -> Callable[[Shell, str], str]:
    """Make a command that shows memory as numbers.

    Args:
        name: of the command, one of `STYLES`.
    """
    style = STYLES[name]

    def show(shell: Shell, arguments: str) -> str:
        unit = style.size or shell.pointer_size
        start, size = _range(shell, arguments, unit, _DEFAULT_BYTES)
        row = unit * (style.per_row or _ROW // unit)
        if size > row * _MOST_ROWS:
            raise Refusal(f"Range error in '{name} {arguments}': at most {_MOST_ROWS:#x} rows")
        end = min(start + size, 1 << 8 * shell.pointer_size)
        shell.next_address = end & (1 << 8 * shell.pointer_size) - 1
        shell.last_value = shell.word_at(start, unit) or 0
        return "\n".join(
            _shown_row(shell, at, min(row, end - at), unit, style)
            for at in range(start, end, row)
        )

    return show


def _range(shell: Shell, arguments: str, unit: int, default: int) -> tuple[int, int]:
    """The start and bytes of a range; without an address from where the last one ended."""
    if not arguments.strip():
        return shell.next_address, default
    reader = shell.reader(arguments)
    found = reader.range(unit)
    reader.end()
    size = default if found.size is None else -(-found.size // unit) * unit
    return found.start, size


def _shown_row(shell: Shell, at: int, size: int, unit: int, style: Style) -> str:
    seen = shell.kernel.peek(at, size)
    words = []
    for offset in range(0, size, unit):
        part = seen[offset : offset + unit]
        known = [byte for byte in part if byte is not None]
        word = int.from_bytes(known, "little") if len(known) == unit else None
        words.append(_word(word, unit))
    line = f"{address_text(at, shell.pointer_size)}  "
    if style.with_text:
        separators = [" "] * len(words)
        if unit == 1 and len(words) > 8:
            separators[7] = "-"
        pairs = zip(words, separators, strict=True)
        numbers = "".join(word + separator for word, separator in pairs)[:-1]
        text = "".join("?" if byte is None else printable_bytes(bytes([byte])) for byte in seen)
        width = style.per_row * (2 * unit + 1) - 1
        return f"{line}{numbers:<{width}}  {text}"
    line += " ".join(words)
    if style.with_symbols and None not in seen:
        symbol = shell.symbols.text(int.from_bytes(bytes(b or 0 for b in seen), "little"))
        line += f" {symbol}" if symbol else ""
    return line


def _word(word: int | None, unit: int) -> str:
    if word is None:
        return "????????`????????" if unit == 8 else "?" * (2 * unit)
    return address_text(word, 8) if unit == 8 else f"{word:0{2 * unit}x}"


def display_text(unit: int) -> Callable[[Shell, str], str]:
    """Make a command that shows memory as text, up to the first zero.

    Args:
        unit: bytes of a character: 1 for ``da``, 2 for ``du``.
    """

    def show(shell: Shell, arguments: str) -> str:
        start, size = _range(shell, arguments, unit, 0)
        at, end = start, start + (size or _LONGEST_TEXT)
        lines: list[str] = []
        while at < end:
            row, stopped = "", False
            begin = at
            while at < end and len(row) < _TEXT_ROW and not stopped:
                character = shell.word_at(at, unit)
                stopped = character == 0
                if character is None:
                    row += "?"
                elif character:
                    row += chr(character) if chr(character).isprintable() else "."
                at += unit
            lines.append(f'{shell.text(begin)}  "{row}"')
            if stopped:
                break
        shell.next_address = at
        return "\n".join(lines)

    return show


# --- changing ------------------------------------------------------------------------------------


def enter(name: str, unit: int) -> Callable[[Shell, str], str]:
    """Make a command that changes memory of a copy: what if?

    Args:
        name: of the command.
        unit: bytes of a value; 0 for those of a pointer.
    """

    def change(shell: Shell, arguments: str) -> str:
        size = unit or shell.pointer_size
        reader = shell.reader(arguments)
        address = reader.address()
        data = b""
        if not reader.rest:
            raise missing()
        while reader.rest:
            text = _STRING.match(reader.rest)
            if text is not None:
                data += text[1].encode("latin-1", "replace")
                reader = shell.reader(reader.rest[text.end() :])
                continue
            value = reader.expression()
            data += (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        return poke(shell, address, data, f"{name} {arguments}")

    return change


def poke(shell: Shell, address: int, data: bytes, command: str) -> str:
    """Change memory of the copy as a debugger does: nobody is asked, nothing stops.

    Raises:
        Refusal: some of it is not mapped, or cannot be written.
    """
    region = shell.kernel.memory.region_at(address)
    if shell.peek(address, len(data)) is None or (region is not None and not region.writable):
        raise Refusal(f"Memory access error in '{command.strip()}'")
    first = shell.what_if is None
    shell.changed_copy(command).memory.write(address, data)
    return what_if(shell) if first else ""


def what_if(shell: Shell) -> str:
    """What is said when a copy is changed for the first time."""
    return f"What if: a copy of the machine at {shell.target.position_text} is changed."


# --- searching -----------------------------------------------------------------------------------


_SEARCH: Final = {"b": 1, "w": 2, "d": 4, "q": 8, "a": 1, "u": 2}
_ROW_STYLE: Final = {"b": "db", "w": "dw", "d": "dd", "q": "dq", "a": "db", "u": "dw"}


def search(shell: Shell, arguments: str) -> str:
    """The command ``s``."""
    kind = "b"
    found = re.match(r"-\[?([1-9]*)\]?([a-z])\s+", arguments)
    if found is not None:
        if found[2] not in _SEARCH:
            raise syntax(arguments)
        kind, arguments = found[2], arguments[found.end() :]
    unit = _SEARCH[kind]
    reader = shell.reader(arguments)
    area = reader.range(unit)
    if area.size is None:
        raise missing(reader.rest)
    pattern = _pattern(shell, reader.rest, kind, unit)
    hits: list[int] = []
    for at, data in _pieces(shell, area.start, area.size):
        where = data.find(pattern)
        while where >= 0 and len(hits) <= _MOST_HITS:
            if not (at + where - area.start) % unit or kind in "au":
                hits.append(at + where)
            where = data.find(pattern, where + 1)
    style = STYLES[_ROW_STYLE[kind]]
    lines = [_shown_row(shell, at, _ROW, unit, style) for at in hits[:_MOST_HITS]]
    if len(hits) > _MOST_HITS:
        lines.append(f"... more than {_MOST_HITS} hits: give a narrower range")
    return "\n".join(lines)


def _pattern(shell: Shell, text: str, kind: str, unit: int) -> bytes:
    quoted = _STRING.fullmatch(text)
    if kind in "au":
        if quoted is None:
            raise syntax(text)
        return quoted[1].encode("latin-1" if kind == "a" else "utf-16-le", "replace")
    if quoted is not None:
        return quoted[1].encode("latin-1", "replace")
    reader, pattern = shell.reader(text), b""
    if not reader.rest:
        raise missing()
    while reader.rest:
        pattern += (reader.expression() & (1 << 8 * unit) - 1).to_bytes(unit, "little")
    return pattern


def _pieces(shell: Shell, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The mapped pieces of a range, those that touch joined."""
    memory = shell.kernel.memory
    end = min(start + size, 1 << 8 * shell.pointer_size)
    joined: list[tuple[int, int]] = []
    for first, behind in memory.mapped_ranges(start, end):
        if joined and joined[-1][1] == first:
            joined[-1] = joined[-1][0], behind
        else:
            joined.append((first, behind))
    for first, behind in joined:
        data = memory.peek_bytes(first, behind - first)
        if data is not None:  # a list whose own memory is gone cannot be seen
            yield first, data
