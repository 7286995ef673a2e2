"""Where in the simulated program a call came from.

The program is whatever Python code calls this package; its frames stand for the driver's
stack. They are told apart by the module's name, as paths differ from system to system.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Final

import attrs

_PACKAGE: Final = __name__.partition(".")[0]
_INSIDE: Final = _PACKAGE + "."
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
    """

    file: str
    line: int
    function: str
    address: int = attrs.field(default=0, eq=False)

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


def calling_frame() -> FrameType | None:
    """The innermost frame that is not this package's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_inside(frame.f_globals.get("__name__")):
        frame = frame.f_back
    return frame


def is_inside(module: object) -> bool:
    """Whether a module of that name belongs to this package."""
    return isinstance(module, str) and (module.startswith(_INSIDE) or module == _PACKAGE)


def site_of(code: CodeType, line: int, address: int = 0) -> CallSite:
    """The site of a line in a piece of code."""
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return CallSite(file, line, code.co_qualname, address)


def frames() -> tuple[CallSite, ...]:
    """The innermost frames of the program, at most 8, innermost first."""
    frame = calling_frame()
    stack: list[CallSite] = []
    while frame is not None and len(stack) < _DEEPEST_STACK:
        stack.append(site_of(frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(stack)
