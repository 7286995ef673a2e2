"""The fixtures for drivers: entry, a failed entry, unload, and what is left behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Here before the runs inside this process, each of which would import a class of its own.
import lookaside_sim.testing.plugins.drivers  # noqa: F401
from tests.drive.helpers import needs_engine, sys_file

DOCUMENT = Path(__file__).parents[3] / "docs" / "drivers.md"
DRIVER = """
import pytest
from lookaside_sim import BugCheck, Verifier
from lookaside_sim.ddi import *
from lookaside_sim.testing import LeakError

EXTENSION = structure("EXTENSION", ("Items", LOOKASIDE_LIST_EX), ("Lock", KSPIN_LOCK))
log = []

def DriverEntry(DriverObject, RegistryPath):
    log.append((text_of(DriverObject.DriverName), text_of(RegistryPath)))
    Device = Ref()
    Status = IoCreateDevice(DriverObject, sizeof(EXTENSION), 0, FILE_DEVICE_UNKNOWN, 0, FALSE, Device)
    if not NT_SUCCESS(Status):
        return Status
    Extension = EXTENSION(DEVICE_OBJECT(Device.value).DeviceExtension)
    ExInitializeLookasideListEx(
        Extension.Items, NULL, NULL, NonPagedPoolNx, 0, 48, literal("metI"), 0
    )
    DriverObject.DriverUnload = DriverUnload
    return STATUS_SUCCESS

def DriverUnload(DriverObject):
    Extension = EXTENSION(DEVICE_OBJECT(DriverObject.DeviceObject).DeviceExtension)
    ExDeleteLookasideListEx(Extension.Items)
    IoDeleteDevice(DriverObject.DeviceObject)
    log.append("unloaded")
"""


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(DRIVER + tests)
    return pytester.runpytest_inprocess("-q", "-p", "no:xdist", *arguments)


def test_a_driver_lives_as_long_as_its_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_transcribed(lookaside_driver, lookaside_kernel):
    log.clear()
    driver = lookaside_driver(DriverEntry, name="items.sys")
    assert driver.status == STATUS_SUCCESS and driver.is_loaded
    assert log == [("\\\\Driver\\\\items", "\\\\Registry\\\\Machine\\\\System\\\\CurrentControlSet\\\\Services\\\\items")]
    extension = EXTENSION(DEVICE_OBJECT(driver.object.DeviceObject).DeviceExtension)
    entry = driver.call(ExAllocateFromLookasideListEx, extension.Items)
    with driver:
        ExFreeToLookasideListEx(extension.Items, entry)

def test_it_was_unloaded():
    assert log[-1] == "unloaded"

def test_python(lookaside_driver):
    mine = []
    def entry(driver):
        mine.append(driver.lookaside_list("Mine"))
        mine[0].initialize(size=32, tag=b"Mine")
    def unload():
        mine[0].delete()
    driver = lookaside_driver(entry, unload)
    driver.unload()
    assert not driver.is_loaded and not mine[0].is_active

def test_an_entry_that_fails_and_cleans_up(lookaside_driver, lookaside_faults):
    lookaside_faults.fail_all()
    driver = lookaside_driver(DriverEntry)
    assert driver.status == STATUS_INSUFFICIENT_RESOURCES and not driver.is_loaded

def test_no_driver(lookaside_driver):
    with pytest.raises(TypeError, match="give a function, or the path"):
        lookaside_driver(5)
""",
        "--lookaside-modes=all",
    )
    result.assert_outcomes(passed=21)


def test_what_a_driver_leaves_behind(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def leave(driver):
    driver.lookaside_list("Left").initialize(size=32, tag=b"Left")
    ExAllocatePoolWithTag(NonPagedPoolNx, 24, b"Left")

def fail(driver):
    leave(driver)
    return STATUS_UNSUCCESSFUL

def test_entry_failed(lookaside_driver):
    lookaside_driver(fail)

def test_unloaded(lookaside_driver):
    lookaside_driver(leave).unload()

def test_at_the_end(lookaside_driver):
    lookaside_driver(leave)

@pytest.mark.lookaside(verifier="standard")
def test_the_verifier_comes_first(lookaside_driver):
    with pytest.raises(BugCheck) as stop:
        lookaside_driver(fail)
    assert stop.value.parameters[0] == 0x62

def test_irql_and_lock(lookaside_driver):
    def entry():
        lock = variable(KSPIN_LOCK)
        KeInitializeSpinLock(lock)
        KeAcquireSpinLock(lock, Ref())
    lookaside_driver(entry)

@pytest.mark.lookaside(leaks="ignore")
def test_told_not_to_mind(lookaside_driver):
    lookaside_driver(leave).unload()
""",
    )
    result.assert_outcomes(passed=4, failed=2, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*LeakError: the entry of driver.sys failed with STATUS_UNSUCCESSFUL and left behind:",
            "*driver.sys was unloaded and left behind:",
            "*the list 'Left' at 0x* was not deleted",
            "*24-byte*Left*leave (test_what_a_driver_leaves_behind.py:*was not freed",
            "*the IRQL of processor 0 was left at 2, and was 0",
            "*the spin lock at 0x* is held",
        ]
    )
    result.stdout.no_fnmatch_line("*During handling*")


@needs_engine
def test_compiled_drivers_by_both_fixtures(pytester: pytest.Pytester) -> None:
    path = sys_file("mistakes")
    result = run(
        pytester,
        f"""
PATH = {str(path)!r}

def test_by_the_driver_fixture(lookaside_driver):
    driver = lookaside_driver(PATH)
    assert driver.status == STATUS_SUCCESS and driver.is_loaded
    driver.unload()
    assert not driver.is_loaded

def test_a_leak(lookaside_driver):
    driver = lookaside_driver(PATH)
    driver.driver.call("Leak")
    with pytest.raises(LeakError, match="was unloaded and left behind"):
        driver.unload()

def test_a_failed_entry(lookaside_driver, lookaside_faults):
    lookaside_faults.fail_all()
    driver = lookaside_driver(PATH)
    assert driver.is_loaded == (driver.status == 0)

def test_by_its_own(load_image):
    driver = load_image(PATH)
    assert driver.start() == 0

@pytest.mark.lookaside(leaks="ignore")
def test_no_driver(load_image):
    with pytest.raises((OSError, ValueError)):
        load_image("some.sys")
""",
    )
    result.assert_outcomes(passed=5)


def test_the_suite_of_the_document_in_each_mode(pytester: pytest.Pytester) -> None:
    (suite,) = re.findall(
        r"```python\n# test_items\.py\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL
    )
    pytester.makepyfile(suite)
    result = pytester.runpytest_inprocess("-q", "-p", "no:xdist", "--lookaside-modes=all")
    result.assert_outcomes(passed=15)
