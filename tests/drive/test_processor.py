"""Compiled code on a machine: calls, faults and what they come out as."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, CompiledCodeError, Kernel, Verifier
from lookaside_sim.errors import CodeSite
from tests.drive.helpers import line_of, loaded, needs_engine, sys_file
from tests.helpers import both_machines, stop_of

pytestmark = needs_engine

SOURCE = "mistakes.c"


def where(site: CodeSite | None) -> tuple[str, int]:
    assert site is not None
    return site.file, site.line


def stop_in(routine: str, arch: str, *arguments: int, verified: bool = True) -> BugCheck:
    """The stop that a routine of the driver full of mistakes ends with."""
    kernel, driver = loaded("mistakes", arch, verified=verified)
    assert driver.start() == 0
    stop = stop_of(lambda: driver.call(routine, *arguments))
    assert kernel.bugcheck is stop
    return stop


@both_machines
@pytest.mark.parametrize(
    ("routine", "code", "words"),
    [
        ("Overrun", BugCheckCode.DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION, "written"),
        ("UseAfterFree", BugCheckCode.DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL, "read"),
        ("EntryAfterFree", BugCheckCode.DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL, "written"),
        ("DoubleFree", BugCheckCode.SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, "freed twice"),
        ("PagedAtDispatch", BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL, "written"),
        ("NullField", BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, "read"),
        ("WriteToCode", BugCheckCode.ATTEMPTED_WRITE_TO_READONLY_MEMORY, "written"),
    ],
)
def test_a_mistake_is_found_at_its_line(
    arch: str, routine: str, code: BugCheckCode, words: str
) -> None:
    stop = stop_in(routine, arch)
    assert stop.code is code
    assert where(stop.site) == (SOURCE, line_of(SOURCE, words))
    assert stop.stack[-1].function == f"mistakes-{arch}!{routine}"


@both_machines
def test_a_stop_says_where_the_block_was_allocated_and_freed(arch: str) -> None:
    stop = stop_in("UseAfterFree", arch)
    for words in ("taken", "given"):
        assert f"({SOURCE}:{line_of(SOURCE, words)})" in stop.message
    stop = stop_in("EntryAfterFree", arch)
    for words in ("entry taken", "entry given"):  # not a line of wdm.h, which has the routine
        assert f"({SOURCE}:{line_of(SOURCE, words)})" in stop.message


@both_machines
def test_a_double_free_is_found_without_the_verifier(arch: str) -> None:
    stop = stop_in("DoubleFree", arch, verified=False)
    assert stop.code is BugCheckCode.BAD_POOL_CALLER
    assert where(stop.site) == (SOURCE, line_of(SOURCE, "freed twice"))
    for words in ("double taken", "freed once"):
        assert f"({SOURCE}:{line_of(SOURCE, words)})" in stop.message


@both_machines
def test_an_overrun_that_is_found_later_says_where_the_block_was_allocated(arch: str) -> None:
    stop = stop_in("Overrun", arch, verified=False)
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_HEADER, 0x20)
    assert f"({SOURCE}:{line_of(SOURCE, 'allocated')})" in stop.message


@both_machines
def test_a_leak_is_found_at_unload(arch: str) -> None:
    _, driver = loaded("mistakes", arch, verified=True)
    driver.start()
    driver.call("Leak")
    stop = stop_of(driver.unload)
    assert stop.parameters[0] == 0x62
    (leak,) = stop.leaks
    assert str(leak.call_site) == (
        f"mistakes-{arch}!Leak ({SOURCE}:{line_of(SOURCE, 'leaked')})"
    )


@both_machines
def test_a_failed_entry_that_gives_nothing_back_is_found_at_unload(arch: str) -> None:
    kernel, driver = loaded("mistakes", arch, verified=True)
    kernel.write(driver.address_of("FailEntry"), b"\1")
    assert driver.start() == 0xC000_0001
    assert driver.log == ["mistakes: half way\n"]
    stop = stop_of(driver.unload)
    assert [str(each.call_site) for each in stop.leaks] == [
        f"mistakes-{arch}!DriverEntry ({SOURCE}:{line_of(SOURCE, 'half way')})"
    ]


@both_machines
@pytest.mark.parametrize("verified", [False, True])
def test_a_list_that_is_not_deleted_is_found(arch: str, verified: bool) -> None:
    kernel, driver = loaded("mistakes", arch, verified=verified)
    driver.start()
    object_of_driver = driver.driver_object
    driver.call("ForgetLarge", object_of_driver)
    if verified:
        assert "Large" in stop_of(driver.unload).message
        return
    driver.unload()
    stop = stop_of(lambda: kernel.tick(3))
    assert stop.code is BugCheckCode.SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD
    assert f"'mistakes-{arch}!Large'" in stop.message


@both_machines
def test_the_stack_can_be_used_up(arch: str) -> None:
    stop = stop_in("Deep", arch, 100)
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.UNEXPECTED_KERNEL_MODE_TRAP, 8)
    assert stop.site is not None
    assert stop.site.function.endswith("!Deep")
    assert {each.function for each in stop.stack} == {f"mistakes-{arch}!Deep"}
    assert len(stop.stack) > 2


@both_machines
def test_a_jump_to_nothing_is_an_access_violation_of_the_caller(arch: str) -> None:
    stop = stop_in("JumpToNothing", arch, 0x10)
    assert stop.code is BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED
    assert "STATUS_ACCESS_VIOLATION" in stop.message
    assert where(stop.site) == (SOURCE, line_of(SOURCE, "jumped"))


@both_machines
def test_a_jump_into_data_is_not_permitted(arch: str) -> None:
    _, driver = loaded("mistakes", arch)
    driver.start()
    stop = stop_of(lambda: driver.call("JumpToNothing", driver.address_of("Small")))
    assert stop.code is BugCheckCode.ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY


@both_machines
def test_a_driver_may_stop_the_machine_with_any_code(arch: str) -> None:
    stop = stop_in("StopMachine", arch, 0x1234)
    assert (stop.code, stop.parameters) == (0x1234, (1, 2, 3, 4))
    assert where(stop.site) == (SOURCE, line_of(SOURCE, "stopped"))
    assert "0x1234" in str(stop)


@both_machines
def test_code_that_does_not_come_back_is_an_error(arch: str) -> None:
    kernel = Kernel(arch)
    driver = kernel.load_image(sys_file("mistakes", arch))
    driver.start()
    kernel.load_image(sys_file("pairs", arch), seconds=0.3)  # for all from now on
    with pytest.raises(CompiledCodeError, match=r"Forever.* did not return within 0\.3 s"):
        driver.call("Forever")
    kernel.write(driver.address_of("FailEntry"), b"\1")
    driver.call("Forever")  # the machine has not stopped


@both_machines
@pytest.mark.parametrize(
    ("routine", "argument", "code", "first", "words"),
    [
        ("Divide", 0, 0x7E, 0xC000_0094, "divided"),
        ("Break", 0, 0x7E, 0x8000_0003, "broken"),
        ("Undefined", 0, 0x7E, 0xC000_001D, "undefined"),
        ("FastFail", 3, 0x139, 3, "failed fast"),
    ],
)
def test_exceptions_of_the_processor(
    arch: str, routine: str, argument: int, code: int, first: int, words: str
) -> None:
    stop = stop_in(routine, arch, argument)
    assert (stop.code, stop.parameters[0]) == (code, first)
    assert where(stop.site) == (SOURCE, line_of(SOURCE, words))


@both_machines
def test_a_processor_that_halts_never_comes_back(arch: str) -> None:
    _, driver = loaded("mistakes", arch)
    driver.start()
    with pytest.raises(CompiledCodeError, match=r"!Halt .* halted the processor"):
        driver.call("Halt")
    assert driver.call("Divide", 4) == 25


@both_machines
def test_ports_lead_to_nothing(arch: str) -> None:
    _, driver = loaded("mistakes", arch)
    driver.start()
    assert driver.call("Port", 7) == 7


def test_a_stop_is_raised_again_by_every_later_call() -> None:
    _, driver = loaded("mistakes", verified=True)
    driver.start()
    stop = stop_of(lambda: driver.call("Overrun"))
    assert stop_of(lambda: driver.call("Leak")) is stop


def test_the_verifier_may_be_switched_on_later() -> None:
    kernel, driver = loaded("mistakes")
    driver.start()
    kernel.enable_verifier(Verifier.standard())
    assert stop_of(lambda: driver.call("UseAfterFree")).code == 0xD5
