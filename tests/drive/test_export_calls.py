"""Exports called one by one, by their addresses, as a driver's code calls them."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel, ddi
from lookaside_sim.drive.load import Drive
from lookaside_sim.system.compiled import CompiledDriver
from tests.drive.helpers import loaded, needs_engine, sys_file
from tests.helpers import both_machines, stop_of

pytestmark = needs_engine


class Caller:
    """Calls exports of one machine, and has memory for what they are given."""

    def __init__(self, arch: str) -> None:
        self.kernel, self.driver = loaded("families", arch)
        self.driver.start()
        drive = self.kernel.compiled
        assert isinstance(drive, Drive)
        self.imports = drive.imports
        self.place = self.driver.place_data(0x1000)
        self.pointer = self.kernel.arch.pointer_size
        self._next = self.place

    def __call__(self, name: str, *arguments: int) -> int:
        return self.driver.call(self.imports.address_of(name), *arguments)

    def put(self, data: bytes) -> int:
        """Some bytes in the driver's data."""
        address = self._next
        self.kernel.write(address, data)
        self._next += -(-len(data) // 16) * 16
        return address

    def string(self, text: str, width: int = 1, room: int | None = None) -> int:
        """A STRING or UNICODE_STRING."""
        raw = text.encode("latin-1" if width == 1 else "utf-16-le")
        size = len(raw) if room is None else room
        buffer = self.put(raw.ljust(max(size, 1), b"\0"))
        lengths = len(raw).to_bytes(2, "little") + size.to_bytes(2, "little")
        return self.put(
            lengths.ljust(self.pointer, b"\0") + buffer.to_bytes(self.pointer, "little")
        )

    def number(self, address: int, size: int) -> int:
        return int.from_bytes(self.kernel.read(address, size), "little")

    def text_of(self, string: int) -> str:
        """The text of a UNICODE_STRING."""
        buffer = self.number(string + self.pointer, self.pointer)
        return self.kernel.read(buffer, self.number(string, 2)).decode("utf-16-le")


@pytest.fixture
def call(arch: str) -> Caller:
    return Caller(arch)


def wide(text: str) -> bytes:
    return text.encode("utf-16-le") + bytes(2)


# --- C's own -----------------------------------------------------------------------------


def test_memory_of_c(call: Caller) -> None:
    one, other = call.put(b"abcdefgh"), call.put(b"abcdxfgh")
    assert call("memcmp", one, other, 4) == 0
    assert call("memcmp", one, other, 8) & 0x8000_0000
    assert call("memcmp", other, one, 8) == 1
    assert call("memcpy", other, one, 8) == other
    assert call("memmove", other + 1, other, 3) == other + 1
    assert call("memset", one, 0x15A, 3) == one
    assert (call.kernel.read(one, 4), call.kernel.read(other, 5)) == (b"ZZZd", b"aabce")
    assert call("memcpy", 0, 0, 0) == call("memset", 0, 0, 0) == 0
    call("RtlFillMemoryUlong", one, 8, 0x01020304)
    assert call.kernel.read(one, 8) == b"\4\3\2\1" * 2
    assert call("RtlCompareMemoryUlong", one, 8, 0x01020304) == 8
    call.kernel.write(one + 5, b"x")
    assert call("RtlCompareMemoryUlong", one, 11, 0x01020304) == 4


def test_texts_of_c(call: Caller) -> None:
    one, other = call.put(b"text\0"), call.put(b"texture\0".ljust(32, b"\0"))
    assert (call("strlen", one), call("strlen", other)) == (4, 7)
    assert call("strcmp", one, one) == 0
    assert call("strcmp", other, one) == 1
    assert call("strncmp", one, other, 4) == 0
    assert call("strchr", other, ord("u")) == other + 4
    assert call("strchr", other, ord("z")) == 0
    assert call("strcat", other, one) == other
    assert call.kernel.read(other, 12) == b"texturetext\0"
    assert call("strcpy", other, one) == other
    assert call("strncpy", other, other + 6, 8) == other
    assert call.kernel.read(other, 8) == b"etext\0\0\0"
    first, second = call.put(wide("wide")), call.put(wide("wider"))
    assert (call("wcslen", first), call("wcscmp", second, first)) == (4, 1)
    assert call("wcscpy", second, first) == second
    assert call("wcscmp", second, first) == 0


def test_a_text_that_goes_on_to_the_next_page(call: Caller) -> None:
    start = call.place + 0x1000 - 8
    call.kernel.write(start, b"12345678")
    following = call.driver.place_data(16)
    assert following == call.place + 0x1000
    call.kernel.write(following, b"9\0")
    assert call("strlen", start) == 9


def test_formats_with_a_bound(call: Caller) -> None:
    to = call.put(b"........................")
    text = call.put(b"%u!\0")
    assert call("_snprintf", to, 8, text, 42) == 3
    assert call.kernel.read(to, 5) == b"42!\0."
    assert call("_snprintf", to, 3, text, 42) == 3  # it fits, and its end does not
    assert call("_snprintf", to, 2, text, 42) & 0xFFFF_FFFF == 0xFFFF_FFFF
    assert call("sprintf", to, text, 123456) == 7
    assert call.kernel.read(to, 8) == b"123456!\0"
    format_wide = call.put(wide("<%x>"))
    assert call("_snwprintf", to, 10, format_wide, 0xAB) == 4
    assert call.kernel.read(to, 10) == wide("<ab>")
    assert call("swprintf", to, format_wide, 0xC) == 3
    size = call.pointer
    arguments = call.put((7).to_bytes(size, "little") + (8).to_bytes(size, "little"))
    assert call("_vsnprintf", to, 8, call.put(b"%d-%d\0"), arguments) == 3
    assert call.kernel.read(to, 4) == b"7-8\0"
    assert call("_vsnwprintf", to, 8, call.put(wide("%d-%d")), arguments) == 3


# --- strings and numbers -----------------------------------------------------------------


def test_counted_strings(call: Caller) -> None:
    one, other = call.string("Text"), call.string("tEXT")
    assert call("RtlEqualString", one, other, 0) == 0
    assert call("RtlEqualString", one, other, 1) == 1
    assert call("RtlCompareString", other, one, 0) == 1
    assert call("RtlCompareString", other, one, 1) == 0
    made = call.put(bytes(2 * call.pointer))
    call("RtlInitString", made, call.put(b"abc\0"))
    assert (call.number(made, 2), call.number(made + 2, 2)) == (3, 4)
    assert call("RtlUpcaseUnicodeChar", ord("ä")) == ord("Ä")
    assert call("RtlUpcaseUnicodeChar", ord("ß")) == ord("ß")


NUMBERS = (
    ("42", 0, 42),
    ("  -42x", 10, -42 & 0xFFFF_FFFF),
    ("0x1f", 0, 31),
    ("0b101", 0, 5),
    ("0o17", 0, 15),
    ("0x1f", 16, 0),
    ("ff", 16, 255),
    ("777", 8, 511),
    ("", 0, 0),
)


def test_numbers_are_read(call: Caller) -> None:
    for text, base, value in NUMBERS:
        found = call.put(bytes(4))
        assert call("RtlUnicodeStringToInteger", call.string(text, 2), base, found) == 0
        assert call.number(found, 4) == value, text


def test_numbers_are_written(call: Caller) -> None:
    string = call.string("", 2, room=16)
    for value, base, wanted in (
        (42, 0, "42"),
        (0, 10, "0"),
        (0xBEEF, 16, "BEEF"),
        (5, 2, "101"),
    ):
        assert call("RtlIntegerToUnicodeString", value, base, string) == 0
        assert call.text_of(string) == wanted
    assert call("RtlIntegerToUnicodeString", 1 << 31, 2, string) == 0x8000_0005
    assert call("RtlIntegerToUnicodeString", 1, 3, string) == 0xC000_000D
    assert call("RtlUnicodeStringToInteger", string, 7, string) == 0xC000_000D


# --- interlocked -------------------------------------------------------------------------


def test_interlocked_routines_with_a_lock(call: Caller) -> None:
    lock = call.put(bytes(8))
    large = call.put((5).to_bytes(8, "little"))
    assert call("ExInterlockedAddUlong", large, 3, lock) == 5
    assert call.number(large, 8) == 8
    head, entry = call.put(bytes(16)), call.put(bytes(16))
    own = head.to_bytes(call.pointer, "little")
    call.kernel.write(head, own + own)
    assert call("ExInterlockedInsertTailList", head, entry, lock) == 0
    assert call("ExInterlockedRemoveHeadList", head, lock) == entry
    assert call("ExInterlockedRemoveHeadList", head, lock) == 0
    single = call.put(bytes(8))
    assert call("ExInterlockedPushEntryList", single, entry, lock) == 0
    assert call("ExInterlockedPopEntryList", single, lock) == entry


def test_large_integers_take_two_slots_on_x86(call: Caller) -> None:
    large, lock = call.put((1 << 33).to_bytes(8, "little")), call.put(bytes(8))
    halves = (1 << 34,) if call.pointer == 8 else (0, 1 << 2)
    result = call("ExInterlockedAddLargeInteger", large, *halves, lock)
    assert result == (1 << 33 if call.pointer == 8 else 0)  # edx has the rest
    assert call.number(large, 8) == (1 << 33) + (1 << 34)


def test_fast_ones_on_x64() -> None:
    """Where all arguments are in registers; x86's code calls them in other tests."""
    call = Caller("x64")
    lock, head, entry = call.put(bytes(8)), call.put(bytes(16)), call.put(bytes(16))
    own = head.to_bytes(8, "little")
    call.kernel.write(head, own + own)
    assert call("ExfInterlockedInsertHeadList", head, entry, lock) == 0
    assert call("ExfInterlockedRemoveHeadList", head, lock) == entry
    assert call("ExfInterlockedInsertTailList", head, entry, lock) == 0
    single = call.put(bytes(8))
    assert call("ExfInterlockedPushEntryList", single, entry, lock) == 0
    assert call("ExfInterlockedPopEntryList", single, lock) == entry
    target, new, old = (call.put(n.to_bytes(8, "little")) for n in (1, 2, 1))
    assert call("ExfInterlockedCompareExchange64", target, new, old) == 1
    assert call("ExfInterlockedCompareExchange64", target, new, old) == 2
    assert call.number(target, 8) == 2
    call("ExInterlockedAddLargeStatistic", target, 40)
    assert call.number(target, 8) == 42


def test_slists_by_their_other_names() -> None:
    call = Caller("x64")
    head, entry = call.put(bytes(16)), call.put(bytes(16))
    call("InitializeSListHead", head)
    assert call("ExInterlockedPushEntrySList", head, entry, 0) == 0
    assert (call("FirstEntrySList", head), call("ExQueryDepthSList", head)) == (entry, 1)
    assert call("ExInterlockedPopEntrySList", head, 0) == entry
    assert call("InterlockedPushEntrySList", head, entry) == 0
    assert call("ExpInterlockedFlushSList", head) == entry


# --- IRQL, processors, time, the system --------------------------------------------------


def test_irql_and_locks_by_their_fast_names() -> None:
    call = Caller("x64")
    lock = call.put(bytes(8))
    assert call("KfRaiseIrql", 1) == 0
    assert call("KeRaiseIrqlToSynchLevel") == 1
    call("KfLowerIrql", 0)
    assert call("KfAcquireSpinLock", lock) == 0
    assert call.kernel.irql == 2
    call("KfReleaseSpinLock", lock, 0)
    with call.kernel.raise_irql(2):
        call("KefAcquireSpinLockAtDpcLevel", lock)
        assert call("KeTestSpinLock", lock) == 0
        call("KefReleaseSpinLockFromDpcLevel", lock)
    assert call.kernel.irql == 0


def test_processors(call: Caller) -> None:
    number, mask = call.put(b"\xff" * 4), call.put(bytes(8))
    assert call("KeGetCurrentProcessorNumberEx", number) == 0
    assert call.number(number, 4) == 0
    assert call("KeGetCurrentProcessorNumberEx", 0) == 0
    assert call("KeQueryActiveProcessorCount", mask) == 1
    assert call.number(mask, call.pointer) == 1
    assert call("KeQueryActiveProcessorCountEx", 0xFFFF) == 1
    assert call("KeQueryMaximumProcessorCount") == 1


def test_time_passes_in_simulated_seconds(call: Caller) -> None:
    time, count, frequency = (call.put(bytes(8)) for _ in range(3))
    call("KeQuerySystemTime", time)
    before = call.number(time, 8)
    call.kernel.tick(2)
    call("KeQuerySystemTime", time)
    assert call.number(time, 8) - before == 20_000_000
    call("KeQueryTickCount", count)
    assert call.number(count, 8) * call("KeQueryTimeIncrement") == 20_000_000
    assert call("KeQueryInterruptTime") == 20_000_000
    assert call("KeQueryPerformanceCounter", frequency) == 2 * call.number(frequency, 8)
    assert call("KeQueryPerformanceCounter", 0) == 20_000_000
    call("KeStallExecutionProcessor", 10)


def test_what_the_system_says_of_itself(call: Caller) -> None:
    major, minor, build, pack = (call.put(b"\xff" * 8) for _ in range(4))
    assert call("PsGetVersion", major, minor, build, pack) == 0
    assert [call.number(each, 4) for each in (major, minor, build)] == [10, 0, 17763]
    assert call("PsGetVersion", 0, 0, 0, 0) == 0
    information = call.put(bytes(0x40))
    assert call("RtlGetVersion", information) == 0
    assert call.number(information + 4, 4) == 10
    assert call("IoIsWdmVersionAvailable", 6, 0) == 1
    assert call("IoIsWdmVersionAvailable", 7, 0) == 0
    assert call("IoGetCurrentProcess") == call.kernel.processes.current.address
    assert (call("PsGetCurrentProcessId"), call("PsGetCurrentThreadId")) == (4, 8)
    assert call("MmIsAddressValid", information) == 1
    assert call("MmIsAddressValid", 8) == 0
    assert call("IoRegisterShutdownNotification", information) == 0
    call("IoUnregisterShutdownNotification", information)
    assert call("KeAreApcsDisabled") == 0
    number = call.imports.address_of("NtBuildNumber")
    assert call.number(number, 4) == 17763


def test_addresses_of_routines_by_name(call: Caller) -> None:
    found = call("MmGetSystemRoutineAddress", call.string("ExFreePool", 2))
    assert found == call.kernel.routines.default_free
    assert call("MmGetSystemRoutineAddress", call.string("ExNothing", 2)) == 0


def test_dpcs_have_no_importance(call: Caller) -> None:
    dpc = call.put(bytes(0x40))
    call("KeInitializeDpc", dpc, call.driver.address_of("ShowCounts"), 0)
    call("KeSetImportanceDpc", dpc, 2)
    call("KeSetTargetProcessorDpc", dpc, 0)
    assert call("KeInsertQueueDpc", dpc, 0, 0) == 1
    assert call.driver.run_queued() == 1
    assert call.driver.log[-1] == "families: 0 allocated, 0 freed\n"


# --- pool and lists ----------------------------------------------------------------------


def test_pool_by_flags_and_parameters() -> None:
    call = Caller("x64")
    priority = (1).to_bytes(8, "little") + (16).to_bytes(8, "little")
    given = call.put(priority)
    block = call("ExAllocatePool3", 0x40, 100, 0x74736554, given, 1)
    assert call.kernel.read(block, 100) == bytes(100)
    assert call("ExAllocatePool3", 0x40, 100, 0x74736554, 0, 0)
    assert call("FsRtlAllocatePool", 0, 64)
    call("ExFreePoolWithTag", block, 0x74736554)


def test_lists_by_exports_alone(call: Caller) -> None:
    names = call.driver.address_of("Names")
    entry = call("ExAllocateFromPagedLookasideList", names)
    call("ExFreeToPagedLookasideList", names, entry)
    packets = call.driver.address_of("Packets")
    entry = call("ExAllocateFromLookasideListEx", packets)
    call("ExFreeToLookasideListEx", packets, entry)
    assert call.kernel.list_at(packets).current_depth == 1
    call("ExFlushLookasideListEx", packets)
    assert call.kernel.list_at(packets).current_depth == 0
    assert call("ExInitializeLookasideListEx", packets, 0, 0, 0, 4, 8, 1, 0) == 0xC000_00F3


# --- stops and statuses ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [
        ("ExRaiseStatus", (0xC000_0022,), 0xC000_0022),
        ("RtlRaiseStatus", (0xC000_0022,), 0xC000_0022),
        ("ExRaiseAccessViolation", (), 0xC000_0005),
        ("ExRaiseDatatypeMisalignment", (), 0x8000_0002),
        ("ProbeForRead", (0x1_0001, 4, 4), 0x8000_0002),
        ("ProbeForRead", (0xFFFF_F000, 0x10_0000, 1), 0xC000_0005),
        ("ProbeForWrite", (0x1_0000, 4, 4), 0xC000_0005),
    ],
)
def test_statuses_that_are_raised(
    call: Caller, name: str, arguments: tuple[int, ...], status: int
) -> None:
    if name == "ProbeForRead" and arguments[1] > 4 and call.pointer == 8:
        arguments = (0x7FFF_FFFF_FFFF_F000, 0x10_0000, 1)
    stop = stop_of(lambda: call(name, *arguments))
    assert stop.code is BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED
    assert stop.parameters[0] == status


