"""``lookaside-sim drive``: run a compiled driver and say what is wrong with it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs

from lookaside_sim import windbg
from lookaside_sim.drive.pe import read_pe
from lookaside_sim.errors import (
    BugCheck,
    CompiledCodeError,
    LookasideSimError,
    SanitizerError,
)
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.check import chain
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.system.compiled import CompiledDriver
from lookaside_sim.testing.faults import FaultInjector
from lookaside_sim.verifier.settings import Verifier

EXIT_OK: Final = 0
EXIT_WRONG: Final = 1
"""Something is wrong with the driver: a result, not an error of the command."""

_MOST_RUNS: Final = 1000
_SCAN_ALL_SETS: Final = 3
"""Seconds in which the balance set manager has scanned every list."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``drive`` its description, arguments and command."""
    parser.description = (
        "Load a .sys file, run its DriverEntry, the routines that are named and its"
        " DriverUnload; print what it says, its lists, what it leaves behind and the stop. The"
        " exit code is 1 where something is wrong with the driver. Needs the extra `drive`."
    )
    parser.set_defaults(command=_drive)
    parser.add_argument("file", metavar="FILE", type=Path, help="a .sys file")
    parser.add_argument("--verifier", action="store_true", help="switch Driver Verifier on")
    parser.add_argument(
        "--sanitizer", action="store_true", help="check each call of a list, and each write"
    )
    parser.add_argument(
        "--call",
        metavar="SYMBOL",
        action="append",
        default=[],
        type=_call,
        help="call a routine after DriverEntry; integers behind it, as in 'Read 0 16', are its"
        " arguments; repeatable",
    )
    parser.add_argument(
        "--fail-each-allocation",
        action="store_true",
        help="run the driver once for each allocation it makes, with that one refused",
    )
    parser.add_argument(
        "--arch", choices=("x64", "x86"), help="the machine (default: the file's)"
    )
    parser.add_argument(
        "--unknown",
        choices=("stop", "zero"),
        default="stop",
        help="what an import does that nobody provides (default: stop)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="N",
        help="how long a call of the driver's may take (default: 60)",
    )


def _call(text: str) -> tuple[str, tuple[int, ...]]:
    try:
        symbol, *arguments = text.split()
        return symbol, tuple(int(each, 0) for each in arguments)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give a symbol, and integers behind it"
        ) from None


def _drive(options: argparse.Namespace) -> int:
    try:
        if options.fail_each_allocation:
            return _fail_each(options)
        run = Run(options, print)
        run.go()
    except ImportError as error:
        raise LookasideSimError(str(error)) from None
    return EXIT_WRONG if run.is_wrong else EXIT_OK


class _Faults(FaultInjector):
    """Remembers where in the program the request was that it refused."""

    where = ""

    def refuses(self) -> bool:
        refuses = super().refuses()
        if refuses:
            self.where = str(self.kernel.machine.program.calling_site())
        return refuses


