"""A limit on the processor time of a call, for allocators that loop for ever in Python."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["Overtime", "time_limited"]

_LOOKS: Final = 4
"""Looks without progress after which it is over. A collection of garbage, however long, is
over before the next look: it counts as one."""


class Overtime(BaseException):
    """The limit is over; raised in the middle of whatever runs.

    Not an `Exception`, so that a loop that catches those ends too.
    """


@contextlib.contextmanager
def time_limited(seconds: float, progress: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Raise `Overtime` if what runs inside takes too long without progress.

    Does nothing outside of the main thread, on systems without such a timer, and where
    somebody else uses it. Time in which the process does not run does not count.

    Args:
        seconds: of processor time.
        progress: a number that is another one after each progress.
    """
    timer = getattr(signal, "ITIMER_VIRTUAL", None)
    if (
        timer is None
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGVTALRM) is not signal.SIG_DFL
    ):
        yield
        return
    seen, looks = progress(), 0

    def look(_signal: int, _frame: Any) -> None:
        nonlocal seen, looks
        now = progress()
        looks = looks + 1 if now == seen else 0
        seen = now
        if looks >= _LOOKS:
            # At the next look again: the first may be swallowed in a finalizer.
            raise Overtime

    signal.signal(signal.SIGVTALRM, look)
    signal.setitimer(timer, seconds / _LOOKS, seconds / _LOOKS)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
