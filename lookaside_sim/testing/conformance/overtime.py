"""A limit on the processor time of a call, for allocators that loop for ever in Python."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final, TypeAlias

try:
    import resource
except ImportError:  # not on Windows, where there are no such timers either
    resource = None  # type: ignore[assignment]

__all__ = ["Overtime", "time_limited"]

_LOOKS: Final = 4
"""Looks without progress after which it is over. A collection of garbage, however long, is
over before the next look: it counts as one."""
_SOON: Final = 0.001
"""Seconds until it is raised again, where it cannot be raised now."""
_ASLEEP: Final = 5
"""How many times as long it may sleep."""
_NOTHING: Final = 0.001
"""Seconds of processor time between two looks that are none: a look takes less."""


class Overtime(BaseException):
    """The limit is over; raised in the middle of whatever runs.

    Not an `Exception`, so that a loop that catches those ends too.
    """


def _raise(timer: int, frame: FrameType | None) -> None:
    if _is_deaf(frame):
        _, interval = signal.getitimer(timer)
        signal.setitimer(timer, _SOON, interval)
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
def time_limited(seconds: float, progress: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Raise `Overtime` if what runs inside takes too long without progress.

    Does nothing outside of the main thread, on systems without such timers, and where
    somebody else uses them. Time in which the process cannot run does not count; what sleeps,
    on a lock that nobody gives back, has several times as long.

    Args:
        seconds: of processor time.
        progress: a number that is another one after each progress.
    """
    timers = [
        (timer, signal_number, look)
        for timer, signal_number, look in _timers(progress)
        if signal.getsignal(signal_number) is signal.SIG_DFL
    ]
    if not timers or threading.current_thread() is not threading.main_thread():
        yield
        return
    for timer, signal_number, look in timers:
        signal.signal(signal_number, look)
        signal.setitimer(timer, seconds / _LOOKS, seconds / _LOOKS)
    try:
        yield
    finally:
        for timer, signal_number, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(signal_number, signal.SIG_DFL)


_Look: TypeAlias = Callable[[int, FrameType | None], None]


def _timers(progress: Callable[[], int]) -> Iterator[tuple[int, int, _Look]]:
    """The timers that this system has, the signal of each, and what it calls."""
    seen, looks = progress(), 0
    last, asleep, sleeps, used = seen, 0, 0, 0.0

    def look(_signal: int, frame: FrameType | None) -> None:
        nonlocal seen, looks
        now = progress()
        looks = looks + 1 if now == seen else 0
        seen = now
        if looks >= _LOOKS:
            # Again and again: the first may be swallowed, as by a weak reference's callback.
            looks = 0
            _raise(signal.ITIMER_VIRTUAL, frame)
            looks = _LOOKS - 1  # it was not raised, and is tried again with the next look

    def look_for_sleep(_signal: int, frame: FrameType | None) -> None:
        nonlocal last, asleep, sleeps, used
        now, slept = progress(), _sleeps()
        # What is starved by others does not go to sleep of its own will.
        sleeping = slept > sleeps and time.process_time() - used < _NOTHING
        asleep = asleep + 1 if sleeping and now == last else 0
        last, sleeps, used = now, slept, time.process_time()
        if asleep >= _LOOKS * _ASLEEP:
            asleep = 0
            _raise(signal.ITIMER_REAL, frame)

    if hasattr(signal, "ITIMER_VIRTUAL"):
        yield signal.ITIMER_VIRTUAL, signal.SIGVTALRM, look
        if hasattr(resource, "RUSAGE_THREAD"):
            yield signal.ITIMER_REAL, signal.SIGALRM, look_for_sleep


def _sleeps() -> int:
    """How often this thread went to sleep."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
