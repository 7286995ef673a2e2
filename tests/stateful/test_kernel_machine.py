"""Random programs on a whole machine, compared with the model after every step."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lookaside_sim import Kernel, LookasideList, PoolType
from tests.stateful.model import ModelBlock, ModelList, ModelPool

POOL_TYPES = (PoolType.NonPagedPool, PoolType.NonPagedPoolNx, PoolType.PagedPool)
LIST_TAG = b"List"
BLOCK_TAGS = (b"Aaaa", b"Bbbb")
MOST_LISTS = 3
# Around every boundary of the block sizes: smallest, lookaside-sized, largest, whole pages.
SIZES = st.one_of(
    st.sampled_from([0, 1, 16, 17, 496, 497, 4063, 4064, 4065, 4096, 4097, 8160, 8192]),
    st.integers(0, 9000),
)


class KernelMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel(nonpaged_pool_bytes=1 << 20, paged_pool_bytes=1 << 20)
        self.pool = ModelPool()
        self.lists: list[tuple[LookasideList, ModelList]] = []
        self.ticks = 0

    # --- lists ---

    @initialize(size=st.integers(0, 600), pool_type=st.sampled_from(POOL_TYPES))
    def first_list(self, size: int, pool_type: PoolType) -> None:
        self.new_list(size, pool_type)

    @precondition(lambda self: len(self.lists) < MOST_LISTS)
    @rule(size=st.integers(0, 5000), pool_type=st.sampled_from(POOL_TYPES))
    def new_list(self, size: int, pool_type: PoolType) -> None:
        lookaside = LookasideList(self.kernel)
        status = lookaside.initialize(pool_type=pool_type, size=size, tag=LIST_TAG)
        assert status.is_success
        model = ModelList(max(size, 8), paged=pool_type == PoolType.PagedPool)
        self.lists.append((lookaside, model))

    @precondition(lambda self: self.lists)
    @rule(which=st.integers(0, MOST_LISTS), count=st.sampled_from([1, 1, 1, 3, 5, 30, 76]))
    def allocate(self, which: int, count: int) -> None:
        lookaside, model = self.lists[which % len(self.lists)]
        for _ in range(count):
            expected = model.allocate()
            entry = lookaside.allocate()
            assert entry is not None
            if expected is None:
                contents = self.kernel.read(entry, model.size)
                self.pool.add(entry, ModelBlock(model.size, LIST_TAG, model.paged, contents))
            else:
                assert entry == expected
            model.out.append(entry)

    @precondition(lambda self: any(model.out for _, model in self.lists))
    @rule(
        which=st.integers(0, MOST_LISTS),
        at=st.integers(0, 1000),
        count=st.sampled_from([1, 5, 40]),
    )
    def free(self, which: int, at: int, count: int) -> None:
        having = [pair for pair in self.lists if pair[1].out]
        lookaside, model = having[which % len(having)]
        for _ in range(min(count, len(model.out))):
            entry = model.out.pop(at % len(model.out))
            self.check_contents(entry)
            link = model.entries[-1] if model.entries else 0
            lookaside.free(entry)
            if model.free(entry):
                block = self.pool.live[entry]
                block.contents = link.to_bytes(8, "little") + block.contents[8:]
            else:
                self.pool.remove(entry)

    @precondition(lambda self: self.lists)
    @rule(which=st.integers(0, MOST_LISTS), rounds=st.sampled_from([74, 75, 76, 1000]))
    def allocate_and_free(self, which: int, rounds: int) -> None:
        lookaside, model = self.lists[which % len(self.lists)]
        if len(model.entries) > model.depth:
            return  # left over from a higher depth: freeing what was taken would miss
        if not model.entries:
            self.allocate(which, 1)
            self.free_newest(lookaside, model)
        for _ in range(rounds):
            lookaside.free(lookaside.allocate())
            model.free(model.allocate() or 0)

    def free_newest(self, lookaside: LookasideList, model: ModelList) -> None:
        entry = model.out.pop()
        lookaside.free(entry)
        assert model.free(entry)
        block = self.pool.live[entry]
        block.contents = bytes(8) + block.contents[8:]

    @precondition(lambda self: self.lists)
    @rule(which=st.integers(0, MOST_LISTS))
    def flush(self, which: int) -> None:
        lookaside, model = self.lists[which % len(self.lists)]
        lookaside.flush()
        for entry in model.entries:
            self.pool.remove(entry)
        model.entries.clear()

    @precondition(lambda self: len(self.lists) > 1)
    @rule(which=st.integers(0, MOST_LISTS))
    def delete(self, which: int) -> None:
        lookaside, model = self.lists.pop(which % len(self.lists))
        lookaside.delete()
        for entry in model.entries:
            self.pool.remove(entry)
        for entry in model.out:
            self.kernel.pool.free(entry)
            self.pool.remove(entry)

    @rule(seconds=st.sampled_from([1, 1, 2, 3, 7]))
    def tick(self, seconds: int) -> None:
        self.kernel.tick(seconds)
        for _ in range(seconds):
            for _, model in self.lists:
                if self.ticks % 3 == int(model.paged):
                    model.scan()
            self.ticks += 1

    # --- the pool ---

    @rule(size=SIZES, pool_type=st.sampled_from(POOL_TYPES), tag=st.sampled_from(BLOCK_TAGS))
    def allocate_block(self, size: int, pool_type: PoolType, tag: bytes) -> None:
        address = self.kernel.pool.allocate(pool_type, size, tag)
        assert address is not None
        contents = self.kernel.read(address, size)
        paged = pool_type == PoolType.PagedPool
        self.pool.add(address, ModelBlock(size, tag, paged, contents))

    def blocks(self) -> list[int]:
        return [address for address, block in self.pool.live.items() if block.tag != LIST_TAG]

    @precondition(lambda self: self.blocks())
    @rule(at=st.integers(0, 1000))
    def free_block(self, at: int) -> None:
        blocks = self.blocks()
        address = blocks[at % len(blocks)]
        self.check_contents(address)
        self.kernel.pool.free(address, self.pool.live[address].tag)
        self.pool.remove(address)

    @precondition(lambda self: self.pool.live)
    @rule(
        at=st.integers(0, 1000),
        data=st.binary(min_size=1, max_size=40),
        offset=st.integers(0, 9000),
    )
    def write(self, at: int, data: bytes, offset: int) -> None:
        out = [entry for _, model in self.lists for entry in model.out]
        addresses = self.blocks() + out
        if not addresses:
            return
        address = addresses[at % len(addresses)]
        block = self.pool.live[address]
        if not block.size:
            return
        offset %= block.size
        data = data[: block.size - offset]
        self.kernel.write(address + offset, data)
        before, after = block.contents[:offset], block.contents[offset + len(data) :]
        block.contents = before + data + after

    def check_contents(self, address: int) -> None:
        block = self.pool.live[address]
        assert self.kernel.read(address, block.size) == block.contents

    # --- what holds after every step ---

    @invariant()
    def the_lists_are_those_of_the_model(self) -> None:
        for lookaside, model in self.lists:
            assert (
                lookaside.total_allocates,
                lookaside.allocate_misses,
                lookaside.total_frees,
                lookaside.free_misses,
                lookaside.depth,
                lookaside.current_depth,
            ) == (
                model.total_allocates,
                model.allocate_misses,
                model.total_frees,
                model.free_misses,
                model.depth,
                len(model.entries),
            )
            assert list(lookaside.entries()) == model.entries[::-1]
        active = {lookaside for lookaside, _ in self.lists}
        assert set(self.kernel.lookaside_lists) == active

    @invariant()
    def the_tags_are_those_of_the_model(self) -> None:
        for (tag, paged), (allocs, frees) in self.pool.calls.items():
            usage = self.kernel.pool.usage(tag)
            if paged:
                assert (usage.paged_allocs, usage.paged_frees) == (allocs, frees)
            else:
                assert (usage.nonpaged_allocs, usage.nonpaged_frees) == (allocs, frees)

    @invariant()
    def the_walk_finds_nothing(self) -> None:
        self.kernel.check()

    def teardown(self) -> None:
        for lookaside, model in self.lists:
            for entry in model.out:
                self.check_contents(entry)
                lookaside.free(entry)
            lookaside.delete()
        for address in self.blocks():
            self.check_contents(address)
            self.kernel.pool.free(address)
        self.kernel.check()
        assert all(not pool.runs.in_use for pool in self.kernel.pool.descriptors)
        super().teardown()


TestKernelMachine = KernelMachine.TestCase
TestKernelMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
