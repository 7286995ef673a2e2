"""Runs of compiled drivers: a ``.sys`` file loaded, started, called, unloaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from lookaside_sim.drive.pe import read_pe
from lookaside_sim.errors import (
    BugCheck,
    CompiledCodeError,
    LookasideSimError,
    SanitizerError,
)
from lookaside_sim.kernel import Kernel
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.run.run import Run, record
from lookaside_sim.system.compiled import CompiledDriver

SUFFIX: Final = ".sys"
_FAILED: Final = 1 << 31
"""From here on an NTSTATUS is an error."""


def record_driver(
    path: str | Path,
    calls: Iterable[tuple[str | int, ...]] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    unload: bool = True,
    output: TextIO | None = None,
) -> Run:
    """Run a compiled driver on a machine of its own and record it. Needs the extra ``drive``.

    Its DriverEntry runs, then the calls, what was queued, and its DriverUnload, as far as they
    come: what stops the machine, or the driver, ends the recording.

    Args:
        path: of the file.
        calls: what is called after DriverEntry: the symbol and the arguments of each.
        settings: of the machine; its architecture is the file's by default.
        unload: whether the driver is unloaded at the end.
        output: where the status is told, and what ended it; None for the standard error stream.

    Returns:
        The run.

    Raises:
        LookasideSimError: it cannot be loaded, or the extra is not installed.
        ValueError: a call of what the file has no symbol for.
        OSError: it cannot be read.
    """
    path = Path(path)
    kernel = Kernel(**{"arch": read_pe(path).arch, **(settings or {})})

    def say(text: str) -> None:
        print(text, file=output or sys.stderr)

    here = (CallSite(path.name, 0, ""),)
    kernel.machine.program.stack_provider = lambda: here
    with record(kernel, path.name) as run:
        try:
            driver = kernel.load_image(path)
        except ImportError as error:
            raise LookasideSimError(str(error)) from None
        wanted = [(driver.address_of(str(name)), name, rest) for name, *rest in calls]
        try:
            _run(kernel, driver, wanted, say, unload=unload)
        except (BugCheck, SanitizerError, CompiledCodeError) as error:
            say(f"{type(error).__name__}: {error}")
    return run


def _run(
    kernel: Kernel,
    driver: CompiledDriver,
    calls: list[tuple[int, str | int, list[Any]]],
    say: Callable[[str], None],
    *,
    unload: bool,
) -> None:
    status = driver.start()
    say(f"DriverEntry returned {status:#x}")
    if status < _FAILED:
        for address, name, arguments in calls:
            say(f"{name} returned {driver.call(address, *arguments):#x}")
        driver.run_queued()
    if unload:
        driver.unload()


def call_of(text: str) -> tuple[str | int, ...]:
    """Read a call as a command line has it: a symbol, and integers behind it.

    Raises:
        ValueError: it is none.
    """
    try:
        symbol, *arguments = text.split()
        return (symbol, *(int(each, 0) for each in arguments))
    except ValueError:
        raise ValueError(f"{text!r}: give a symbol, and integers behind it") from None
