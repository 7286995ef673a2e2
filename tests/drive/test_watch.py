"""Inlined list code under the eyes of listeners and of the sanitizer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lookaside_sim import Kernel, SanitizerError, trace
from lookaside_sim.lookaside.calls import AllocateEntry, FreeEntry
from lookaside_sim.machine.calls import Call
from lookaside_sim.system.compiled import CompiledDriver
from lookaside_sim.testing.faults import FaultInjector
from tests.drive.helpers import line_of, loaded, needs_engine
from tests.helpers import both_machines

pytestmark = needs_engine


def state(kernel: Kernel, driver: CompiledDriver) -> list[object]:
    """The bytes of the driver's lists but for what the sanitizer has nothing to do with, and pool."""
    lists = [bytes(kernel.memory.read(each.address, each.image_size)) for each in driver.lists]
    pools = [bytes(pool.arena.data) for pool in kernel.pool.descriptors]
    return [*lists, *pools]


PROGRAM: list[Callable[[CompiledDriver], int]] = [
    lambda driver: driver.call("Queue", 7),
    lambda driver: driver.call("Older"),
    lambda driver: driver.call("GiveRecord", driver.call("TakeRecord")),
    lambda driver: driver.call("Exchange", 6),
    lambda driver: driver.call("Queue", 3),
    lambda driver: driver.call("Exchange", 9),
]


@both_machines
def test_what_is_watched_does_the_same(arch: str) -> None:
    plain, plain_driver = loaded("families", arch)
    heard, heard_driver = loaded("families", arch)
    heard.listen(lambda call: None)
    checked, checked_driver = loaded("families", arch, sanitizer=True)
    for driver in (plain_driver, heard_driver, checked_driver):
        assert driver.start() == 0
    for step in PROGRAM:
        results = [step(driver) for driver in (plain_driver, heard_driver, checked_driver)]
        assert results[0] == results[1] == results[2]
        assert state(plain, plain_driver) == state(heard, heard_driver)
        assert state(plain, plain_driver) == state(checked, checked_driver)
    for driver in (plain_driver, heard_driver, checked_driver):
        driver.unload()
    assert plain_driver.log == heard_driver.log == checked_driver.log


@both_machines
def test_a_listener_hears_each_call_that_was_inlined(arch: str) -> None:
    kernel, driver = loaded("families", arch)
    driver.start()
    calls: list[tuple[str, str, str]] = []

    def heard(call: Call) -> None:
        if call.is_over and isinstance(call, (AllocateEntry, FreeEntry)):
            assert call.branch is not None
            name = call.lookaside.name.partition("!")[2]
            calls.append((call.word, name, call.branch.value))

    kernel.listen(heard)
    driver.call("Queue", 5)
    assert calls == (
        [("alloc", "Packets", "miss")] * 5
        + [("free", "Packets", "hit")] * 4
        + [("free", "Packets", "full")]
    )
    calls.clear()
    driver.call("Exchange", 5)  # with routines of the driver's own
    assert calls == (
        [("alloc", "Records", "miss")] * 5
        + [("free", "Records", "hit")] * 4
        + [("free", "Records", "full")]
    )


@both_machines
def test_a_recording_of_compiled_code_runs_again(arch: str) -> None:
    kernel, driver = loaded("families", arch)
    with trace.record(kernel) as recorded:
        driver.start()
        driver.call("Queue", 5)
        driver.call("Older")
    done = trace.replay(recorded.events, Kernel(arch))
    packets, again = driver.lists[0], done.lists[f"families-{arch}!Packets"]
    for each in (packets, again):
        assert (each.total_allocates, each.allocate_misses) == (5, 5)
        assert (each.total_frees, each.free_misses) == (5, 1)


@both_machines
def test_an_allocate_routine_that_has_nothing_is_asked_once(arch: str) -> None:
    kernel, driver = loaded("families", arch)
    driver.start()
    asked: list[str] = []
    kernel.listen(lambda call: asked.append(call.word) if call.is_over else None)
    faults = FaultInjector(kernel)
    faults.fail_all()
    assert driver.call("TakePacket") == 0
    assert driver.call("TakeRecord") == 0
    assert asked.count("alloc") == 3  # two lists, and the pool by the routine in C
    faults.clear()
    packets, records = driver.lists[:2]
    for each in (packets, records):
        assert (each.total_allocates, each.allocate_misses) == (1, 1)
    assert driver.call("TakePacket")
    assert driver.call("TakeRecord")
    driver.call("ShowCounts")
    assert driver.log[-1] == "families: 2 allocated, 0 freed\n"


@both_machines
def test_the_sanitizer_sees_an_entry_that_goes_to_the_pool(arch: str) -> None:
    _, driver = loaded("mistakes", arch, sanitizer=True)
    driver.start()
    where = f"(mistakes.c:{line_of('mistakes.c', 'entry to pool')})"
    with pytest.raises(SanitizerError, match=re.escape(where)):
        driver.call("EntryToPool")


@both_machines
@pytest.mark.parametrize(
    ("routine", "kind", "words"),
    [
        ("EntryFreedTwice", "double-free", "entry given twice"),
        ("WrongList", "wrong-list", "wrong list"),
        ("EntryAfterFree", "use-after-free", "written"),
        ("EntryReadAfterFree", "use-after-free", "read"),
    ],
)
def test_the_sanitizer_finds_it_at_its_line(
    arch: str, routine: str, kind: str, words: str
) -> None:
    kernel, driver = loaded("mistakes", arch, sanitizer=True)
    driver.start()
    with pytest.raises(SanitizerError) as caught:
        driver.call(routine)
    assert caught.value.kind == kind
    assert f"(mistakes.c:{line_of('mistakes.c', words)})" in caught.value.message
    assert kernel.bugcheck is None
    kernel.check()
