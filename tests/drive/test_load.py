"""Loading images: what is where, what is told, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import (
    BugCheckCode,
    CompiledDriver,
    ImageError,
    Kernel,
    LookasideSimError,
)
from lookaside_sim.machine.calls import Call
from lookaside_sim.system.calls import LoadDriver, UnloadDriver
from tests.drive.helpers import loaded, needs_engine, sys_file
from tests.helpers import both_machines, stop_of
from tests.same import views_of

pytestmark = needs_engine


@both_machines
def test_sections_have_their_permissions(arch: str) -> None:
    kernel, driver = loaded("families", arch)
    code, data = driver.address_of("DriverEntry"), driver.address_of("Packets")
    for address, writable, executable in ((code, False, True), (data, True, False)):
        region = kernel.memory.region_at(address)
        assert region is not None
        assert (region.writable, region.executable) == (writable, executable)
    header = kernel.memory.region_at(driver.image_base)
    assert header is not None
    assert not header.writable
    assert kernel.read(driver.image_base, 2) == b"MZ"


@both_machines
def test_a_compiled_driver_is_a_driver(arch: str) -> None:
    kernel, driver = loaded("families", arch)
    assert isinstance(driver, CompiledDriver)
    assert kernel.drivers.named(f"families-{arch}.sys") is driver
    driver.start()
    with driver:
        block = kernel.pool.allocate(0, 40, b"Mine")
    assert [each.address for each in driver.pool] == [block]
    own = driver.place_data(64)
    assert driver.holds(own)
    kernel.pool.free(block)
    assert "families" in repr(driver)


@both_machines
def test_loading_and_unloading_are_told(arch: str) -> None:
    kernel = Kernel(arch)
    calls: list[type[Call]] = []
    kernel.listen(lambda call: calls.append(type(call)) if call.is_over else None)
    driver = kernel.load_image(sys_file("mistakes", arch))
    driver.start()
    driver.unload()
    assert (calls[0], calls[-1]) == (LoadDriver, UnloadDriver)


@both_machines
def test_several_drivers_share_a_machine(arch: str) -> None:
    kernel, families = loaded("families", arch)
    objects = kernel.load_image(sys_file("objects", arch))
    assert families.start() == objects.start() == 0
    families.call("Queue", 2)
    objects.call("Strings")
    assert len(families.log) == 2
    assert len(objects.log) == 2
    families.unload()
    assert objects.call("Describe") == 300
    stop = stop_of(lambda: kernel.read(families.address_of("Packets"), 1))
    assert stop.code is BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS


def test_an_image_may_import_from_another_one(tmp_path: Path) -> None:
    """As class drivers and their partners do; by the file name in the import table."""
    kernel = Kernel()
    path = tmp_path / "partner.sys"
    data = sys_file("families").read_bytes()
    path.write_bytes(
        data.replace(b"ntoskrnl.exe\0", b"obj.sys\0\0\0\0\0\0").replace(
            b"DbgPrint\0", b"Describe\0"
        )
    )
    other = tmp_path / "obj.sys"
    other.write_bytes(sys_file("objects").read_bytes())
    provider = kernel.load_image(other)
    assert provider.start() == 0
    partner = kernel.load_image(path)
    assert partner.start() == 0  # calls Describe in the other image
    assert partner.log == []
    provider.unload()
    stop = stop_of(lambda: partner.call("ShowCounts"))
    assert stop.code is BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS


def test_a_name_may_come_again_after_the_unload() -> None:
    kernel, driver = loaded("families")
    with pytest.raises(ValueError, match="is not loaded"):
        kernel.load_image(sys_file("families"))
    driver.start()
    driver.unload()
    again = kernel.load_image(sys_file("families"))
    assert again.start() == 0
    assert again.image_base > driver.image_end


def test_the_other_machines_image_is_refused() -> None:
    kernel = Kernel("x86")
    with pytest.raises(ImageError, match="a driver for x64, and this is an x86"):
        kernel.load_image(sys_file("families"))
    assert list(kernel.drivers.loaded()) == []


def test_a_driver_starts_once_and_not_after_its_unload() -> None:
    _, driver = loaded("families")
    driver.start()
    with pytest.raises(LookasideSimError, match="was started before"):
        driver.start()
    driver.unload()
    for call in (driver.start, driver.run_queued, lambda: driver.call("Older")):
        with pytest.raises(LookasideSimError, match="is unloaded already"):
            call()


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        (("None",), ValueError, "symbol 'None'"),
        ((1 << 64,), ValueError, "where"),
        (("Queue", "6"), TypeError, "argument 0 '6'"),
        (("Queue", True), TypeError, "argument 0 True"),
        (("Queue", 1 << 64), ValueError, "argument 0"),
        (("Queue", *range(65)), ValueError, "65 arguments"),
    ],
)
def test_a_call_that_no_caller_could_make_is_refused(
    arguments: tuple[object, ...], error: type[Exception], what: str
) -> None:
    _, driver = loaded("families")
    driver.start()
    with pytest.raises(error, match=what):
        driver.call(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "error", "what"),
    [
        ({"path": None}, TypeError, "path None: give the path of a .sys file"),
        ({"path": 5}, TypeError, "path 5: give the path of a .sys file"),
        ({"path": b"x"}, TypeError, "path b'x': give the path of a .sys file"),
        ({"path": ""}, ValueError, "path '': give the path of a .sys file"),
        ({"path": "a\0b"}, ValueError, r"path 'a\\x00b': give the path"),
        ({"unknown": "maybe"}, ValueError, "unknown='maybe': give 'stop' or 'zero'"),
        ({"seconds": -1}, ValueError, "seconds=-1: give how long a call may take"),
        ({"seconds": float("nan")}, ValueError, "seconds=nan: give how long"),
        ({"seconds": 10**400}, ValueError, r"seconds=10+\.\.\.: give how long"),
        ({"seconds": "a"}, TypeError, "seconds='a': give how long"),
        ({"seconds": True}, TypeError, "seconds=True: give how long"),
    ],
)
def test_bad_arguments_are_refused_and_load_nothing(
    given: dict[str, Any], error: type[Exception], what: str
) -> None:
    kernel = Kernel()
    with pytest.raises(error, match=what):
        kernel.load_image(**{"path": sys_file("families"), **given})
    assert list(kernel.drivers.loaded()) == []


def test_what_cannot_be_called_or_shown_is_refused() -> None:
    kernel, driver = loaded("families")
    for where, error in (
        (0, ValueError),
        (kernel.arch.paged_pool_start + 0x100000, ValueError),
        (None, TypeError),
    ):
        with pytest.raises(error, match="where"):
            driver.call(where)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="address 'x': give an integer"):
        driver.symbol_at("x")  # type: ignore[arg-type]
    assert driver.symbol_at(0) == ""


def test_an_image_without_an_entry_point_is_not_started(tmp_path: Path) -> None:
    data = bytearray(sys_file("objects").read_bytes())
    entry = int.from_bytes(data[0x3C:0x40], "little") + 24 + 16
    data[entry : entry + 4] = bytes(4)
    path = tmp_path / "library.sys"
    path.write_bytes(data)
    library = Kernel().load_image(path)
    for _ in range(2):
        with pytest.raises(ImageError, match=r"library\.sys: it has no entry point"):
            library.start()
    assert library.call("Describe") == 300  # others may import it
    library.unload()


@both_machines
def test_a_copy_of_a_machine_runs_its_drivers_on_its_own(arch: str) -> None:
    kernel, driver = loaded("families", arch)
    driver.start()
    twin = kernel.clone()
    (copied,) = twin.drivers.all
    assert isinstance(copied, CompiledDriver)
    assert [each.name for each in copied.lists] == [each.name for each in driver.lists]
    copied.call("ShowCounts")
    assert len(copied.log) == len(driver.log) + 1
    copied.unload()
    assert driver.loaded
    assert driver.lists
    third = twin.clone()
    driver.call("ShowCounts")
    driver.unload()
    assert views_of(kernel) == views_of(twin) == views_of(third)
    assert driver.log == copied.log


def test_a_copy_taken_while_compiled_code_runs_can_call_it_again() -> None:
    kernel, driver = loaded("families")
    copies: list[Kernel] = []

    @driver.export("DbgPrint")
    def print_text(text: int) -> None:
        if not copies:
            copies.append(kernel.clone())

    driver.start()
    driver.call("ShowCounts")
    (copied,) = copies[0].drivers.all
    assert isinstance(copied, CompiledDriver)
    copied.call("ShowCounts")
    copied.unload()
    assert driver.loaded


def test_a_clean_machine_imports_nothing_of_the_engine() -> None:
    program = (
        "import sys, lookaside_sim; lookaside_sim.Kernel(); "
        "assert not {'unicorn', 'elftools', 'lookaside_sim.drive'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_only_one_module_imports_the_engine() -> None:
    package = Path(sys.modules["lookaside_sim"].__path__[0])
    for path in package.rglob("*.py"):
        if path.name != "unicorn_engine.py":
            assert 'require("unicorn' not in path.read_text("utf-8"), path


@both_machines
def test_images_of_drivers_may_be_larger_than_a_drivers_range(
    arch: str, tmp_path: Path
) -> None:
    kernel, driver = loaded("families", arch)
    before = kernel.load_driver("before.sys")
    after = kernel.load_image(sys_file("objects", arch))
    assert driver.image_end <= before.image_base < before.image_end <= after.image_base
