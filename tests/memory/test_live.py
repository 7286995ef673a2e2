from __future__ import annotations

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
    assert memory.big_pages == dict.fromkeys(range(first, first + 3), first)
    kernel.pool.free(address)
    assert memory.big_blocks == memory.big_pages == {}
