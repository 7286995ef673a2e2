"""Threads that run one at a time, and change only at marked places, as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["run_in_turns"]

_STUCK_SECONDS: Final = 0.2
"""After so long at no switch point a thread is taken to wait for another, on a lock of its own."""


class _Turns:
    def __init__(self, schedule: Sequence[tuple[int, int]], count: int) -> None:
        self._due = dict(schedule)
        self._locks = [threading.Semaphore(0) for _ in range(count)]
        self._numbers: dict[int, int] = {}
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

    def run(self, bodies: Sequence[Callable[[], None]]) -> None:
        threads = [
            threading.Thread(target=self._body, args=(number, body), daemon=True)
            for number, body in enumerate(bodies)
        ]
        for thread in threads:
            thread.start()
        self._go_on(0)
        seen = -1
        while not self._over.wait(_STUCK_SECONDS):
            if self.points == seen and self._waiting:
                self._go_on(min(self._waiting))
            seen = self.points
        for thread in threads:
            thread.join()

    def _body(self, number: int, body: Callable[[], None]) -> None:
        self._locks[number].acquire()
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
) -> int:
    """Run functions in threads, one at a time; the first begins.

    Args:
        bodies: one for each thread; they must not raise.
        schedule: pairs of a switch point, counted from 0 over all threads, and the thread that
            goes on there. Everywhere else the thread that runs goes on; where it ends, the
            first that has not ended does.
        install: told what to call at a switch point, and None at the end.

    Returns:
        How many switch points there were.
    """
    turns = _Turns(schedule, len(bodies))
    install(turns.switch)
    try:
        turns.run(bodies)
    finally:
        install(None)
    return turns.points
