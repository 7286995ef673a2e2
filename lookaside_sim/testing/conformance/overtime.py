"""A limit on the processor time of a program, for allocators that loop for ever in Python."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Overtime", "time_limited"]


class Overtime(BaseException):
    """The limit is over; raised in the middle of whatever runs.

    Not an `Exception`, so that a loop that catches those ends too.
    """


def _raise(_signal: int, _frame: Any) -> None:
    raise Overtime


@contextlib.contextmanager
def time_limited(seconds: float) -> Iterator[None]:
    """Raise `Overtime` if what runs inside takes too long.

    Does nothing outside of the main thread, on systems without such a timer, and where
    somebody else uses it. Time in which the process does not run does not count.

    Args:
        seconds: of processor time.
    """
    timer = getattr(signal, "ITIMER_VIRTUAL", None)
    if (
        timer is None
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGVTALRM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGVTALRM, _raise)
    # Again and again: the first may be swallowed in a finalizer.
    signal.setitimer(timer, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
