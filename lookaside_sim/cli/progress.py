"""A line on a terminal that tells how far something long is."""

from __future__ import annotations

import sys
import time
from typing import Final, TextIO

PROGRESS_SECONDS: Final = 0.2


class Progress:
    """Tells now and then, and leaves no trace; tells nothing where nobody looks.

    Args:
        name: what is worked on.
        terminal: where to tell it; None for stderr.
    """

    def __init__(self, name: str, terminal: TextIO | None = None) -> None:
        self._name = name
        self._terminal = sys.stderr if terminal is None else terminal
        self._is_seen = self._terminal is not None and self._terminal.isatty()
        self._next = time.monotonic() + PROGRESS_SECONDS
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def tell(self, events: int, seconds: int) -> None:
        """Say how many events are done and how many seconds have passed in them."""
        self.say(f"{events:,} events, {seconds} s simulated")

    def say(self, how_far: str) -> None:
        """Say how far it is, if it is time to."""
        now = time.monotonic()
        if not self._is_seen or now < self._next:
            return
        self._next = now + PROGRESS_SECONDS
        text = f"{self._name}: {how_far}"
        self._width = max(self._width, len(text))
        print(f"\r{text:{self._width}}", end="", file=self._terminal, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            print(f"\r{'':{self._width}}\r", end="", file=self._terminal, flush=True)
            self._width = 0
