from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim import Kernel
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated as allocate
from tests.helpers import both_machines


@both_machines
def test_block_start_finds_the_header_of_the_live_block_below(arch: str) -> None:
    kernel = Kernel(arch)
    address = allocate(kernel, 100)
    header = address - kernel.arch.pool_header.size
    for where in (address, address + 99, address + 1000):
        assert kernel.memory.block_start(where) == header
    assert kernel.memory.block_start(header) is None
    assert kernel.memory.block_start(address + PAGE_SIZE) is None
    assert kernel.memory.block_start(0x1000) is None


def test_a_big_allocation_knows_the_first_page_of_each_of_its_pages() -> None:
    kernel = Kernel()
    memory = kernel.memory
    address = allocate(kernel, 3 * PAGE_SIZE)
    first = address // PAGE_SIZE
    assert memory.big_blocks == {address: 3 * PAGE_SIZE}
    seen = [memory.big_pages.get(each) for each in range(first - 1, first + 4)]
    assert seen == [None, first, first, first, None]
    kernel.pool.free(address)
    assert not memory.big_blocks
    assert not any(each in memory.big_pages for each in range(first, first + 3))


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE_SIZE


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the host does not tell what is resident"
)
@pytest.mark.parametrize("tail", [0, 100])
def test_a_large_allocation_costs_what_is_touched_of_it(tail: int) -> None:
    kernel = Kernel(nonpaged_pool_bytes=1 << 30)
    allocate(kernel, 64)
    before = _resident_bytes()
    address = allocate(kernel, (100 << 20) + tail)
    kernel.write(address + (90 << 20), b"touched")
    copied = kernel.clone()
    kernel.listen(lambda call: None)  # bytes, marks and all are written
    allocate(kernel, 64)
    kernel.pool.free(address)
    allocate(kernel, 200 << 20)  # the buffer is replaced by a larger one
    kernel.pool.check()
    assert copied.read(address + (90 << 20), 7) == b"touched"
    assert _resident_bytes() - before < 2 << 20
