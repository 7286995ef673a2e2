"""What drivers say."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel, ddi
from tests.ddi.helpers import memory
from tests.helpers import stop_of


def test_a_driver_says_what_its_log_tells(current: Kernel) -> None:
    driver = current.load_driver("talks.sys")
    name = ddi.variable(ddi.UNICODE_STRING)
    ddi.RtlInitUnicodeString(name, "Packets")
    with driver:
        assert ddi.DbgPrint("%u of %08x at %p: %s\n", 3, -1, name, "text") == ddi.STATUS_SUCCESS
        ddi.KdPrint("%wZ, %I64d\n", name, -(1 << 40))
        ddi.DbgPrintEx(77, 0, "%ws\n", name.Buffer)
        ddi.KdPrintEx(77, 0, "100%%\n")
    ddi.DbgPrint("outside\n")
    pointer = f"{name.address:0{2 * current.arch.pointer_size}X}"
    assert driver.log == [
        f"3 of ffffffff at {pointer}: text\n",
        f"Packets, {-(1 << 40)}\n",
        "Packets\n",
        "100%\n",
    ]
    assert current.drivers.log == ["outside\n"]
    twin = current.clone()
    with twin:
        ddi.DbgPrint("on the copy\n")
    assert (len(current.drivers.log), len(twin.drivers.log)) == (1, 2)


def test_a_format_may_lie_in_memory(current: Kernel) -> None:
    ddi.DbgPrint(memory(current, contents=b"%d|%s\0"), 5, memory(current, contents=b"ansi\0"))
    assert current.drivers.log == ["5|ansi"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("%d and %d", 1), "Format '%d and %d': it asks for more than 1 arguments"),
        (("%d", "text"), "%d does not take the text 'text'"),
        (("%d", 1.5), "argument 0 1.5: give an integer, an address or a text"),
        ((None,), "Format None"),
    ],
)
def test_what_c_could_not_pass_is_an_error(
    current: Kernel, arguments: tuple[object, ...], what: str
) -> None:
    with pytest.raises(TypeError, match=what):
        ddi.DbgPrint(*arguments)
    assert current.drivers.log == []


def test_a_text_where_no_memory_is_stops_the_machine(current: Kernel) -> None:
    stop = stop_of(lambda: ddi.DbgPrint("%s", current.arch.paged_pool_start + 0x10_0000))
    assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
