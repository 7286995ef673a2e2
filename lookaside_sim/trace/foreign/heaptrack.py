"""The raw data of heaptrack: ``heaptrack.PROGRAM.PID.zst`` or ``.gz``, interpreted or not (``--raw``).

Its lines refer to lines before by number: an allocation (``+``) and a free (``-``) to a kind (``a``: bytes
and a stack), a stack (``t``) to an instruction and the stack it was called from, an instruction (``i``)
to strings (``s``). Addresses are left out, so which of several live blocks of a kind was freed is
not known: the newest is taken. For counters of lists that makes no difference.

Data that was not interpreted yet has addresses instead: of the block in its allocation and free, and of the
instruction in a stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from lookaside_sim.trace.event import Event
from lookaside_sim.trace.foreign.heap import Heap

_MILLISECOND: Final = 1000
_HEAD: Final = re.compile(r"v [0-9a-f]+( [0-9a-f]+)?\s*\Z")
_SIZED_STRINGS: Final = 3
"""The version of the format from which on a string has its length in front."""
_NEW: Final = "operator new"
"""Functions that nobody takes for the call site."""


def looks_so(line: str) -> bool:
    """Whether a line begins such a recording."""
    return _HEAD.match(line) is not None


def read(lines: Iterable[tuple[int, str]], heap: Heap) -> Iterator[Event]:
    """Read a recording.

    Args:
        lines: its lines, with numbers.
        heap: what keeps track.

    Yields:
        Its events; the call site is the function that called malloc, or the instruction.

    Raises:
        TraceError: a line that is none of such a recording.
    """
    tables = _Tables()
    live: dict[int, list[int]] = {}
    blocks = 0
    time = 0
    for number, text in lines:
        mark, _, rest = text.rstrip("\r\n").partition(" ")
        parts = rest.split()
        try:
            if mark == "+":
                if len(parts) == 3:
                    size, stack, address = (int(part, 16) for part in parts)
                    site = tables.stacks[stack]
                    yield from heap.allocated(number, time, ("raw", address), size, site=site)
                    continue
                kind = int(parts[0], 16)
                size, site = tables.kinds[kind]
                blocks += 1
                live.setdefault(kind, []).append(blocks)
                yield from heap.allocated(number, time, blocks, size, site=site)
            elif mark == "-":
                found = int(parts[0], 16)
                block = ("raw", found) if tables.is_raw else live[found].pop()
                yield from heap.freed(number, time, block)
            elif mark == "c":
                time = int(parts[0], 16) * _MILLISECOND
            elif mark in tables.adds:
                tables.adds[mark](rest, parts)
            elif len(mark) > 1 or (not mark and rest):
                raise ValueError
        except (ValueError, IndexError, KeyError):
            raise heap.refuse(
                number, None, f"no line of heaptrack's raw data: {text.strip()[:40]!r}"
            ) from None


class _Tables:
    """What lines refer to by number."""

    def __init__(self) -> None:
        self.is_raw = False
        self.kinds: list[tuple[int, str]] = []
        self.stacks = [""]
        self._version = 0
        self._functions = [""]
        self._strings = [""]
        self.adds = {
            "v": self._add_version,
            "m": self._add_module,
            "s": self._add_string,
            "i": self._add_instruction,
            "t": self._add_stack,
            "a": self._add_kind,
        }

    def _add_version(self, rest: str, parts: list[str]) -> None:
        self._version = int(parts[1], 16) if len(parts) > 1 else 1

    def _add_module(self, rest: str, parts: list[str]) -> None:
        # Who interprets the data takes these out.
        self.is_raw = True

    def _add_string(self, rest: str, parts: list[str]) -> None:
        text = rest.partition(" ")[2] if self._version >= _SIZED_STRINGS else rest
        self._strings.append(text)

    def _add_instruction(self, rest: str, parts: list[str]) -> None:
        function = self._strings[int(parts[2], 16)] if len(parts) > 2 else ""
        self._functions.append(function or f"0x{int(parts[0], 16):x}")

    def _add_stack(self, rest: str, parts: list[str]) -> None:
        instruction, parent = int(parts[0], 16), int(parts[1], 16)
        site = f"{instruction:#x}" if self.is_raw else self._functions[instruction]
        if site.startswith(_NEW):
            site = self.stacks[parent] or site
        self.stacks.append(site)

    def _add_kind(self, rest: str, parts: list[str]) -> None:
        self.kinds.append((int(parts[0], 16), self.stacks[int(parts[1], 16)]))
