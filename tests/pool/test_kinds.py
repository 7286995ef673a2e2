"""The pool is chosen by name, and everything else works with any kind of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    PoolAllocation,
    PoolTag,
    PoolTagUsage,
    PoolType,
    SanitizerError,
    Verifier,
    windbg,
)
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.regions import Region
from lookaside_sim.pool.big import BigBlock
from lookaside_sim.pool.check import PoolBlock
from lookaside_sim.pool.find import Outside
from lookaside_sim.pool.kinds import KINDS
from lookaside_sim.pool.plans import PoolPlan, Request, request_of
from lookaside_sim.pool.requests import Requests
from lookaside_sim.pool.stops import KnownBlocks
from lookaside_sim.pool.values import PoolLimits, PoolRange
from lookaside_sim.testing import FaultInjector, LeakTracker
from tests.helpers import new_list, stop_of

NONPAGED, PAGED = PoolType.NonPagedPool, PoolType.PagedPool


@attrs.frozen
class Heap:
    name: str
    paged: bool
    base: int
    end: int
    bytes_in_use: int = 0


class BumpPool:
    """A pool that never uses memory again: as little as the protocol allows."""

    def __init__(self, machine: Machine, limits: PoolLimits, *, strict_tags: bool) -> None:
        self._machine = machine
        self._strict = strict_tags
        self._live: dict[int, Request] = {}
        self._billed: dict[int, int] = {}
        self._rows: dict[PoolTag, dict[str, int]] = {}
        self._outside: list[Outside] = []
        self.requests = Requests(machine, Blocks(self))
        self.descriptors = [
            Heap(name, paged, base, base + 0x10_0000)
            for name, paged, base in (
                ("NonPagedPool", False, machine.arch.driver_images_start + 0x100_0000),
                ("PagedPool", True, machine.arch.driver_images_start + 0x200_0000),
            )
        ]
        self._next = {heap.paged: heap.base for heap in self.descriptors}
        for heap in self.descriptors:
            machine.memory.map(Region(heap.base, heap.end - heap.base))
        self.big_blocks: dict[int, BigBlock] = {}

    # --- what the door ends at -----------------------------------------------------------

    def plan(self, pool_type: int, size: int, tag: int) -> PoolPlan:
        plan: Any = SimpleNamespace(request=Request(pool_type, size, PoolTag(tag)))
        return plan  # type: ignore[no-any-return]

    def take(self, plan: PoolPlan) -> int:
        request = request_of(plan)
        paged = bool(request.pool_type & 1)
        address = self._next[paged]
        if address + request.size > self.range_of(request.pool_type).end:
            return 0
        self._next[paged] = -(-(address + request.size) // 16) * 16
        self._live[address] = request
        self._count(request.tag, "allocs", 1, request.size, paged=paged)
        return address

    def drop(self, address: int) -> None:
        request = self._live.pop(address, None)
        if request is None:
            self._machine.stop(
                BugCheckCode.BAD_POOL_CALLER, (7, 0, 0, address), f"{address:#x} is not live"
            )
        paged = bool(request.pool_type & 1)
        self._count(request.tag, "frees", 1, -request.size, paged=paged)

    def _count(self, tag: int, what: str, calls: int, size: int, *, paged: bool) -> None:
        kind = "paged" if paged else "nonpaged"
        row = self._rows.setdefault(PoolTag(tag), dict.fromkeys(_FIELDS, 0))
        row[f"{kind}_{what}"] += calls
        row[f"{kind}_bytes"] += size

    # --- the protocol --------------------------------------------------------------------

    def allocate(self, pool_type: PoolType | int, size: int, tag: Any) -> int | None:
        plan = self.plan(int(pool_type), size, PoolTag(tag))
        return self.requests.top.allocate(plan) or None

    def allocate_with_priority(
        self, pool_type: PoolType | int, size: int, tag: Any, priority: int
    ) -> int | None:
        return self.allocate(pool_type, size, tag)

    def allocate_special(self, pool_type: PoolType | int, size: int, tag: Any) -> int | None:
        return self.allocate(pool_type, size, tag)

    def free(self, address: int | None, tag: Any = None) -> None:
        self.requests.top.free(address or 0, 0 if tag is None else PoolTag(tag))

    def allocate_block(self, pool_type: int, size: int, tag: int) -> int:
        return self.requests.top.allocate(self.plan(pool_type, size, tag))

    def free_block(self, address: int, tag: int = 0) -> None:
        self.requests.top.free(address, tag)

    def usage(self, tag: Any) -> PoolTagUsage:
        return self.rows().get(PoolTag(tag), PoolTagUsage(**dict.fromkeys(_FIELDS, 0)))

    def tags(self) -> Mapping[PoolTag, PoolTagUsage]:
        return self.rows()

    def rows(self) -> Mapping[PoolTag, PoolTagUsage]:
        return {tag: PoolTagUsage(**row) for tag, row in self._rows.items()}

    def query(self, address: int) -> PoolAllocation | None:
        return self.find(address)

    def find(self, address: int) -> PoolAllocation | None:
        for outside in self._outside:
            found = outside.find(address)
            if found is not None:
                return found
        for start, request in self._live.items():
            if start <= address < start + request.size:
                tag, pool_type = PoolTag(request.tag), PoolType(request.pool_type)
                return PoolAllocation(start, request.size, tag, pool_type, request.size)
        return None

    def serves(self, pool_type: int) -> bool:
        return pool_type in (0, 1)

    def range_of(self, pool_type: int) -> Heap:
        return self.descriptors[pool_type & 1]

    def descriptor_at(self, address: int) -> PoolRange | None:
        for outside in self._outside:
            if outside.descriptor_at(address) is not None:
                return outside.descriptor_at(address)
        return self.ordinary_at(address)

    def ordinary_at(self, address: int) -> Heap | None:
        return next(
            (heap for heap in self.descriptors if heap.base <= address < heap.end), None
        )

    def check_tag(self, address: int, owner: int, tag: int) -> None:
        if self._strict and tag and tag != owner:
            self._machine.stop(
                BugCheckCode.BAD_POOL_CALLER, (10, address, owner, tag), "another tag"
            )

    def refuse_parameters(self, address: int) -> None:
        self._machine.stop(BugCheckCode.BAD_POOL_CALLER, (0x99, address, 0, 0), "parameters")

    def know_blocks(self, blocks: KnownBlocks) -> None:
        """Its stops name addresses only."""

    def charge(self, tag: int, size: int, *, paged: bool) -> None:
        self._count(tag, "allocs" if size > 0 else "frees", 1, size, paged=paged)

    def bill(self, address: int, process: int) -> None:
        self._billed[address] = process

    def billed(self, address: int) -> int | None:
        return self._billed.get(address)

    def add_outside(self, base: int, outside: Outside) -> None:
        self._outside.append(outside)

    def blocks_in_page(self, address: int) -> Iterator[PoolBlock]:
        return iter(())

    def pages_of_blocks(self, paged: bool) -> Iterator[int]:
        return iter(())

    def check(self) -> None:
        assert all(self.ordinary_at(address) for address in self._live)


_FIELDS = [field.name for field in attrs.fields(PoolTagUsage)]


class Blocks:
    """What its door ends at."""

    def __init__(self, pool: BumpPool) -> None:
        self._pool = pool

    def allocate(self, plan: PoolPlan) -> int:
        return self._pool.take(plan)

    def free(self, address: int, tag: int = 0) -> None:
        self._pool.drop(address)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kernel]:
    """Makes machines with the second kind of pool."""
    monkeypatch.setitem(KINDS, "bump", BumpPool)

    def make(**settings: Any) -> Kernel:
        return Kernel(pool="bump", **settings)

    return make


def test_the_kind_is_chosen_by_name(make: Callable[..., Kernel]) -> None:
    assert type(make().pool).__name__ == "BumpPool"
    assert Kernel().settings.pool == "classic"
    with pytest.raises(ValueError, match="pool='segment': give one of 'classic', 'bump'"):
        Kernel(pool="segment")
    with pytest.raises(ValueError, match="has no small-pool lists"):
        make(small_pool_lists=True)


def test_lists_hit_miss_tune_and_flush(make: Callable[..., Kernel]) -> None:
    kernel = make()
    lookaside = new_list(kernel, size=32)
    entries = [lookaside.allocate() for _ in range(6)]
    for entry in entries:
        lookaside.free(entry)
    assert lookaside.current_depth == 4
    assert (lookaside.allocate_misses, lookaside.free_misses) == (6, 2)
    assert [lookaside.allocate() for _ in range(4)] == entries[3::-1]
    kernel.tick(6)
    for entry in entries[:4]:
        lookaside.free(entry)
    kernel.check()
    lookaside.delete()
    assert kernel.pool.usage(lookaside.tag).nonpaged_bytes == 0


def test_a_list_may_lie_in_its_memory(make: Callable[..., Kernel]) -> None:
    kernel = make()
    block = kernel.pool.allocate(NONPAGED, 0x100, b"DExt")
    lookaside = kernel.lookaside_list(address=block)
    assert lookaside.initialize(size=64, tag=b"test").is_success
    lookaside.free(lookaside.allocate())
    assert kernel.lookaside_lists == [lookaside]
    assert lookaside.is_embedded


def test_layers_lie_over_it(make: Callable[..., Kernel]) -> None:
    kernel = make()
    driver = kernel.load_driver("my.sys")
    faults = FaultInjector(kernel)
    block = driver.allocate(PAGED, 24, b"Mine")
    assert [record.address for record in driver.pool] == [block]
    faults.fail_all()
    assert driver.allocate(PAGED, 24, b"Mine") is None
    faults.remove()
    process = kernel.processes.create("app.exe")
    with kernel.processes.running(process):
        charged = kernel.quota.allocate(NONPAGED, 100, b"Quot")
    assert process.nonpaged_usage == 100
    kernel.pool.free(charged)
    assert process.nonpaged_usage == 0
    with LeakTracker(kernel) as tracker:
        leaked = kernel.pool.allocate(NONPAGED, 8, b"Leak")
    assert leaked is not None
    driver.free(block)
    assert kernel.ledger is not None
    assert driver.pool == ()
    assert tracker.kernel is kernel


def test_the_verifier_and_its_special_pool_watch_it(make: Callable[..., Kernel]) -> None:
    kernel = make(verifier=Verifier.standard())
    block = kernel.pool.allocate(NONPAGED, 24, b"Test")
    assert block is not None
    assert kernel.verification is not None
    assert kernel.verification.special_pool is not None
    assert kernel.verification.special_pool.holds(block)
    stop = stop_of(lambda: kernel.write(block, bytes(0x1000)))
    assert stop.code is BugCheckCode.DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION


def test_the_sanitizer_and_the_stops_of_the_kind(make: Callable[..., Kernel]) -> None:
    kernel = make(sanitizer=True)
    lookaside = new_list(kernel)
    entry = lookaside.allocate()
    lookaside.free(entry)
    with pytest.raises(SanitizerError, match="freed again"):
        lookaside.free(entry)
    with pytest.raises(BugCheck, match="is not live"):
        kernel.pool.free(0x1234)


def test_views_show_what_it_has(make: Callable[..., Kernel]) -> None:
    kernel = make()
    lookaside = new_list(kernel, name="test!List")
    entry = lookaside.allocate()
    assert entry is not None
    assert 'Lookaside "test!List"' in windbg.lookaside(lookaside)
    assert str(lookaside.tag) in windbg.poolused(kernel)
    assert "region is Nonpaged pool" in windbg.pool(kernel, entry)
    assert windbg.poolfind(kernel, "test").count("Searching NonPaged pool") == 1
