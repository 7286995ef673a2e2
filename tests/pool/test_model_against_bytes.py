"""The model of the pools does what the bytes do: same programs, and nothing to tell them apart."""

from __future__ import annotations

import copy
import random
import struct

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideList
from lookaside_sim.memory.slots import UNKNOWN, Slot
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated, both_machines
from tests.pool.against_bytes import DifferenceError, Pair, run
from tests.pool.helpers import TAG, body


def leaves(kernel: Kernel) -> bool:
    return not kernel.memory.slots.decide


@pytest.mark.parametrize("first", range(0, 160, 10))
def test_drawn_programs(first: int) -> None:
    for seed in range(first, first + 10):
        try:
            run(seed, steps=400)
        except Exception as error:
            error.add_note(f"program {seed}")
            raise


def test_a_difference_is_found() -> None:
    pair = next(each for each in map(Pair, range(9)) if not leaves(each.model))
    for _ in range(20):
        pair.allocate()
    pair.compare()
    slot = next(each for each in pair.model.memory.slots.by_address.values() if each.used)
    slot.flink = Slot(0x1230)
    with pytest.raises(DifferenceError, match="page 1, bytes"):
        pair.compare()


class TestTheSwitch:
    """Which events leave the model, and what is in memory then."""

    @staticmethod
    def used(arch: str = "x64") -> tuple[Kernel, list[int]]:
        kernel = Kernel(arch)
        blocks = [allocated(kernel, body(kernel, 5)) for _ in range(6)]
        kernel.pool.free(blocks[3])
        assert not leaves(kernel)
        return kernel, blocks

    @both_machines
    def test_leaving_changes_no_byte(self, arch: str) -> None:
        kernel, blocks = self.used(arch)
        page = blocks[0] & -PAGE_SIZE
        before = kernel.read(page, PAGE_SIZE)
        heads = kernel.read(kernel.pool.nonpaged.base, PAGE_SIZE)
        kernel.pool.leave_model()
        assert leaves(kernel)
        assert kernel.read(page, PAGE_SIZE) == before
        assert kernel.read(kernel.pool.nonpaged.base, PAGE_SIZE) == heads
        assert bytes(kernel.pool.nonpaged.arena.data[PAGE_SIZE : 2 * PAGE_SIZE]) == before
        kernel.pool.leave_model()  # again changes nothing
        kernel.check()

    def test_use_inside_of_blocks_does_not_leave_it(self) -> None:
        kernel, blocks = self.used()
        size = body(kernel, 5)
        kernel.write(blocks[0], b"x" * size)
        kernel.read(blocks[0] - 16, 200)
        kernel.check()
        lookaside = LookasideList(kernel)
        lookaside.initialize(size=100, tag=TAG)
        for entry in [lookaside.allocate() for _ in range(9)]:
            lookaside.free(entry)
        kernel.load_driver("any.sys")
        kernel.pool.free(allocated(kernel, 5000))
        with kernel.raise_irql(2):
            kernel.pool.free(blocks[1])
        assert not leaves(kernel)

    @pytest.mark.parametrize(
        "event",
        [
            "a byte behind a block",
            "a byte in front of a block",
            "a free block",
            "list heads",
            "shared bytes",
            "quota",
            "a forged free",
            "a stop",
        ],
    )
    def test_what_leaves_it(self, event: str) -> None:
        kernel, blocks = self.used()
        if event == "a byte behind a block":
            kernel.write(blocks[0] + body(kernel, 5), b"x")
        elif event == "a byte in front of a block":
            kernel.write(blocks[0] - 1, b"x")
        elif event == "a free block":
            kernel.write(blocks[3] + 20, b"x")
        elif event == "list heads":
            kernel.write(kernel.pool.nonpaged.base + 5, b"x")
        elif event == "shared bytes":
            kernel.memory.keep_bytes_true()
        elif event == "quota":
            process = kernel.processes.create("any.exe")
            with kernel.processes.running(process):
                kernel.quota.allocate(0, 100, TAG)
        elif event == "a forged free":
            forged = blocks[1] + 32
            kernel.write(forged - 16, struct.pack("<BBBB4s", 0, 0, 2, 2, TAG))
            kernel.write(forged + 16, struct.pack("<BBBB4s", 2, 0, 2, 2, TAG))
            assert not leaves(kernel)
            kernel.pool.free(forged)
        else:
            with pytest.raises(BugCheck):
                kernel.pool.free(blocks[3])
        assert leaves(kernel)

    def test_what_lists_refer_to_is_asked_of_memory_afterwards(self) -> None:
        kernel = Kernel()
        lookaside = LookasideList(kernel)
        lookaside.initialize(size=100, tag=TAG)
        entries = [lookaside.allocate() for _ in range(4)]
        for entry in entries:
            lookaside.free(entry)
        kernel.pool.leave_model()
        assert all(
            slot.flink is not UNKNOWN for slot in kernel.memory.slots.by_address.values()
        )
        assert [lookaside.allocate() for _ in range(4)] == entries[::-1]


