"""Drivers under test: loaded, run, unloaded, and asked what they left behind.

The pytest plugin opens this module when a test asks for one of its fixtures, not before.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, Final

from lookaside_sim.ddi.arguments import call_code
from lookaside_sim.ddi.io_structures import DRIVER_OBJECT
from lookaside_sim.ddi.known_structures import UNICODE_STRING
from lookaside_sim.ddi.status import NT_SUCCESS
from lookaside_sim.ddi.strings import RtlInitUnicodeString
from lookaside_sim.ddi.structures import Fields
from lookaside_sim.ddi.variables import variable
from lookaside_sim.kernel import Kernel
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.system.drivers import Driver
from lookaside_sim.testing.ends import Ends
from lookaside_sim.testing.leaks import Leak, LeakError

__all__ = ["TestedDriver", "load_tested"]

__tracebackhide__ = True  # what a test did is in its own frames
_DRIVER_TYPE: Final = 4
_SERVICES: Final = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\"


class TestedDriver:
    """A driver that a test has loaded.

    As a context manager it is the code that runs.

    Args:
        kernel: the machine.
        driver: the loaded driver.
        status: what its entry returned.
        ends: what the machine was like before.
        strict: whether what it leaves behind is an error at once.
        blame: called before such an error is raised.
        object: its DRIVER_OBJECT, where the fixture made one.

    Attributes:
        driver: as given.
        status: as given.
        object: as given.
    """

    __test__ = False  # no class of tests

    def __init__(
        self,
        kernel: Kernel,
        driver: Driver,
        status: int,
        ends: Ends,
        *,
        strict: bool,
        blame: Callable[[], None],
        object: Fields | None = None,
    ) -> None:
        self.driver = driver
        self.status = status
        self.object = object
        self._kernel = kernel
        self._ends = ends
        self._strict = strict
        self._blame = blame

    @property
    def is_loaded(self) -> bool:
        """Whether it is loaded: it is not after an entry that failed, nor after `unload`."""
        return self.driver.loaded

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function as the driver's code."""
        with self.driver:
            return function(*arguments)

    def unload(self) -> None:
        """Let what is queued run, unload the driver, and ask what it left behind.

        Raises:
            BugCheck: what the verifier stops for.
            LeakError: pool, lists, locks, handles or an IRQL that are left over.
        """
        self._kernel.queues.run()
        self.unload_now(f"{self.driver.name} was unloaded and left behind:")

    def unload_now(self, heading: str) -> None:
        """Unload the driver, and say under a heading what it left behind."""
        self.driver.unload()
        left = [
            Leak(f"the list {each.name!r} at {each.address:#x} was not deleted", "", each)
            for each in self.driver.lists
        ]
        left += [
            Leak(f"{each} was not freed", "", None, each.address) for each in self.driver.pool
        ]
        left += [Leak(what, where) for what, where in self._ends.left()]
        if left and self._strict:
            self._blame()
            raise LeakError(left, "\n".join((heading, *(f"  {each}" for each in left))))

    def __enter__(self) -> Driver:
        self.driver.__enter__()
        return self.driver

    def __exit__(self, *exception: object) -> None:
        self.driver.__exit__(*exception)


def load_tested(
    kernel: Kernel,
    entry: Callable[..., Any] | str | os.PathLike[str],
    unload: Callable[..., Any] | None,
    name: str,
    *,
    strict: bool,
    blame: Callable[[], None],
) -> TestedDriver:
    """Load a driver and run its entry; unload it again where that fails.

    Args:
        kernel: the machine, which is current.
        entry: DriverEntry, which gets the DRIVER_OBJECT and the registry path; with one parameter
            it gets the `Driver`, with none nothing. What it returns is its status, None a
            success. Or the path of a driver's image.
        unload: DriverUnload, which gets the DRIVER_OBJECT, or the `Driver`, likewise; None for
            what the entry set.
        name: of the image.
        strict: whether what it leaves behind is an error at once.
        blame: called before such an error is raised.

    Raises:
        BugCheck: the entry, or the unload after it failed, stopped the machine.
        LeakError: the entry failed and left something behind.
        TypeError: no such routine.
    """
    ends = Ends(kernel)
    if isinstance(entry, (str, os.PathLike)):
        image = kernel.load_image(entry)
        status = int(image.start())
        return _started(TestedDriver(kernel, image, status, ends, strict=strict, blame=blame))
    takes = _parameters("entry", entry)
    driver = kernel.load_driver(name)
    with driver:
        object, path = _driver_object(driver)
        given = (object, path)[:takes] if takes == 2 else (driver,)[:takes]
        returned = entry(*given)
    status = int(NtStatus.STATUS_SUCCESS if returned is None else returned)
    tested = TestedDriver(
        kernel, driver, status, ends, strict=strict, blame=blame, object=object
    )
    if unload is not None:
        last = ((object,) if takes == 2 else (driver,))[: _parameters("unload", unload)]
        driver.on_unload(lambda: unload(*last))
    elif NT_SUCCESS(status) and takes == 2 and object.DriverUnload:
        driver.on_unload(lambda: call_code(object.DriverUnload, object))
    return _started(tested)


def _started(tested: TestedDriver) -> TestedDriver:
    """A driver whose entry failed goes at once, without its unload routine."""
    if not NT_SUCCESS(tested.status):
        tested.driver.on_unload(lambda: None)
        status = _shown(tested.status)
        tested.unload_now(
            f"the entry of {tested.driver.name} failed with {status} and left behind:"
        )
    return tested


def _shown(status: int) -> str:
    try:
        return NtStatus(status & 0xFFFF_FFFF).name
    except ValueError:
        return f"{status & 0xFFFF_FFFF:#010x}"


def _parameters(name: str, routine: Callable[..., Any]) -> int:
    """How many parameters a routine of a driver's takes."""
    if not callable(routine):
        raise TypeError(f"{name} {routine!r}: give a function, or the path of a driver's image")
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(routine).parameters.values()
    return min(2, sum(each.kind in kinds for each in parameters))


def _driver_object(driver: Driver) -> tuple[Fields, Fields]:
    """A DRIVER_OBJECT and a registry path in the driver's data."""
    object: Fields = variable(DRIVER_OBJECT)
    path: Fields = variable(UNICODE_STRING)
    service = driver.name.rpartition(".")[0] or driver.name
    object.Type, object.DriverStart = _DRIVER_TYPE, driver.image_base
    object.DriverSize = driver.image_end - driver.image_base
    RtlInitUnicodeString(object.DriverName, f"\\Driver\\{service}")
    RtlInitUnicodeString(path, f"{_SERVICES}{service}")
    return object, path