def test_probes_that_find_nothing_wrong(call: Caller) -> None:
    call("ProbeForRead", 0, 0, 4)
    call("ProbeForRead", 0x1_0000, 4, 4)
    call("ProbeForWrite", 0, 0, 4)


def test_a_plain_bug_check(call: Caller) -> None:
    stop = stop_of(lambda: call("KeBugCheck", 0xE2))
    assert (stop.code, stop.parameters) == (0xE2, (0, 0, 0, 0))


@both_machines
def test_a_misaligned_list_is_an_exception_on_x64(arch: str) -> None:
    call = Caller(arch)
    misaligned = call.put(bytes(0x100)) + 8

    def initialize() -> int:
        return call("ExInitializeLookasideListEx", misaligned, 0, 0, 0, 0, 64, 1, 0)

    if arch == "x86":
        assert initialize() == 0
    else:
        assert stop_of(initialize).parameters[0] == 0x8000_0002


def test_without_a_debugger_nothing_happens(call: Caller) -> None:
    call("DbgBreakPoint")
    call("KdDisableDebugger")


def test_references_and_mappings() -> None:
    """On objects that `ddi` made."""
    kernel, driver = loaded("objects")
    driver.start()
    drive = kernel.compiled
    assert isinstance(drive, Drive)

    def call(name: str, *arguments: int) -> int:
        return driver.call(drive.imports.address_of(name), *arguments)

    handle, event = ddi.Ref(), ddi.Ref()
    with kernel:
        ddi.ZwCreateEvent(handle, 0, 0, 0, False)
        ddi.ObReferenceObjectByHandle(handle.value, 0, None, 0, event, 0)
    before = call("ObfReferenceObject", event.value)
    assert call("ObfDereferenceObject", event.value) == before - 1
    with driver:
        block = kernel.pool.allocate(0, 64, b"Mdl!")
    assert block is not None
    mdl = call("IoAllocateMdl", block, 64, 0, 0, 0)
    call("MmBuildMdlForNonPagedPool", mdl)
    assert call("MmMapLockedPages", mdl, 0) == block
    call("IoFreeMdl", mdl)


def test_all_are_bound_to_the_machine_they_are_on() -> None:
    one, other = Kernel(), Kernel()
    drivers: list[CompiledDriver] = []
    for kernel in (one, other):
        drivers.append(kernel.load_image(sys_file("families")))
    assert [each.start() for each in drivers] == [0, 0]
    drivers[0].call("Queue", 2)
    assert (len(drivers[0].log), len(drivers[1].log)) == (2, 1)
