"""Freed blocks that wait: parked on a small-pool list, or for the next 32 delayed frees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheckCode,
    Kernel,
)
from tests.helpers import allocated, stop_of


def test_a_freed_block_is_parked_and_comes_back_first() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.pool.free(address)
    header = int.from_bytes(kernel.read(address - 16, 4), "little")
    assert header >> 24 == 4  # PoolType of a parked nonpaged block
    assert kernel.pool.usage(b"Test").nonpaged_bytes == 0
    kernel.check()
    assert allocated(kernel, 33, tag=b"Othr") == address
    block = kernel.pool.query(address)
    assert block is not None
    assert (block.size, str(block.tag)) == (33, "Othr")
    kernel.check()


def test_a_double_free_of_a_parked_block() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.pool.free(address)
    stop = stop_of(lambda: kernel.pool.free(address))
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_CALLER, 7)


def test_damage_behind_the_block_is_found_before_it_is_parked() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 48)
    kernel.write(address + 48, b"\xff")
    stop = stop_of(lambda: kernel.pool.free(address))
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_HEADER, 0x20)


def test_a_wrong_tag_is_found_before_the_block_is_parked() -> None:
    kernel = Kernel(small_pool_lists=True, strict_pool_tags=True)
    address = allocated(kernel, 48)
    stop = stop_of(lambda: kernel.pool.free(address, b"Othr"))
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_CALLER, 0x0A)


def test_a_block_with_a_damaged_size_is_not_parked() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.write(address - 14, b"\0")
    stop = stop_of(lambda: kernel.pool.free(address))
    assert stop.code is BugCheckCode.BAD_POOL_HEADER


def test_32_delayed_frees_are_freed_at_once() -> None:
    kernel = Kernel(delayed_free=True)
    blocks = [allocated(kernel, 600) for _ in range(33)]
    for block in blocks[:31]:
        kernel.pool.free(block)
    assert kernel.pending_frees is not None
    assert len(kernel.pending_frees["NonPagedPool"]) == 31
    assert kernel.pool.usage(b"Test").nonpaged_frees == 31
    kernel.check()
    kernel.pool.free(blocks[31])
    assert kernel.pending_frees["NonPagedPool"] == []
    assert kernel.pool.usage(b"Test").nonpaged_frees == 32
    kernel.check()


def test_the_memory_of_a_delayed_free_may_be_overwritten() -> None:
    kernel = Kernel(delayed_free=True)
    blocks = [allocated(kernel, 600) for _ in range(32)]
    kernel.pool.free(blocks[0])
    kernel.write(blocks[0] - 16, bytes(4))  # its header: no block any more
    for block in blocks[1:]:
        kernel.pool.free(block)
    assert kernel.pool.usage(b"Test").nonpaged_frees == 32


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5000), st.sampled_from([0, 1, 512])),
        max_size=120,
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["x64", "x86"]),
)
def test_any_order_keeps_the_pool_sound(
    program: list[tuple[int, int, int]], small: bool, delayed: bool, arch: str
) -> None:
    kernel = Kernel(arch, small_pool_lists=small, delayed_free=delayed, track_pool=True)
    live: list[int] = []
    for action, value, pool_type in program:
        if action < 2:
            live.append(
                allocated(kernel, value % 700 if action else value, pool_type=pool_type)
            )
        elif live:
            kernel.pool.free(live.pop(value % len(live)))
    kernel.check()
    assert kernel.ledger is not None
    assert sorted(kernel.ledger.live) == sorted(live)
    for address in live:
        kernel.pool.free(address)
    kernel.check()
    usage = kernel.pool.usage(b"Test")
    assert (usage.nonpaged_bytes, usage.paged_bytes) == (0, 0)
