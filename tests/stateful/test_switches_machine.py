"""Random programs with every switch on: correct use finds nothing, each planted misuse is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideList,
    PoolType,
    SanitizerError,
    Verifier,
    VerifierFlags,
)
from tests.helpers import allocated, new_list

POOL_TYPES = (PoolType.NonPagedPool, PoolType.NonPagedPoolNx, PoolType.PagedPool)
EVERY_CHECK = Verifier(
    VerifierFlags.STANDARD | VerifierFlags.LOW_RESOURCES_SIMULATION,
    probability=1000,
    delay_seconds=0,
    special_pool_tags="S*",
)


class SwitchesMachine(RuleBasedStateMachine):
    """Lists and blocks of a driver, with the sanitizer and every list of the pool on."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel(
            processors=2, sanitizer=True, small_pool_lists=True, delayed_free=True
        )
        self.driver = self.kernel.load_driver("my.sys")
        self.lists: list[tuple[LookasideList, list[int]]] = []
        self.blocks: list[int] = []
        self.irps: list[int] = []

    @initialize(size=st.integers(8, 600), pool_type=st.sampled_from(POOL_TYPES))
    def first_list(self, size: int, pool_type: PoolType) -> None:
        self.new_list(size, pool_type)

    @precondition(lambda self: self.kernel.verification is None)
    @rule()
    def enable_the_verifier(self) -> None:
        self.kernel.enable_verifier(EVERY_CHECK)

    @precondition(lambda self: len(self.lists) < 3)
    @rule(size=st.integers(8, 5000), pool_type=st.sampled_from(POOL_TYPES))
    def new_list(self, size: int, pool_type: PoolType) -> None:
        with self.driver:
            self.lists.append((new_list(self.kernel, pool_type=pool_type, size=size), []))

    @precondition(lambda self: self.lists)
    @rule(which=st.integers(0, 2), count=st.integers(1, 8))
    def allocate(self, which: int, count: int) -> None:
        lookaside, out = self.lists[which % len(self.lists)]
        for _ in range(count):
            entry = lookaside.allocate()
            if entry is not None:
                self.kernel.write(entry, bytes(lookaside.size))
                out.append(entry)

    @precondition(lambda self: self.lists)
    @rule(which=st.integers(0, 2), at=st.integers(0, 100))
    def free(self, which: int, at: int) -> None:
        lookaside, out = self.lists[which % len(self.lists)]
        if out:
            lookaside.free(out.pop(at % len(out)))

    @precondition(lambda self: self.lists)
    @rule(which=st.integers(0, 2))
    def delete(self, which: int) -> None:
        lookaside, out = self.lists.pop(which % len(self.lists))
        for entry in out:
            lookaside.free(entry)
        lookaside.delete()

    @rule(
        size=st.integers(1, 5000),
        pool_type=st.sampled_from(POOL_TYPES),
        tag=st.sampled_from([b"Spec", b"Norm"]),
        processor=st.integers(0, 1),
    )
    def allocate_block(
        self, size: int, pool_type: PoolType, tag: bytes, processor: int
    ) -> None:
        with self.driver, self.kernel.on_processor(processor):
            address = self.kernel.pool.allocate(pool_type, size, tag)
        if address is not None:
            self.kernel.write(address, bytes(size))
            self.blocks.append(address)

    @precondition(lambda self: self.blocks)
    @rule(at=st.integers(0, 1000), processor=st.integers(0, 1))
    def free_block(self, at: int, processor: int) -> None:
        with self.kernel.on_processor(processor):
            self.kernel.pool.free(self.blocks.pop(at % len(self.blocks)))

    @rule(locations=st.integers(1, 10))
    def allocate_irp(self, locations: int) -> None:
        irp = self.kernel.io_lists.allocate_irp(locations)
        if irp:
            self.irps.append(irp)

    @precondition(lambda self: self.irps)
    @rule()
    def free_irp(self) -> None:
        self.kernel.io_lists.free_irp(self.irps.pop())

    @rule(seconds=st.integers(1, 4))
    def tick(self, seconds: int) -> None:
        self.kernel.tick(seconds)
        self.kernel.check()

    def teardown(self) -> None:
        self.kernel.check()
        while self.lists:
            self.delete(0)
        while self.blocks:
            self.free_block(0, 0)
        self.driver.unload()
        self.kernel.check()


TestSwitchesMachine = SwitchesMachine.TestCase
TestSwitchesMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def free_twice(kernel: Kernel, lookaside: LookasideList, entry: int) -> None:
    lookaside.free(entry)
    lookaside.free(entry)


def free_inside(kernel: Kernel, lookaside: LookasideList, entry: int) -> None:
    lookaside.free(entry + 16)


def write_after_free(kernel: Kernel, lookaside: LookasideList, entry: int) -> None:
    lookaside.free(entry)
    kernel.write(entry, b"x" * 8)


def paged_at_dispatch(kernel: Kernel, lookaside: LookasideList, entry: int) -> None:
    kernel.raise_irql(2)
    new_list(kernel, pool_type=PoolType.PagedPool).allocate()


def delete_twice(kernel: Kernel, lookaside: LookasideList, entry: int) -> None:
    lookaside.free(entry)
    lookaside.delete()
    lookaside.delete()


Misuse = Callable[[Kernel, LookasideList, int], None]
PLANTED: tuple[Misuse, ...] = (
    free_twice,
    free_inside,
    write_after_free,
    paged_at_dispatch,
    delete_twice,
)


@pytest.mark.parametrize("misuse", PLANTED)
@pytest.mark.parametrize("tool", ["sanitizer", "verifier"])
@given(before=st.integers(0, 6), size=st.integers(17, 500))
@settings(max_examples=15)
def test_every_planted_misuse_is_found(
    misuse: Misuse, tool: str, before: int, size: int
) -> None:
    kernel = Kernel(
        sanitizer=tool == "sanitizer",
        verifier=Verifier.standard() if tool == "verifier" else None,
    )
    lookaside = new_list(kernel, size=size)
    others = [lookaside.allocate() for _ in range(before)]
    entry = lookaside.allocate()
    assert entry is not None
    if misuse is delete_twice:
        for other in others:
            lookaside.free(other)
    with pytest.raises(SanitizerError if tool == "sanitizer" else BugCheck):
        misuse(kernel, lookaside, entry)


@given(size=st.integers(1, 4064), past=st.integers(0, 40))
@settings(max_examples=30)
def test_every_overrun_of_a_block_is_found(size: int, past: int) -> None:
    kernel = Kernel(verifier=Verifier.standard())
    address = allocated(kernel, size)

    def overrun() -> None:
        at = address + size + past
        kernel.write(at, bytes([kernel.read(at, 1)[0] ^ 0xFF]))
        kernel.pool.free(address)

    with pytest.raises(BugCheck):
        overrun()
