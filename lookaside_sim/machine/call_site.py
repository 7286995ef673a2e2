"""Where in the simulated program a call came from.

The program is whatever Python code calls this package; its frames stand for the driver's
stack. They are told apart by the module's name, as paths differ from system to system.

A module of helpers that stand between the program and this package says so by a global
``__lookaside_helper__ = True``: a call is then told with the line that called the helper.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from types import CodeType, FrameType
from typing import Final

import attrs

_PACKAGE: Final = __name__.partition(".")[0]
_INSIDE: Final = _PACKAGE + "."
HELPER: Final = "__lookaside_helper__"
"""Global of a module whose frames are not told."""
_SITE_SPACING: Final = 0x10
"""Bytes between the addresses of two call sites. Choice."""
_DEEPEST_STACK: Final = 8
"""Frames of a stack that are kept, as the verifier's fault tracker keeps 8."""


@attrs.frozen
class CallSite:
    """One line of the program.

    Attributes:
        file: name of the source file, without its folder.
        line: line number.
        function: qualified name of the function.
        address: the made-up code address; 0 when none was given out.
        path: of the source file, where it is known.
    """

    file: str
    line: int
    function: str
    address: int = attrs.field(default=0, eq=False)
    path: str = attrs.field(default="", eq=False, repr=False)

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


class Sites:
    """The call sites of one image: for each line that made a call, a code address of its own.

    Args:
        start: address of the first one.
    """

    __slots__ = ("_by_instruction", "_by_line", "_start")

    def __init__(self, start: int) -> None:
        self._start = start
        self._by_line: dict[tuple[CodeType, int], CallSite] = {}
        self._by_instruction: dict[tuple[int, int], CallSite] = {}

    def of(self, frame: FrameType) -> CallSite:
        """The line that a frame runs."""
        # Which line an instruction is on takes a while to find out, and so does the hash of a
        # piece of code. Its id stays its own, since the other dict keeps it alive.
        instruction = id(frame.f_code), frame.f_lasti
        site = self._by_instruction.get(instruction)
        if site is None:
            line = frame.f_code, frame.f_lineno
            site = self._by_line.get(line)
            if site is None:
                address = self._start + len(self._by_line) * _SITE_SPACING
                site = self._by_line[line] = site_of(*line, address)
            self._by_instruction[instruction] = site
        return site

    def known(self, code: CodeType, instruction: int) -> int:
        """The address that an instruction's line was given; 0 where nobody asked for one yet."""
        site = self._by_instruction.get((id(code), instruction))
        return 0 if site is None else site.address


def calling_frame(skipped: int = 0) -> FrameType | None:
    """The innermost frame that is not this package's own.

    Args:
        skipped: frames around the caller that are known to be the package's own.
    """
    frame: FrameType | None = sys._getframe(1 + skipped)
    while frame is not None and is_inside(frame.f_globals.get("__name__")):
        frame = frame.f_back
    if frame is not None and HELPER in frame.f_globals:
        return behind_helpers(frame)
    return frame


def behind_helpers(frame: FrameType) -> FrameType:
    """The first frame that is no helper's; the helper itself where nothing else called it."""
    caller: FrameType | None = frame
    while caller is not None and is_skipped(caller):
        caller = caller.f_back
    return frame if caller is None else caller


def is_skipped(frame: FrameType) -> bool:
    """Whether a frame is this package's own, or a helper's."""
    names = frame.f_globals
    return is_inside(names.get("__name__")) or bool(names.get(HELPER))


@lru_cache
def is_inside(module: object) -> bool:
    """Whether a module of that name belongs to this package."""
    return isinstance(module, str) and (module.startswith(_INSIDE) or module == _PACKAGE)


def site_of(code: CodeType, line: int, address: int = 0) -> CallSite:
    """The site of a line in a piece of code."""
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return CallSite(file, line, code.co_qualname, address, code.co_filename)


def frames() -> tuple[CallSite, ...]:
    """The innermost frames of the program, at most 8, innermost first."""
    frame = calling_frame()
    stack: list[CallSite] = []
    while frame is not None and len(stack) < _DEEPEST_STACK:
        stack.append(site_of(frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(stack)
