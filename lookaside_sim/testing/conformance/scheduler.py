"""Threads that run one at a time, and change only at marked places, as they are told."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from lookaside_sim.testing.conformance.overtime import Overtime

__all__ = ["Deadlock", "run_in_turns"]

_LOOK: Final = 0.01
"""Seconds between two looks at threads that reach no switch point."""
_ASLEEP: Final = 3
_UNKNOWN: Final = 20
"""Looks after which a thread is taken to wait for another, on a lock of its own: where it can be
seen that it sleeps, and where it cannot."""
_END: Final = 1.0
_TELLINGS: Final = 20
"""Seconds in which a thread that is told to end does, and how often it is told."""


class Deadlock(Overtime):
    """Every thread waits, and none of them for its turn."""


class _Turns:
    def __init__(self, schedule: Sequence[tuple[int, int]], count: int) -> None:
        self._due = dict(schedule)
        self._locks = [threading.Semaphore(0) for _ in range(count)]
        self._numbers: dict[int, int] = {}  # by thread
        self._system_numbers: dict[int, int] = {}  # the system's, by thread
        self._unfinished = list(range(count))
        self._waiting = set(range(count))
        self._over = threading.Event()
        self.points = 0

    def switch(self) -> None:
        """A switch point was reached by whichever thread runs."""
        number = self._numbers.get(threading.get_ident())
        if number is None:
            return
        to = self._due.get(self.points)
        self.points += 1
        if to is None or to == number or to not in self._waiting:
            return
        self._waiting.add(number)
        self._go_on(to)
        self._locks[number].acquire()

    def _go_on(self, number: int) -> None:
        self._waiting.discard(number)
        self._locks[number].release()

    def run(self, bodies: Sequence[Callable[[], None]], patience: float) -> None:
        threads = [
            threading.Thread(target=self._body, args=(number, body), daemon=True)
            for number, body in enumerate(bodies)
        ]
        for thread in threads:
            thread.start()
        self._go_on(0)
        try:
            self._wait(patience)
        except Deadlock:
            raise  # nothing wakes them: they are left as they are
        except Overtime:
            if self._are_asleep() and not self._waiting:
                raise Deadlock from None
            for _ in range(_TELLINGS):
                with contextlib.suppress(Overtime):  # it comes again in the middle of this
                    self._end(threads)
                    break
            raise
        for thread in threads:
            thread.join()

    def _wait(self, patience: float) -> None:
        """Wait until all are over, and let the next go on where one waits for another."""
        seen, still, since = -1, 0, 0.0
        while not self._over.wait(_LOOK):
            asleep = self._are_asleep()
            still = still + 1 if self.points == seen and asleep is not False else 0
            seen = self.points
            since = since if still else time.monotonic()
            if still >= (_UNKNOWN if asleep is None else _ASLEEP) and self._waiting:
                still = 0
                self._go_on(min(self._waiting))
            elif asleep and not self._waiting and time.monotonic() - since >= patience:
                raise Deadlock

    def _are_asleep(self) -> bool | None:
        """Whether every thread that could run sleeps; None where nobody knows."""
        states = []
        for thread, number in list(self._numbers.items()):
            if number not in self._waiting:
                path = Path(f"/proc/self/task/{self._system_numbers[thread]}/stat")
                try:
                    states.append(path.read_text("ascii", "replace").rpartition(")")[2][1])
                except OSError:
                    return None
        return all(state == "S" for state in states)

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        """Raise `Overtime` in every thread, as it was raised here."""
        self._due.clear()
        for thread in threads:
            if thread.ident is not None and thread.is_alive():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident), ctypes.py_object(Overtime)
                )
        for number in list(self._waiting):
            self._go_on(number)
        self._over.wait(_END)

    def _body(self, number: int, body: Callable[[], None]) -> None:
        self._locks[number].acquire()
        self._system_numbers[threading.get_ident()] = threading.get_native_id()
        self._numbers[threading.get_ident()] = number
        try:
            body()
        finally:
            del self._numbers[threading.get_ident()]
            self._unfinished.remove(number)
            if self._waiting:
                self._go_on(min(self._waiting))
            elif not self._unfinished:
                self._over.set()


def run_in_turns(
    bodies: Sequence[Callable[[], None]],
    schedule: Sequence[tuple[int, int]],
    install: Callable[[Callable[[], None] | None], None],
    patience: float = 1.0,
) -> int:
    """Run functions in threads, one at a time; the first begins.

    Args:
        bodies: one for each thread; they must not raise.
        schedule: pairs of a switch point, counted from 0 over all threads, and the thread that
            goes on there. Everywhere else the thread that runs goes on; where it ends, the
            first that has not ended does.
        install: told what to call at a switch point, and None at the end.
        patience: seconds in which all threads sleep, after which they do for ever.

    Returns:
        How many switch points there were.

    Raises:
        Deadlock: they wait for each other.
    """
    turns = _Turns(schedule, len(bodies))
    install(turns.switch)
    try:
        turns.run(bodies, patience)
    finally:
        install(None)
    return turns.points
