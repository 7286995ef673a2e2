"""Whose code runs: images, and the line of the program that makes a call."""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import Any

import pytest

from lookaside_sim import Kernel, LookasideSimError, ddi
from lookaside_sim.machine.call_site import CallSite, is_inside, site_of
from lookaside_sim.machine.program import IMAGE_SIZE


def test_call_sites_name_the_programs_line() -> None:
    kernel = Kernel()
    site = kernel.machine.program.calling_site()
    assert (site.file, site.function, site.address) == (
        "test_program.py",
        "test_call_sites_name_the_programs_line",
        0,
    )
    assert str(site) == f"{site.function} (test_program.py:{site.line})"
    assert CallSite("a", 1, "f", 1) == CallSite("a", 1, "f", 2)
    assert kernel.machine.program.calling_stack()[0].function == site.function


def test_a_call_site_has_an_address_in_the_image_whose_code_runs() -> None:
    kernel = Kernel()
    outside = kernel.machine.program.call_site()
    driver = kernel.load_driver("a.sys")
    with driver:
        inside = kernel.machine.program.call_site()
    assert driver.holds(inside.address)
    assert outside.address
    assert not driver.holds(outside.address)


@pytest.mark.parametrize(
    "path",
    [
        PureWindowsPath(r"C:\Users\me\driver\test_it.py"),
        PureWindowsPath(r"C:\env\Lib\site-packages\lookaside_sim\extra\test_it.py"),
    ],
)
def test_a_call_on_windows_is_its_callers(path: PureWindowsPath) -> None:
    program = "def call(program):\n    return program.calling_site()\n"
    names: dict[str, object] = {"__name__": "somebody"}
    exec(compile(program, str(path), "exec"), names)
    site = names["call"](Kernel().machine.program)  # type: ignore[operator]
    assert (site.file, site.function) == ("test_it.py", "call")


def test_code_is_the_packages_own_by_the_name_of_its_module() -> None:
    assert is_inside("lookaside_sim")
    assert is_inside("lookaside_sim.pool.blocks")
    assert not is_inside("lookaside_simulated")
    assert not is_inside(None)
    code = compile("", r"\\server\share\driver.py", "exec")
    assert site_of(code, 3) == CallSite("driver.py", 3, "<module>")


def test_a_provider_gives_the_stack_of_code_without_frames() -> None:
    program = Kernel().machine.program
    stack = (CallSite("driver.c", 7, "DriverEntry", 0x1000), CallSite("driver.c", 9, "main"))
    program.stack_provider = lambda: stack
    assert program.call_site() == program.calling_site() == stack[0]
    assert program.calling_stack() == stack


def test_lines_of_a_helper_are_those_that_call_it() -> None:
    kernel = Kernel(track_pool=True)
    module: dict[str, Any] = {"__name__": "some.helper", "__lookaside_helper__": True}
    exec("def take(kernel):\n    return kernel.pool.allocate(0, 8, b'Help')", module)
    block = module["take"](kernel)
    assert kernel.ledger is not None
    site = kernel.ledger.live[block].call_site
    assert site.function == "test_lines_of_a_helper_are_those_that_call_it"
    del module["__lookaside_helper__"]
    site = kernel.ledger.live[module["take"](kernel)].call_site
    assert site.function == "take"


def test_ranges_of_drivers_unloaded_long_ago_come_again() -> None:
    kernel = Kernel("x86")
    stays = kernel.load_driver("stays.sys")
    most = (kernel.arch.driver_images_end - kernel.arch.driver_images_start) // (2 * IMAGE_SIZE)
    gone = []
    for index in range(most - 1):
        driver = kernel.load_driver(f"{index}.sys")
        with kernel, driver:
            ddi.ExInitializeDriverRuntime(ddi.DrvRtPoolNxOptIn)
        gone.append(driver)
    with pytest.raises(LookasideSimError, match="no 0x40000 bytes of addresses are left"):
        kernel.load_driver("one more.sys")
    for driver in gone[::-1]:
        driver.unload()
    for index in range(3 * most):
        driver = kernel.load_driver("again.sys")
        assert driver.image_base != stays.image_base
        if index < len(gone):
            assert driver.image_base == gone[-1 - index].image_base
        with kernel, driver:
            assert not kernel.machine.program.opted_into_nx
            lookaside = kernel.lookaside_list()
            lookaside.initialize(size=16, tag=b"Agai")
        assert kernel.drivers.at(lookaside.address) is driver
        lookaside.delete()
        driver.unload()
        assert not kernel.memory.is_mapped(lookaside.address, 1)
    kernel.check()
    copied = kernel.clone().load_driver("next.sys")
    assert copied.image_base == kernel.load_driver("next.sys").image_base