@attrs.define
class Run:
    """One run of a driver, from loading to unloading.

    Args:
        options: of the command.
        say: told each line.

    Attributes:
        wrong: what was found, a line each, the first one first.
        left: how many blocks it left behind.
        status: what DriverEntry returned.
        faults: what refuses a request of it.
    """

    options: argparse.Namespace
    say: Callable[[str], object]
    wrong: list[str] = attrs.field(factory=list)
    left: int = 0
    status: int = 0
    faults: _Faults = attrs.field(init=False)
    _kernel: Kernel = attrs.field(init=False)
    _told: int = 0

    @property
    def is_wrong(self) -> bool:
        """Whether anything is wrong with the driver."""
        return bool(self.wrong)

    def go(self, refused: int = 0) -> None:
        """Run it.

        Args:
            refused: number of the allocation to refuse; 0 for none.
        """
        options = self.options
        pe = read_pe(options.file)
        pe.check_entry()
        self._kernel = kernel = Kernel(
            options.arch or pe.arch,
            verifier=Verifier.standard() if options.verifier else None,
            sanitizer=options.sanitizer,
        )
        driver = kernel.load_image(
            options.file, unknown=options.unknown, seconds=options.seconds
        )
        for symbol, _ in options.call:
            driver.address_of(symbol)
        self.faults = _Faults(kernel)
        if refused:
            self.faults.fail(refused)
        self.say(f"{driver.name} at {driver.image_base:#x}, {kernel.arch.name}")
        try:
            self._steps(driver)
        except (BugCheck, SanitizerError, CompiledCodeError, LookasideSimError) as error:
            self._log(driver)
            self._stopped(error)
        if driver.missing:
            counts = ", ".join(f"{name} ({count})" for name, count in driver.missing.items())
            self.say(f"Imports that nobody provides, and their calls: {counts}")

    def _steps(self, driver: CompiledDriver) -> None:
        kernel = self._kernel
        self.status = driver.start()
        self._log(driver)
        self.say(f"DriverEntry returned {_shown_status(self.status)}")
        if self.status >= 1 << 31:
            if not self.options.fail_each_allocation:
                self.wrong.append("DriverEntry failed")
        else:
            for symbol, arguments in self.options.call:
                result = driver.call(symbol, *arguments)
                self._log(driver)
                self.say(f"{symbol} returned {result:#x}")
            driver.run_queued()
            self._log(driver)
        if driver.lists:
            self.say("")
            self.say(windbg.lookasides(kernel, driver.lists))
            self.say("")
        driver.unload()
        self._log(driver)
        self.say("Unloaded")
        kept = self._kept_by_system()
        self._leaks([str(each) for each in driver.pool if each.address not in kept])
        kernel.tick(_SCAN_ALL_SETS)
        kernel.check()

    def _kept_by_system(self) -> set[int]:
        """The IRPs and MDLs that were freed, and wait on NT's own lists for the next one."""
        kernel = self._kernel
        lost_bits = kernel.arch.next_entry_lost_bits
        return {
            entry
            for pair in kernel.io_lists.pairs
            for each in pair.lists
            for entry in chain(kernel.memory, each.first, pair.name, lost_bits)
        }

    def _log(self, driver: CompiledDriver) -> None:
        for text in driver.log[self._told :]:
            for line in text.splitlines():
                self.say(f"  | {windbg.printable(line)}")
        self._told = len(driver.log)

    def _leaks(self, leaks: list[str]) -> None:
        self.left = len(leaks)
        for each in leaks:
            self.wrong.append(f"it left {each}")
            self.say(f"Left behind: {each}")

    def _stopped(self, error: Exception) -> None:
        kind = {BugCheck: "STOP", SanitizerError: "SANITIZER"}.get(type(error), "ERROR")
        text = str(error).partition("\n")[0]
        self.wrong.append(text)
        self.say(f"*** {kind}: {windbg.printable(text)}")
        stack = error.__dict__.get("stack", ())
        for each in stack:
            self.say(f"    {each} at {each.address:#x}")
        if isinstance(error, SanitizerError):
            for line in error.history:
                self.say(f"    {line}")
        if isinstance(error, BugCheck):
            self._leaks([str(each) for each in error.leaks])


def _shown_status(status: int) -> str:
    try:
        return f"{NtStatus(status).name} ({status:#010x})"
    except ValueError:
        return f"{status:#010x}"


def _fail_each(options: argparse.Namespace) -> int:
    """Run a driver once for each allocation that it makes, and sum up."""
    count = leaks = stops = 0
    for run in _runs(options):
        if not run.faults.refused:
            if run.is_wrong:
                print(f"With no allocation refused: {run.wrong[0]}")
            break
        count += 1
        if not run.is_wrong:
            end = f"DriverEntry failed with {_shown_status(run.status)}, and nothing is left"
            if run.status < 1 << 31:
                end = "the driver goes on, and nothing is left"
        else:
            end = run.wrong[0]
            leaks += bool(run.left)
            stops += not run.left
        print(f"Allocation {count}, in {run.faults.where}: {end}")
    if not count and not run.is_wrong:
        raise LookasideSimError(
            f"{options.file}: nothing was allocated, so there was nothing to refuse: name the"
            " routines that allocate with --call"
        )
    print(f"{count} allocations refused, one a run: {leaks} runs leak, {stops} stop")
    return EXIT_WRONG if leaks or stops or run.is_wrong else EXIT_OK


def _runs(options: argparse.Namespace) -> Iterator[Run]:
    for number in range(1, _MOST_RUNS + 1):
        run = Run(options, lambda line: None)
        run.go(number)
        yield run
    raise CompiledCodeError(f"the driver still allocates more in run {_MOST_RUNS}")
