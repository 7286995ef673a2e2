"""A heap as other tools see it, by addresses, turned into events with ids."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from typing import Final

from lookaside_sim.errors import TraceError
from lookaside_sim.nt.types import NONE_TAG, PoolTag, PoolType
from lookaside_sim.trace.event import Event

MICROSECONDS: Final = 1_000_000
_CLOCK: Final = re.compile(r"(\d+):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\Z")
_SECONDS: Final = re.compile(r"(\d+)(?:\.(\d{1,9}))?\Z")


def cells_of(line: str) -> list[str]:
    """The cells of a line of CSV.

    Args:
        line: one, with its end or without.

    Raises:
        ValueError: it is none.
    """
    try:
        return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")]), [])]
    except csv.Error as error:
        raise ValueError(f"not a line of CSV: {error}") from None


class Heap:
    """Who is live, and by which id.

    A recording begins and ends in the middle of a program's life, and loses calls. So a free of what
    was allocated before is left out, and an allocation at an address that is live frees it first.

    Args:
        name: what errors call the recording.
        site_name: what a call site that a line names is called.

    Attributes:
        unknown: frees that were left out.
    """

    def __init__(self, name: str, site_name: Callable[[str], str] = str) -> None:
        self.name = name
        self.site_name = site_name
        self.unknown = 0
        self._live: dict[object, int] = {}
        self._next = 0
        self._start: int | None = None
        self._time = 0

    def allocated(
        self,
        line: int,
        time: int | None,
        address: object,
        size: int,
        *,
        tag: PoolTag = NONE_TAG,
        pool: PoolType = PoolType.NonPagedPool,
        site: str | None = None,
    ) -> list[Event]:
        """Take note of an allocation.

        Args:
            line: of the recording.
            time: in microseconds of the recording's clock; None for that of the call before.
            address: where it lies, or whatever names it.
            size: bytes.
            tag: its tag.
            pool: its pool type.
            site: its call site.

        Returns:
            The events that say so.
        """
        events = self.freed(line, time, address) if address in self._live else []
        self._next += 1
        self._live[address] = self._next
        at = self._at(time)
        events.append(
            Event("alloc", at, self._next, size, tag, pool, line=line, site=site or None)
        )
        return events

    def freed(self, line: int, time: int | None, address: object) -> list[Event]:
        """Take note of a free.

        Args:
            line: of the recording.
            time: as for `allocated`.
            address: what is freed.

        Returns:
            The events that say so.
        """
        at = self._at(time)
        identity = self._live.pop(address, None)
        if identity is None:
            self.unknown += 1
            return []
        return [Event("free", at, identity, line=line)]

    def _at(self, time: int | None) -> int:
        """The time since the first call, which never runs back."""
        if time is not None:
            if self._start is None:
                self._start = time
            self._time = max(self._time, time - self._start)
        return self._time

    def refuse(self, line: int, field: str | None, problem: str) -> TraceError:
        """Make the error of a line that cannot be read."""
        return TraceError(self.name, line, field, problem)

    def cells(self, line: int, text: str) -> list[str]:
        """Read the cells of a line of CSV."""
        try:
            return cells_of(text)
        except ValueError as error:
            raise self.refuse(line, None, str(error)) from None

    def number(self, line: int, field: str, text: str) -> int:
        """Read a number, hexadecimal with ``0x``, decimal otherwise."""
        try:
            value = int(text.replace(",", ""), 16 if text[:2].lower() == "0x" else 10)
        except ValueError:
            value = -1
        if value < 0:
            raise self.refuse(line, field, f"{text[:40]!r}: give a number, 0 or more")
        return value

    def microseconds(self, line: int, field: str, text: str) -> int:
        """Read seconds, with a fraction or as a time of day."""
        found = _CLOCK.match(text)
        if found is not None:
            hours, minutes, seconds, fraction = found.groups()
            whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
        else:
            found = _SECONDS.match(text.replace(",", ""))
            if found is None:
                raise self.refuse(line, field, f"{text[:40]!r}: give a time in seconds")
            whole, fraction = int(found[1]), found[2]
        return whole * MICROSECONDS + int((fraction or "0")[:6].ljust(6, "0"))
