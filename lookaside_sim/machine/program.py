"""Where in the simulated program a call came from.

The program is whatever Python code calls this package; its frames stand for the driver's
stack. A site has a made-up code address, inside the image of the driver it ran in, so that
views and bug check parameters have a number to show where NT shows a return address.
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
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    return frame


def _is_ours(frame: FrameType) -> bool:
    """Whether code of this package runs there: by its name, since paths differ by system."""
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and (name.startswith(_INSIDE) or name == _PACKAGE)


def calling_site(address: int = 0) -> CallSite:
    """The line of the program that is calling this package now.

    Args:
        address: the code address to give it.
    """
    frame = calling_frame()
    assert frame is not None, "the package is always called by somebody"
    return site_of(frame.f_code, frame.f_lineno, address)


def site_of(code: CodeType, line: int, address: int = 0) -> CallSite:
    """The site of a line in a piece of code."""
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return CallSite(file, line, code.co_qualname, address)


def calling_stack() -> tuple[CallSite, ...]:
    """The innermost frames of the program, at most 8, innermost first."""
    frame = calling_frame()
    stack: list[CallSite] = []
    while frame is not None and len(stack) < _DEEPEST_STACK:
        stack.append(site_of(frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(stack)
