"""The three families, SLISTs and routines of a compiled driver's own."""

from __future__ import annotations

from lookaside_sim import Kernel, LookasideList, PoolTag, PoolType, windbg
from lookaside_sim.system.compiled import CompiledDriver
from tests.drive.helpers import loaded, needs_engine
from tests.helpers import both_machines

pytestmark = needs_engine


def started(arch: str) -> tuple[Kernel, CompiledDriver, dict[str, LookasideList]]:
    kernel, driver = loaded("families", arch)
    assert driver.start() == 0
    return kernel, driver, {each.name.partition("!")[2]: each for each in driver.lists}


@both_machines
def test_lists_carry_the_symbols_of_the_image(arch: str) -> None:
    kernel, driver, lists = started(arch)
    assert list(lists) == ["Packets", "Records", "Contexts", "Names", "Counted"]
    records = lists["Records"]
    assert records.address == driver.address_of("Records")
    assert (records.tag, records.type) == (PoolTag(b"Rord"), PoolType.PagedPool)
    assert driver.symbol_at(records.allocate_ex) == f"families-{arch}!AllocateRecord"
    assert f'"families-{arch}!Records"' in windbg.lookasides(kernel)


@both_machines
def test_inlined_code_of_the_header_works_on_the_lists_bytes(arch: str) -> None:
    kernel, driver, lists = started(arch)
    assert driver.call("Queue", 6) == sum(range(6))
    assert driver.log[-1] == "families: 6 wait at IRQL 0\n"
    packets = lists["Packets"]
    counted = packets.total_allocates, packets.allocate_misses
    assert counted == (6, 6)
    assert (packets.total_frees, packets.free_misses, packets.current_depth) == (6, 2, 4)
    assert driver.call("Older") == 0
    assert (lists["Contexts"].total_allocates, lists["Contexts"].allocate_misses) == (2, 1)
    kernel.check()


@both_machines
def test_routines_in_c_are_called_by_lists_in_python(arch: str) -> None:
    kernel, driver, lists = started(arch)
    record = lists["Records"].allocate()
    assert record is not None
    block = kernel.pool.query(record)
    assert block is not None
    assert (str(block.tag), kernel.ledger and kernel.ledger.live[record].owner) == (
        "Rord",
        driver,
    )
    lists["Records"].free(record)
    lists["Records"].flush()
    assert driver.call("TakeRecord") == record  # the block that came back
    lists["Counted"].free(lists["Counted"].allocate())
    driver.unload()
    assert driver.log[-1] == "families: 102 allocated, 101 freed\n"


@both_machines
def test_routines_in_python_are_called_by_compiled_code(arch: str) -> None:
    kernel, driver, lists = started(arch)
    seen: list[object] = []

    def allocate(pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList) -> int:
        seen.append((size, str(tag), of.address))
        return kernel.pool.allocate(pool_type, size, tag) or 0

    def free(entry: int, of: LookasideList) -> None:
        seen.append((entry, of.address))
        kernel.pool.free(entry)

    packets = lists["Packets"]
    packets.delete()
    assert packets.initialize(size=64, tag=b"Pyth", allocate=allocate, free=free) == 0
    entries = [driver.call("TakePacket") for _ in range(5)]
    for entry in entries:
        driver.call("GivePacket", entry)
    assert seen == [*[(64, "Pyth", packets.address)] * 5, (entries[4], packets.address)]
    kernel.check()


@both_machines
def test_a_request_with_quota_goes_to_the_process(arch: str) -> None:
    kernel, driver, _ = started(arch)
    process = kernel.processes.create("payer.exe", paged_quota=0x400)
    with kernel.processes.running(process):
        assert driver.call("Quota", 100) == 0
        assert driver.call("Quota", 0x800) == 0xC000_0044


@both_machines
def test_the_driver_unloads_and_leaves_nothing(arch: str) -> None:
    kernel, driver, _ = started(arch)
    driver.call("Queue", 20)
    driver.call("Older")
    driver.unload()
    assert kernel.lookaside_lists == []
    assert sum(pool.bytes_in_use for pool in kernel.pool.descriptors) == 0
    assert kernel.peek(driver.image_base, 1) == [None]
    kernel.tick(9)
    kernel.check()
