"""The ledger of live blocks and of the last frees."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
)
from tests.helpers import allocated, stop_of


def test_what_is_no_address_is_refused() -> None:
    kernel = Kernel(track_pool=True)
    for bad in ("x", 1.5):
        with pytest.raises(TypeError):
            kernel.pool.free(bad)  # type: ignore[arg-type]
    allocated(kernel)
    stop = stop_of(lambda: kernel.pool.free(kernel.pool.nonpaged.base + 0x1018))
    assert stop.code is BugCheckCode.BAD_POOL_CALLER


def test_the_ledger_forgets_the_oldest_frees() -> None:
    from lookaside_sim.pool import ledger

    kernel = Kernel(track_pool=True)
    assert kernel.ledger is not None
    site = kernel.machine.program.call_site()
    for address in range(ledger.LOG_ENTRIES + 1):
        kernel.ledger.add(address, 1, 1, 0, None, site)
        kernel.ledger.remove(address, site)
    assert len(kernel.ledger.freed) == ledger.LOG_ENTRIES
    assert 0 not in kernel.ledger.freed
    assert kernel.ledger.describe(0) == "the block at 0x0"


def blocks(kernel: Kernel, count: int) -> list[int]:
    return [allocated(kernel, 96) for _ in range(count)]


def test_a_stop_names_the_block_and_where_it_was_allocated_and_freed() -> None:
    kernel = Kernel(track_pool=True)
    assert kernel.ledger is not None
    block, _ = blocks(kernel, 2)
    kernel.pool.free(block)
    expected = kernel.ledger.describe_freed(block)
    assert "allocated in allocated (helpers.py:" in expected
    assert ", freed in test_a_stop_names" in expected
    stop = stop_of(lambda: kernel.pool.free(block))
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_CALLER, 7)
    assert stop.message.endswith(f"; {expected}")


def test_a_stop_for_a_free_block_that_was_written_names_it() -> None:
    kernel = Kernel(track_pool=True)
    assert kernel.ledger is not None
    block, _ = blocks(kernel, 2)
    kernel.pool.free(block)
    kernel.write(block, b"\x5a" * 16)
    stop = stop_of(lambda: blocks(kernel, 2))
    assert (stop.code, stop.parameters[:2]) == (BugCheckCode.BAD_POOL_HEADER, (3, block))
    assert stop.message.endswith(f"; {kernel.ledger.describe_freed(block)}")


def test_a_stop_for_an_overwritten_header_names_the_block_in_front() -> None:
    kernel = Kernel(track_pool=True)
    assert kernel.ledger is not None
    _, front, block = sorted(blocks(kernel, 3))
    kernel.write(front + 96, b"\xff\x00")  # its PreviousSize, which leads to another page
    stop = stop_of(lambda: kernel.pool.free(block))
    assert stop.code is BugCheckCode.BAD_POOL_HEADER
    assert f"; {kernel.ledger.live[block]}; in front of it lies " in stop.message
    assert stop.message.endswith(str(kernel.ledger.live[front]))


def test_a_block_that_the_ledger_does_not_know_is_named_by_its_address_only() -> None:
    kernel = Kernel()
    early = allocated(kernel, 96)
    kernel.pool.free(early)
    kernel.load_driver("late.sys")
    assert stop_of(lambda: kernel.pool.free(early)).message == (
        f"the block at {early:#x} is already free, or its header is overwritten"
    )
