"""ExAllocatePoolWithTag as its callers see it: limits, types, contents, IRQL, arguments."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel, NtStatus, NtStatusError, PoolTag, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.descriptor import PoolDescriptor
from tests.helpers import allocated, both_machines, stopped_by
from tests.pool.helpers import RAISE, TAG, ZERO, blocks_at_end, body

#: What ExInitializeLookasideListEx takes.
LIST_TYPES = [kind for kind in range(0x400) if not kind & ~0x3E7 and kind & 3 != 3]


class TestLimits:
    @staticmethod
    def pool_of(kernel: Kernel, name: str) -> tuple[PoolDescriptor, PoolType]:
        return {
            "nonpaged": (kernel.pool.nonpaged, PoolType.NonPagedPool),
            "nonpaged_nx": (kernel.pool.nonpaged_nx, PoolType.NonPagedPoolNx),
            "paged": (kernel.pool.paged, PoolType.PagedPool),
        }[name]

    @staticmethod
    def with_limits(arch: str, name: str) -> Kernel:
        limits = {"nonpaged": 1 << 20, "nonpaged_nx": 1 << 20, "paged": 1 << 20}
        limits[name] = 3 * PAGE_SIZE + 4095  # whole pages count
        return Kernel(
            arch,
            nonpaged_pool_bytes=limits["nonpaged"],
            paged_pool_bytes=limits["paged"],
            nonpaged_nx_pool_bytes=limits["nonpaged_nx"],
        )

    @both_machines
    @pytest.mark.parametrize("name", ["nonpaged", "nonpaged_nx", "paged"])
    @pytest.mark.parametrize("size", [3000, 4096])
    def test_each_pool_is_exhausted_alone(self, arch: str, name: str, size: int) -> None:
        kernel = self.with_limits(arch, name)
        pool, kind = self.pool_of(kernel, name)
        for _ in range(3):
            assert kernel.pool.allocate(kind, size, TAG) is not None
        usage = kernel.pool.usage(TAG)
        assert kernel.pool.allocate(kind, size, TAG) is None
        with pytest.raises(NtStatusError, match=r"3 of\s+3 pages") as caught:
            kernel.pool.allocate(kind | RAISE, size, TAG)
        assert caught.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES
        assert kernel.bugcheck is None
        assert kernel.pool.usage(TAG) == usage
        statistics = kernel.pool.statistics(pool)
        assert (statistics.pages, statistics.peak_pages, statistics.limit_pages) == (3, 3, 3)
        kernel.check()
        for other in {"nonpaged", "nonpaged_nx", "paged"} - {name}:
            _, other_kind = self.pool_of(kernel, other)
            assert kernel.pool.allocate(other_kind | RAISE, size, TAG) is not None

    @both_machines
    def test_an_exhausted_pool_still_serves_from_its_lists(self, arch: str) -> None:
        kernel = Kernel(arch, nonpaged_pool_bytes=PAGE_SIZE)
        allocated(kernel, 3000)
        assert kernel.pool.allocate(0, 3000, TAG) is None
        assert kernel.pool.allocate(0, 500, TAG) is not None

    def test_a_freed_block_can_be_had_again(self) -> None:
        kernel = Kernel(nonpaged_pool_bytes=PAGE_SIZE)
        address = allocated(kernel, 4064)
        assert kernel.pool.allocate(0, 1, TAG) is None
        kernel.pool.free(address)
        assert kernel.pool.allocate(0, 4064, TAG) == address

    def test_nx_pool_has_the_limit_of_nonpaged_pool_unless_given(self) -> None:
        kernel = Kernel(nonpaged_pool_bytes=5 * PAGE_SIZE)
        assert kernel.pool.statistics(kernel.pool.nonpaged_nx).limit_pages == 5
        assert kernel.pool.statistics(kernel.pool.nonpaged).limit_pages == 5
        assert kernel.pool.statistics(kernel.pool.paged).limit_pages > 5

    def test_a_pool_of_less_than_a_page_has_nothing(self) -> None:
        kernel = Kernel(nonpaged_pool_bytes=4095)
        assert kernel.pool.allocate(0, 1, TAG) is None
        assert kernel.pool.allocate(0, 4096, TAG) is None

    def test_a_request_larger_than_any_pool_is_refused(self) -> None:
        assert Kernel().pool.allocate(0, (1 << 64) - 1, TAG) is None


class TestTypes:
    @pytest.mark.parametrize("kind", [kind for kind in LIST_TYPES if not kind & 2])
    def test_every_type_a_lookaside_list_takes_can_be_allocated(self, kind: int) -> None:
        kernel = Kernel()
        for size in (100, 5000):
            address = allocated(kernel, size, pool_type=kind)
            if kind & 1:
                expected = kernel.pool.paged
            elif kind & 0x200:
                expected = kernel.pool.nonpaged_nx
            else:
                expected = kernel.pool.nonpaged
            assert kernel.pool.ordinary_at(address) is expected
            kernel.pool.free(address)
        kernel.check()

    @pytest.mark.parametrize("kind", [kind for kind in LIST_TYPES if kind & 2])
    def test_must_succeed_types_stop_the_machine(self, kind: int) -> None:
        kernel = Kernel()
        parameters = stopped_by(
            kernel,
            BugCheckCode.BAD_POOL_CALLER,
            lambda: kernel.pool.allocate(kind, 100, TAG),
        )
        assert parameters == (0x9A, kind, 100, PoolTag(TAG))

    @pytest.mark.parametrize("kind", [3, 7, 35, 0x203, 0x800, 0x1000, -1, 1 << 40])
    def test_types_that_do_not_exist_are_a_plain_error(self, kind: int) -> None:
        kernel = Kernel()
        assert not kernel.pool.serves(kind)
        with pytest.raises(ValueError, match=r"pool.type"):
            kernel.pool.allocate(kind, 100, TAG)
        assert kernel.bugcheck is None

    @pytest.mark.parametrize("modifier", [0, 8, 0x10, 0x18, 0x100, 0x400, 0x518])
    def test_modifier_bits_may_be_added(self, modifier: int) -> None:
        kernel = Kernel()
        assert kernel.pool.serves(modifier)
        address = allocated(kernel, 100, pool_type=modifier)
        assert kernel.pool.ordinary_at(address) is kernel.pool.nonpaged


class TestContents:
    @both_machines
    @pytest.mark.parametrize("size", [100, 10000])
    def test_fresh_memory_is_garbage_without_a_zero_byte(self, arch: str, size: int) -> None:
        kernel = Kernel(arch)
        assert 0 not in kernel.read(allocated(kernel, size), size)

    @both_machines
    @pytest.mark.parametrize("size", [100, 10000])
    def test_the_seed_decides_the_garbage(self, arch: str, size: int) -> None:
        def image(seed: int) -> bytes:
            kernel = Kernel(arch, seed=seed)
            return kernel.read(allocated(kernel, size), size)

        assert image(1) == image(1)
        assert image(1) != image(2)

    @both_machines
    def test_a_reused_block_holds_what_was_there_but_for_the_two_links(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 3)[1]
        links = 2 * kernel.arch.pointer_size
        size = body(kernel, 8)
        data = bytes(i % 251 + 1 for i in range(size))
        kernel.write(block, data)
        kernel.pool.free(block)
        assert allocated(kernel, size) == block
        assert kernel.read(block + links, size - links) == data[links:]

    @both_machines
    @pytest.mark.parametrize("size", [1, 100, 4064, 5000])
    @pytest.mark.parametrize("pool_type", [0, 1, 0x200])
    def test_zero_allocation_clears_fresh_and_stale_memory(
        self, arch: str, size: int, pool_type: int
    ) -> None:
        kernel = Kernel(arch)
        for _ in range(2):
            address = allocated(kernel, size, pool_type=ZERO | pool_type)
            assert kernel.read(address, size) == bytes(size)
            kernel.write(address, b"\xff" * size)
            kernel.pool.free(address)
        kernel.check()

    def test_zero_allocation_of_zero_bytes_clears_the_one_byte_it_serves(self) -> None:
        kernel = Kernel()
        assert kernel.read(allocated(kernel, 0, pool_type=ZERO), 1) == b"\0"


class TestIrql:
    @pytest.mark.parametrize(
        ("pool_type", "irql"),
        [(0, 0), (0, 1), (0, 2), (0x200, 2), (1, 0), (1, 1)],
    )
    @pytest.mark.parametrize("size", [100, 5000])
    def test_allowed(self, pool_type: int, irql: int, size: int) -> None:
        kernel = Kernel()
        with kernel.raise_irql(irql):
            kernel.pool.free(allocated(kernel, size, pool_type=pool_type))

    @pytest.mark.parametrize(
        ("pool_type", "irql"), [(0, 3), (0, 15), (0x200, 3), (1, 2), (0x21, 2), (1, 15)]
    )
    @pytest.mark.parametrize("size", [100, 5000])
    def test_too_high(self, pool_type: int, irql: int, size: int) -> None:
        kernel = Kernel()
        kernel.raise_irql(irql)
        parameters = stopped_by(
            kernel,
            BugCheckCode.BAD_POOL_CALLER,
            lambda: kernel.pool.allocate(pool_type, size, TAG),
        )
        assert parameters == (8, irql, pool_type, size)
        assert kernel.pool.rows() == {}


class TestArguments:
    @pytest.mark.parametrize(("tag", "code"), [(0, 0x9B), (b"BIG ", 0x9C), (b"\0\0\0\0", 0x9B)])
    @pytest.mark.parametrize("size", [0, 100, 5000])
    def test_refused_tags_stop_the_machine(
        self, tag: int | bytes, code: int, size: int
    ) -> None:
        kernel = Kernel()
        parameters = stopped_by(
            kernel,
            BugCheckCode.BAD_POOL_CALLER,
            lambda: kernel.pool.allocate(PoolType.PagedPool, size, tag),
        )
        assert parameters == (code, 1, size, 0)

    def test_a_refused_request_that_is_repeated_is_refused_again(self) -> None:
        kernel = Kernel()
        first = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.allocate(0, 10, 0)
        )
        again = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.allocate(0, 10, 0)
        )
        assert first == again

    def test_a_negative_size_is_a_plain_error(self) -> None:
        with pytest.raises(ValueError, match="size -1"):
            Kernel().pool.allocate(0, -1, TAG)
        with pytest.raises(ValueError, match="size -1"):
            Kernel().pool.allocate_block(0, -1, PoolTag(TAG))

    @pytest.mark.parametrize("size", [1.0, "1", None])
    def test_a_size_must_be_an_integer(self, size: object) -> None:
        with pytest.raises(TypeError):
            Kernel().pool.allocate(0, size, TAG)  # type: ignore[arg-type]

    @pytest.mark.parametrize("tag", [None, 1.5, True])
    def test_a_tag_must_be_one(self, tag: object) -> None:
        with pytest.raises(TypeError):
            Kernel().pool.allocate(0, 10, tag)  # type: ignore[arg-type]

    @pytest.mark.parametrize("pool_type", ["0", 1.5, 0.0])
    def test_a_pool_type_must_be_an_integer(self, pool_type: object) -> None:
        with pytest.raises(TypeError):
            Kernel().pool.allocate(pool_type, 10, TAG)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("size", "tag"), [(16.0, 1), (16, 1.0), (16, True)])
    def test_arguments_equal_to_earlier_ones_must_still_be_of_the_right_type(
        self, size: object, tag: object
    ) -> None:
        kernel = Kernel()
        allocated(kernel, 16, 1)
        with pytest.raises(TypeError):
            kernel.pool.allocate(0, size, tag)  # type: ignore[arg-type]

    def test_many_kinds_of_requests_in_one_program(self) -> None:
        """More than the manager remembers at once: it starts over and stays right."""
        kernel = Kernel()
        for size in range(1, 2100):
            for tag in (b"aaaa", b"bbbb"):
                kernel.pool.free(allocated(kernel, size, tag))
        kernel.pool.free(allocated(kernel, 1, b"aaaa"))
        assert kernel.pool.usage(b"aaaa").nonpaged_allocs == 2100
        assert kernel.pool.usage(b"bbbb").nonpaged_frees == 2099
        kernel.check()
