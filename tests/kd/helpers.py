"""Runs that the tests of the shell look at."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

from lookaside_sim import BugCheck, Kernel
from lookaside_sim.kd import Session
from lookaside_sim.run import Run, record

CANCELLED = 0xFFFF_FFFF_C000_0120


class Requests:
    """A driver with a list of requests, which one path writes to too late."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.list = kernel.lookaside_list("mydrv!Requests")
        self.list.initialize(pool_type=512, size=64, tag=b"Rqst")

    def start(self, status: int) -> int:
        request = self.list.allocate() or 0
        self.kernel.write(request, status.to_bytes(self.kernel.arch.pointer_size, "little"))
        return request

    def finish(self, request: int) -> None:
        self.list.free(request)

    def cancel(self, request: int) -> None:
        self.list.free(request)
        size = self.kernel.arch.pointer_size
        self.kernel.write(request, CANCELLED.to_bytes(8, "little")[:size])  # too late


@cache
def late_write(arch: str = "x64") -> Run:
    """Eleven calls, the last of which follows a link that the program wrote over."""
    kernel = Kernel(arch)
    with suppress(BugCheck), record(kernel, "late write") as run:
        driver = Requests(kernel)
        first, second = driver.start(0), driver.start(1)
        driver.finish(first)
        driver.cancel(second)
        driver.start(2)
        driver.start(3)
    return run


def session(arch: str = "x64") -> Session:
    """A new shell over `late_write`."""
    return Session(late_write(arch))


def transcript(shell: Session, *lines: str) -> list[str]:
    """What each of some lines prints."""
    return [shell.execute(line) for line in lines]


def live(**settings: Any) -> tuple[Kernel, Session]:
    """A live machine with a driver and a list that holds two entries, and a shell over it."""
    kernel = Kernel(**settings)
    driver = kernel.load_driver("mydrv.sys")
    lookaside = driver.lookaside_list("Requests")
    lookaside.initialize(pool_type=512, size=64, tag=b"Rqst")
    entries = [lookaside.allocate() for _ in range(3)]
    for entry in entries[:2]:
        lookaside.free(entry)
    kernel.write(entries[2] or 0, b"Hello, kernel!\0")
    return kernel, Session(kernel)
