"""Where the calls of a run were made: stacks of the program's lines, numbered.

A line that got a code address keeps it, so that a replay shows the same address in a stop or a
leak, wherever it runs.
"""

from __future__ import annotations

import contextlib
import linecache
import sys
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Final

import attrs

from lookaside_sim.machine.call_site import HELPER, CallSite, behind_helpers, is_inside

DEEPEST: Final = 8
"""Frames of a stack that are kept."""
_MOST_TEXT: Final = 1 << 20
"""Characters of source texts that a run keeps."""


@attrs.frozen
class Site:
    """One line of the program.

    Attributes:
        file: name of the source file, without its folder.
        line: line number.
        function: qualified name of the function.
        path: of the source file, as Python had it; without a folder for this package's own.
    """

    file: str
    line: int
    function: str
    path: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


class Stacks:
    """The stacks of one run.

    Attributes:
        sites: by number.
        stacks: the numbers of sites, innermost first, by number; the first is empty.
        addresses: the code address of a site, by the base of the image and its number.
        texts: source texts by path, of the files that made calls.
    """

    __slots__ = (
        "_by_frames",
        "_by_sites",
        "_code",
        "_numbers",
        "_unknown",
        "addresses",
        "sites",
        "stacks",
        "texts",
    )

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self.stacks: list[tuple[int, ...]] = [()]
        self.addresses: dict[tuple[int, int], int] = {}
        self.texts: dict[str, str] = {}
        self._by_frames: dict[tuple[int, ...], int] = {}
        self._by_sites: dict[tuple[int, ...], int] = {(): 0}
        self._numbers: dict[tuple[int, int] | tuple[CallSite, int], int] = {}
        self._code: dict[int, CodeType] = {}
        self._unknown: dict[tuple[int, int], tuple[CodeType, int]] = {}

    # --- while recording -------------------------------------------------------------------

    def of_frames(self, skipped: int) -> int:
        """The number of the stack of the program's frames.

        Args:
            skipped: frames around the caller that are known to be the package's own.
        """
        frame: FrameType | None = sys._getframe(1 + skipped)
        while frame is not None and is_inside(frame.f_globals.get("__name__")):
            frame = frame.f_back
        if frame is not None and HELPER in frame.f_globals:
            frame = behind_helpers(frame)
        key: list[int] = []
        first = frame
        while frame is not None and len(key) < 2 * DEEPEST:
            key += (id(frame.f_code), frame.f_lasti)
            frame = frame.f_back
        found = tuple(key)
        number = self._by_frames.get(found)
        if number is None:
            number = self._by_frames[found] = self._add(first)
        return number

    def _add(self, frame: FrameType | None) -> int:
        stack: list[int] = []
        while frame is not None and len(stack) < DEEPEST:
            code, line = frame.f_code, frame.f_lineno
            self._code[id(code)] = code  # its id stays its own
            place = id(code), line
            number = self._numbers.get(place)
            if number is None:
                path = code.co_filename
                if is_inside(frame.f_globals.get("__name__")):
                    path = path.replace("\\", "/").rpartition("/")[2]  # nobody shows its source
                number = self._numbers[place] = self._new_site(path, line, code.co_qualname)
            stack.append(number)
            frame = frame.f_back
        return self._stack(tuple(stack))

    def of_sites(self, given: Sequence[CallSite], image: int) -> int:
        """The number of a stack that somebody who runs without Python frames gives."""
        stack = []
        for site in given:
            if not site.line and not site.function:
                continue  # nobody's: a command ran this
            place = site, site.address
            number = self._numbers.get(place)
            if number is None:
                number = self._numbers[place] = self._new_site(
                    site.path or site.file, site.line, site.function
                )
            stack.append(number)
            if site.address:
                self.addresses[image, number] = site.address
        return self._stack(tuple(stack))

    def _new_site(self, path: str, line: int, function: str) -> int:
        file = path.replace("\\", "/").rpartition("/")[2]
        self.sites.append(Site(file, line, function, path))
        return len(self.sites) - 1

    def _stack(self, sites: tuple[int, ...]) -> int:
        number = self._by_sites.get(sites)
        if number is None:
            number = self._by_sites[sites] = len(self.stacks)
            self.stacks.append(sites)
        return number

    def has_address(self, stack: int, image: int) -> bool:
        """Whether the innermost line of a stack has a code address already, or there is none."""
        sites = self.stacks[stack]
        return not sites or (image, sites[0]) in self.addresses

    def ask_address(
        self, stack: int, image: int, known: Callable[[CodeType, int], int], skipped: int
    ) -> None:
        """Note the code address of the innermost line of a stack, if it has one by now."""
        frame: FrameType | None = sys._getframe(1 + skipped)
        while frame is not None and is_inside(frame.f_globals.get("__name__")):
            frame = frame.f_back
        if frame is not None:
            address = known(frame.f_code, frame.f_lasti)
            if address:
                self.addresses[image, self.stacks[stack][0]] = address

    def keep_texts(self) -> None:
        """Keep the source of each file that made calls, as far as there is room."""
        room = _MOST_TEXT
        innermost = (self.sites[each] for stack in self.stacks for each in stack[:2])
        for path in dict.fromkeys(site.path for site in innermost):
            if path == contextlib.__file__:
                continue  # where blocks are left; the program's own line is the next one
            text = "".join(linecache.getlines(path))
            if text and len(text) <= room:
                self.texts[path] = text
                room -= len(text)

    # --- afterwards ------------------------------------------------------------------------

    def stack(self, number: int) -> tuple[Site, ...]:
        """The sites of a stack, innermost first."""
        return tuple(self.sites[each] for each in self.stacks[number])

    def call_sites(self, number: int) -> tuple[CallSite, ...]:
        """The sites of a stack as the machine knows them, without code addresses."""
        return tuple(
            CallSite(each.file, each.line, each.function) for each in self.stack(number)
        )

    def call_site(self, number: int, image: int) -> CallSite | None:
        """The innermost site of a stack with the code address it has in an image."""
        sites = self.stacks[number]
        if not sites:
            return None
        site = self.sites[sites[0]]
        address = self.addresses.get((image, sites[0]), 0)
        return CallSite(site.file, site.line, site.function, address)
