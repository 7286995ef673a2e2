"""A limit on the processor time of a program, for allocators that loop for ever in Python."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

__all__ = ["Overtime", "time_limited"]


class Overtime(BaseException):
    """The limit is over; raised in the middle of whatever runs.

    Not an `Exception`, so that a loop that catches those ends too.
    """


_SOON: Final = 0.001  # seconds of processor time


def _raise(_signal: int, frame: FrameType | None) -> None:
    if _is_deaf(frame):
        _, interval = signal.getitimer(signal.ITIMER_VIRTUAL)
        signal.setitimer(signal.ITIMER_VIRTUAL, _SOON, interval)
        return
    raise Overtime


def _is_deaf(frame: FrameType | None) -> bool:
    """Whether what runs is called by Python itself, which reports what is raised and goes on."""
    callbacks = {getattr(each, "__code__", None) for each in gc.callbacks}
    while frame is not None:
        code = frame.f_code
        if code in callbacks or code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


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
    # Again and again: the first may be swallowed, as by a weak reference's callback.
    signal.setitimer(timer, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