@both_machines
@pytest.mark.parametrize("order", ["in order", "backwards", "mixed"])
def test_a_page_that_is_split_and_merged_comes_back_whole(arch: str, order: str) -> None:
    kernels = Kernel(arch), Kernel(arch)
    kernels[1].pool.leave_model()
    images = []
    for kernel in kernels:
        sizes = [*range(1, 300, 7)] * 3
        blocks = [allocated(kernel, size) for size in sizes]
        chosen = {
            "in order": blocks,
            "backwards": blocks[::-1],
            "mixed": random.Random(1).sample(blocks, len(blocks)),
        }[order]
        for block in chosen:
            kernel.pool.free(block)
        kernel.check()
        assert kernel.pool.nonpaged.runs.in_use == 0
        pages = len(kernel.pool.nonpaged.arena.states)
        cached = [p for p in range(pages) if kernel.pool.nonpaged.arena.states[p] > 1]
        images.append(
            [kernel.read(kernel.pool.nonpaged.base + p * PAGE_SIZE, PAGE_SIZE) for p in cached]
        )
    assert images[0] == images[1]


class TestSuspending:
    """Bytes decide for a moment, and slots again afterwards."""

    @both_machines
    def test_slots_are_made_again_from_bytes(self, arch: str) -> None:
        pair = next(
            p for p in map(Pair, range(40)) if p.model.arch.name == arch and not leaves(p.model)
        )
        for _ in range(200):
            pair.allocate() if pair.random.random() < 0.6 or not pair.live else pair.free()
        kernel = pair.model
        used = {s.address for s in kernel.memory.slots.by_address.values() if s.used}
        kernel.memory.settle_all()
        assert leaves(kernel)
        assert not kernel.memory.slots.by_address
        pair.compare()
        one = allocated(kernel, 100)
        allocated(pair.bytes, 100)
        assert not leaves(kernel)
        assert {*used, one} == {
            s.address for s in kernel.memory.slots.by_address.values() if s.used
        }
        pair.compare()
        kernel.check()
        for _ in range(200):
            pair.allocate() if pair.random.random() < 0.4 or not pair.live else pair.free()
        pair.compare()

    def test_what_happens_meanwhile_can_end_the_model(self) -> None:
        kernel = Kernel()
        block = allocated(kernel, 100)
        kernel.memory.settle_all()
        kernel.write(block - 1, b"x")
        allocated(kernel, 100)
        assert leaves(kernel)
        kernel.memory.settle_all()
        allocated(kernel, 100)
        assert leaves(kernel)


def test_a_copied_slot_knows_its_address_and_nothing_else() -> None:
    first, second = Slot(0x1000, 5), Slot(0x2000, 5)
    first.flink, second.flink = second, first
    copied = copy.deepcopy(first)
    assert copied.address == 0x1000
    assert (copied.units, copied.used, copied.flink) == (0, False, UNKNOWN)
    assert repr(first) == "<Slot 0x1000 free 5 units>"
