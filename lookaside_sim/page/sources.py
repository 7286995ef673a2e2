"""Where steps came from: the program's lines, their stacks, and the texts around them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import PurePath
from typing import Final

from lookaside_sim.run import Site

MOST_LINES: Final = 400
"""Lines of a file that is there whole."""
_AROUND: Final = 12
"""Lines kept around each line that a step came from, of a longer file."""
_STARTERS: Final = frozenset(
    {("script.py", "record_script_runs"), ("program.py", "run_program")}
)
"""Of this package's own: where a script and a lesson's program are run."""
_HERE: Final = PurePath(__file__).parent.parent

File = tuple[str, str, list[tuple[int, list[str]]]]
"""Path, name, and pieces of text: the number of the first line, and the lines."""


class Sources:
    """The sites of a run, and its stacks.

    Attributes:
        sites: path, line and function, by number.
        stacks: numbers of sites, innermost first, by number.
    """

    def __init__(self) -> None:
        self.sites: dict[tuple[str, int, str], int] = {}
        self.stacks: dict[tuple[int, ...], int] = {(): 0}

    def number_of(self, stack: tuple[Site, ...]) -> int:
        """The number of a stack; a new one for a new stack."""
        sites = tuple(
            self.sites.setdefault((each.path, each.line, each.function), len(self.sites))
            for each in takewhile(_is_behind_start, stack)
            if _is_program(each.path)
        )
        return self.stacks.setdefault(sites, len(self.stacks))

    def files(self, texts: Mapping[str, str], most: int) -> list[File]:
        """The files that made calls: whole when short, else the lines around what ran.

        Of who called those there are names only.

        Args:
            texts: of the files, by path.
            most: lines of a file that is there whole.
        """
        sites, used = list(self.sites), dict[str, set[int]]()
        for stack in filter(None, self.stacks):
            path, line, _ = sites[stack[0]]
            used.setdefault(path, set()).add(line)
        return [
            (path, PurePath(path).name, _pieces(texts.get(path, "").splitlines(), lines, most))
            for path, lines in used.items()
        ]


def _is_behind_start(site: Site) -> bool:
    """Whether a line is not yet where a program was started: that is nobody's question."""
    return (site.path, site.function) not in _STARTERS


def _is_program(path: str) -> bool:
    """Whether a line is the program's own: not Python's way into a script, nor this package."""
    return not path.startswith("<frozen ") and not PurePath(path).is_relative_to(_HERE)


def _pieces(text: list[str], used: set[int], most: int) -> list[tuple[int, list[str]]]:
    if len(text) <= most:
        return [(1, text)]
    wanted = {
        each
        for line in used
        for each in range(line - _AROUND, line + _AROUND + 1)
        if 1 <= each <= len(text)
    }
    pieces: list[tuple[int, list[str]]] = []
    for each in sorted(wanted):
        if pieces and pieces[-1][0] + len(pieces[-1][1]) == each:
            pieces[-1][1].append(text[each - 1])
        else:
            pieces.append((each, [text[each - 1]]))
    return pieces
