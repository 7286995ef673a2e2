"""Where a recording would stop next: which breakpoint is met first, forward or back.

What matches is found in the recording's columns, so that a search over a long one makes no
value for each of its calls, and is kept, so that going on costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs

from lookaside_sim.kd.breakpoints import Breakpoint, Kind
from lookaside_sim.kd.symbols import NT
from lookaside_sim.run.kinds import KINDS
from lookaside_sim.run.rows import Node, Ran, Row, Shape
from lookaside_sim.run.run import Run
from lookaside_sim.run.watch import Access

_ALLOCATES: Final = frozenset({"ExAllocatePoolWithTag"})
_FREES: Final = frozenset({"ExFreePool", "ExFreePoolWithTag"})
"""ExFreePool goes on to ExFreePoolWithTag, so a stop at either is one for both."""
_INSIDE: Final = {"miss": _ALLOCATES, "full": _FREES}
"""What a list's default routines call, by the branch."""
_NOT_NT: Final = frozenset({"program", "time"})
"""What a call is of that is of no routine of NT's."""


def routines_of(shape: Shape) -> frozenset[str]:
    """The routines that calls of a shape enter, but for those that the program's own make."""
    name = KINDS[shape.kind].routine
    own = _FREES if name in _FREES else frozenset({name})
    return own | _INSIDE.get(shape.branch, frozenset())


def known_routines() -> frozenset[str]:
    """Every routine that a call can be of."""
    return frozenset(kind.routine for kind in KINDS.values()) | _FREES


def matches(pattern: str, routine: str) -> bool:
    """Whether a pattern with a module, such as ``nt!ExFree*``, means a routine."""
    name = routine if routine in _NOT_NT else f"{NT}!{routine}"
    return fnmatchcase(name.lower(), pattern.lower())


class Searches:
    """What was looked for in one recording.

    Args:
        run: the recording.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._calls: dict[str, list[int]] = {}
        self._lines: dict[tuple[str, int], list[int]] = {}
        self._accesses: dict[tuple[int, int, bool], list[Access]] = {}

    def calls(self, pattern: str) -> list[int]:
        """The positions after the calls of some routines, in order.

        Args:
            pattern: of the routine with its module.
        """
        found = self._calls.get(pattern)
        if found is None:
            found = self._calls[pattern] = self._find_calls(pattern)
        return found

    def _find_calls(self, pattern: str) -> list[int]:
        rows = self._run.rows
        wanted = {
            number
            for number, shape in enumerate(rows.shapes)
            if any(matches(pattern, each) for each in routines_of(shape))
        }
        shapes, _, _ = rows.columns()
        inside = rows.inside
        found = [
            number
            for number, shape in enumerate(shapes)
            if shape in wanted
            and (number not in inside or self._enters(pattern, rows.row(number)))
        ]
        # Calls that only a routine of the program's own made.
        inner = [
            number
            for number, nodes in inside.items()
            if shapes[number] not in wanted
            and any(self._enters(pattern, each) for each in _rows(nodes))
        ]
        return sorted(number + 1 for number in (*found, *inner))

    def _enters(self, pattern: str, row: Row) -> bool:
        """Whether a call that the program's own routines took part in enters a routine."""
        has_routine = any(isinstance(each, Ran) for each in row.inside)
        routines = routines_of(row.shape)
        if has_routine:
            routines = frozenset({KINDS[row.shape.kind].routine})
        return any(matches(pattern, each) for each in routines) or any(
            self._enters(pattern, each) for each in _rows(row.inside)
        )

    def line(self, file: str, line: int) -> list[int]:
        """The positions after the calls made on a line: by itself, else by what it called."""
        found = self._lines.get((file, line))
        if found is None:
            found = self._lines[file, line] = self._find_line(file.lower(), line)
        return found

    def _find_line(self, file: str, line: int) -> list[int]:
        rows, stacks = self._run.rows, self._run.stacks
        sites = {
            number
            for number, site in enumerate(stacks.sites)
            if site.line == line and site.file.lower() == file
        }
        innermost = {n for n, stack in enumerate(stacks.stacks) if stack and stack[0] in sites}
        anywhere = {n for n, stack in enumerate(stacks.stacks) if sites.intersection(stack)}
        wanted = innermost or anywhere
        _, stack_of, _ = rows.columns()
        return [number + 1 for number, stack in enumerate(stack_of) if stack in wanted]

    def accesses(self, address: int, size: int, *, reads: bool) -> list[Access]:
        """The accesses to some memory, in order."""
        key = address, size, reads
        found = self._accesses.get(key)
        if found is None:
            found = self._accesses[key] = self._run.history(address, size, reads=reads)
        return found

    def beside(self, breakpoint_: Breakpoint, position: int, *, back: bool) -> int | None:
        """The next position at which a breakpoint is met, or the last one before.

        Args:
            breakpoint_: which.
            position: where the search starts; a hit there does not count.
            back: whether to look back.
        """
        if breakpoint_.kind is Kind.CODE:
            return _beside(self.calls(breakpoint_.pattern), position, back=back)
        if breakpoint_.kind is Kind.LINE:
            lines = self.line(breakpoint_.pattern, breakpoint_.line)
            return _beside(lines, position, back=back)
        return self._beside_access(breakpoint_, position, back=back)

    def _beside_access(
        self, breakpoint_: Breakpoint, position: int, *, back: bool
    ) -> int | None:
        address, size = breakpoint_.address, breakpoint_.size
        reads = breakpoint_.access == "r"
        known = self._accesses.get((address, size, reads))
        if known is not None:
            positions = [each.step.number + 1 for each in known]
            return _beside(positions, position, back=back)
        start = max(position - 1, 0) if back else position
        found = self._run.accesses(address, size, reads=reads, start=start, back=back)
        access = next(found, None)
        return None if access is None else access.step.number + 1


def _rows(nodes: Iterable[Node]) -> Iterator[Row]:
    """The calls that some nodes are, or that routines among them made."""
    for node in nodes:
        if isinstance(node, Row):
            yield node
        elif isinstance(node, Ran):
            yield from _rows(node.inside)


@attrs.frozen
class Hit:
    """A breakpoint that is met.

    Attributes:
        position: the moment after the call.
        breakpoint: which one.
    """

    position: int
    breakpoint: Breakpoint


def next_stop(
    searches: Searches, position: int, breakpoints: Sequence[Breakpoint], *, back: bool
) -> Hit | None:
    """The first breakpoint that is met from a position on.

    A breakpoint that has to be met several times counts down, and the search goes on.

    Args:
        searches: of the recording.
        position: where it starts; a hit there does not count.
        breakpoints: the enabled ones.
        back: whether time runs back.
    """
    while True:
        here: list[Breakpoint] = []
        nearest: int | None = None
        for each in breakpoints:
            met = searches.beside(each, position, back=back)
            if met is None:
                continue
            if nearest is None or (met > nearest if back else met < nearest):
                nearest, here = met, []
            if met == nearest:
                here.append(each)
        if nearest is None:
            return None
        position = nearest
        for each in here:
            each.left -= 1
        stops = [each for each in here if each.left <= 0]
        if stops:
            for each in stops:
                each.left = 1
            return Hit(position, stops[0])


def _beside(positions: Sequence[int], position: int, *, back: bool) -> int | None:
    """The last of some positions before one, or the first behind it."""
    if back:
        at = bisect_left(positions, position)
        return positions[at - 1] if at else None
    at = bisect_right(positions, position)
    return positions[at] if at < len(positions) else None
