"""Time, processors, versions and addresses."""

from __future__ import annotations

from lookaside_sim import Kernel, ddi
from tests.ddi.helpers import memory
from tests.helpers import both_machines


def test_time_passes_in_the_machines_seconds(current: Kernel) -> None:
    second = 10_000_000
    time, frequency, ticks = ddi.Ref(), ddi.Ref(), ddi.Ref()
    ddi.KeQuerySystemTime(time)
    before = time.value
    assert ddi.KeQueryPerformanceCounter(ddi.NULL) == 0
    current.tick(3)
    ddi.KeStallExecutionProcessor(50)
    ddi.KeQuerySystemTime(time)
    ddi.KeQueryTickCount(ticks)
    assert time.value - before == 3 * second == ddi.KeQueryInterruptTime()
    assert ddi.KeQueryPerformanceCounter(frequency) == 3 * frequency.value
    assert ticks.value * ddi.KeQueryTimeIncrement() == 3 * second


def test_results_go_to_memory_too(current: Kernel) -> None:
    block = memory(current)
    current.tick(1)
    ddi.KeQueryPerformanceCounter(block)
    ddi.KeQueryTickCount(block + 8)
    assert current.read(block, 16) == (10_000_000).to_bytes(8, "little") + (64).to_bytes(
        8, "little"
    )


@both_machines
def test_processors(arch: str) -> None:
    kernel = Kernel(arch, processors=3)
    with kernel, kernel.on_processor(2):
        number, mask = ddi.Ref(), ddi.Ref()
        assert (
            ddi.KeGetCurrentProcessorNumberEx(number)
            == 2
            == ddi.KeGetCurrentProcessorNumberEx(ddi.NULL)
        )
        assert number.value == 2 << 16  # PROCESSOR_NUMBER.Number
        assert ddi.KeQueryActiveProcessorCount(mask) == 3
        assert ddi.KeQueryActiveProcessorCountEx(0) == ddi.KeQueryMaximumProcessorCount() == 3
        assert mask.value == 0b111


def test_who_runs_and_on_what(current: Kernel) -> None:
    block = memory(current, 0x120)
    assert ddi.RtlGetVersion(block) == ddi.STATUS_SUCCESS
    assert [int.from_bytes(current.read(block + at, 4), "little") for at in (4, 8, 12)] == [
        *(10, 0),
        17763,
    ]
    assert ddi.IoIsWdmVersionAvailable(6, 0)
    assert not ddi.IoIsWdmVersionAvailable(7, 0)
    assert (ddi.PsGetCurrentProcessId(), ddi.PsGetCurrentThreadId()) == (4, 8)
    assert ddi.IoGetCurrentProcess() == ddi.PsGetCurrentProcess()


def test_an_address_is_valid_where_something_is_mapped(current: Kernel) -> None:
    assert ddi.MmIsAddressValid(memory(current))
    assert not ddi.MmIsAddressValid(0x10)
    assert current.bugcheck is None


def test_macros(current: Kernel) -> None:
    ddi.UNREFERENCED_PARAMETER(current)
    assert (ddi.PAGE_ALIGN(0x1_2345), ddi.BYTE_OFFSET(0x1_2345)) == (0x1_2000, 0x345)
    assert (ddi.BYTES_TO_PAGES(0), ddi.BYTES_TO_PAGES(1), ddi.BYTES_TO_PAGES(0x1001)) == (
        0,
        1,
        2,
    )
    assert ddi.ROUND_TO_PAGES(0x1001) == 0x2000
    assert ddi.ADDRESS_AND_SIZE_TO_SPAN_PAGES(0xFFF, 2) == 2
    assert (ddi.ALIGN_UP_BY(17, 16), ddi.ALIGN_DOWN_BY(17, 16)) == (32, 16)


def test_memory_by_ulongs(current: Kernel) -> None:
    block = memory(current)
    ddi.RtlFillMemoryUlong(block, 18, 0xDEAD_BEEF)
    assert current.read(block, 18) == b"\xef\xbe\xad\xde" * 4 + bytes(2)
    assert ddi.RtlCompareMemoryUlong(block, 40, 0xDEAD_BEEF) == 16
    assert ddi.InterlockedIncrement16(block) == -0x4110
    assert ddi.InterlockedDecrement16(block) == -0x4111
    assert current.read(block, 4) == b"\xef\xbe\xad\xde"
