"""Telling whoever keeps page tables of its own that memory has changed under them.

An emulator remembers how it reached a page. It has to forget that when the buffer behind the
page is another one, when the page is no longer mapped, or when it permits something else.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

import attrs


class Changed(Enum):
    """What has changed for a range of addresses."""

    BUFFER = "another buffer holds the bytes"
    MAPPED = "all of it is mapped; some may have been before"
    UNMAPPED = "none of it is mapped"
    PERMISSIONS = "what may be done to it, or how"
    BYTES = "its bytes are others, and no call was told that wrote them"


@attrs.frozen
class Change:
    """One change, told after it was made.

    Attributes:
        what: its kind.
        address: the first byte concerned.
        size: bytes concerned.
    """

    what: Changed
    address: int
    size: int


Listener: TypeAlias = Callable[[Change], None]


class Notices:
    """Who listens to the changes of one address space.

    Attributes:
        listeners: in the order in which they began to listen. Whoever tells a change looks
            here first, so that one nobody hears costs that look.
    """

    __slots__ = ("listeners",)

    def __init__(self) -> None:
        self.listeners: dict[object, Listener] = {}

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have a function called with every change from now on.

        Returns:
            What ends it; calling that again does nothing.
        """
        token = object()
        self.listeners[token] = listener

        def stop() -> None:
            self.listeners.pop(token, None)

        return stop

    def tell(self, what: Changed, address: int, size: int) -> None:
        """Tell everybody who listens now of a change that was made."""
        change = Change(what, address, size)
        for listener in tuple(self.listeners.values()):
            listener(change)
