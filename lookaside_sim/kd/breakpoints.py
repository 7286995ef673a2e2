"""Breakpoints: what was set, how it is listed, what it stops for.

Source:
    [doc] Microsoft, Debugging Tools for Windows: ``bp, bu, bm``, ``ba``, ``bl``, ``bc``, ``bd``,
    ``be``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum

import attrs

from lookaside_sim.kd.refusal import Refusal

_RANGE = re.compile(r"([0-9a-f]+)-([0-9a-f]+)\Z", re.IGNORECASE)


class Kind(Enum):
    """What a breakpoint stops for."""

    CODE = "a call of a routine"
    LINE = "a call made on a line of the program"
    DATA = "an access to memory"


@attrs.define
class Breakpoint:
    """One breakpoint.

    Attributes:
        number: as ``bl`` lists it.
        kind: what it stops for.
        pattern: of CODE the routine with its module, ``*`` and ``?`` as wildcards; of LINE the
            file's name.
        line: of LINE.
        address: of DATA.
        size: bytes, of DATA.
        access: of DATA: ``w`` for writes, ``r`` for reads too.
        passes: how often it is met before it stops, 1 for the first time.
        left: how often it has to be met yet.
        command: what is executed when it stops.
        enabled: whether it stops at all.
    """

    number: int
    kind: Kind
    pattern: str = ""
    line: int = 0
    address: int = 0
    size: int = 0
    access: str = ""
    passes: int = 1
    left: int = 1
    command: str = ""
    enabled: bool = True

    def text(
        self, address_text: Callable[[int], str], symbol: Callable[[int], str | None]
    ) -> str:
        """Its line of ``bl``."""
        state = "e" if self.enabled else "d"
        counts = f"{self.left:04x} ({self.passes:04x})"
        if self.kind is Kind.DATA:
            name = symbol(self.address) or ""
            what = f"{address_text(self.address)} {self.access} {self.size} {counts} {name}"
        elif self.kind is Kind.LINE:
            what = f"`{self.pattern}:{self.line}` {counts}"
        else:
            what = f"{self.pattern} {counts}"
        command = f' "{self.command}"' if self.command else ""
        return f"{self.number:2x} {state} {what.rstrip()}{command}"


class Breakpoints:
    """All breakpoints of one shell."""

    def __init__(self) -> None:
        self._by_number: dict[int, Breakpoint] = {}

    def __iter__(self) -> Iterator[Breakpoint]:
        return iter([self._by_number[number] for number in sorted(self._by_number)])

    def add(self, breakpoint_: Breakpoint) -> Breakpoint:
        """Set one; it gets the lowest free number."""
        number = next(n for n in range(len(self._by_number) + 1) if n not in self._by_number)
        breakpoint_.number = number
        self._by_number[number] = breakpoint_
        return breakpoint_

    def enabled(self) -> list[Breakpoint]:
        """Those that stop."""
        return [each for each in self if each.enabled]

    def address_of(self, number: int) -> int | None:
        """The address of a breakpoint on memory, None for another one."""
        found = self._by_number.get(number)
        return None if found is None or found.kind is not Kind.DATA else found.address

    def chosen(self, text: str) -> list[Breakpoint]:
        """The breakpoints that a text names: numbers, ranges, ``*``.

        Raises:
            Refusal: it names none.
        """
        words = text.replace(",", " ").split()
        if not words:
            raise Refusal("Give the numbers of breakpoints, or *; bl lists them")
        found: dict[int, Breakpoint] = {}
        for word in words:
            span = _RANGE.match(word)
            if word == "*":
                numbers = list(self._by_number)
            elif span is not None:
                first, last = int(span[1], 16), int(span[2], 16)
                numbers = [each for each in self._by_number if first <= each <= last]
            elif re.fullmatch("[0-9a-fA-F]+", word) and int(word, 16) in self._by_number:
                numbers = [int(word, 16)]
            else:
                raise Refusal(f"Breakpoint {word} does not exist; bl lists them")
            found |= {each: self._by_number[each] for each in numbers}
        return list(found.values())

    def clear(self, text: str) -> None:
        """Take breakpoints away."""
        for each in self.chosen(text):
            del self._by_number[each.number]
