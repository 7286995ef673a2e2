"""SystemLookasideInformation and SystemPoolTagInformation as bytes."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Kernel,
    PoolType,
)
from lookaside_sim.ddi.information import (
    lookaside_information,
    system_lookaside_information,
    system_pooltag_information,
)
from tests.helpers import allocated, new_list


def test_lookaside_information_as_bytes() -> None:
    kernel = Kernel(small_pool_lists=True)
    lookaside = new_list(kernel, size=600)
    lookaside.free(lookaside.allocate())
    data = lookaside_information(lookaside)
    assert data == bytes.fromhex(
        "0100 0400 01000000 01000000 01000000 00000000 00000000"
    ) + b"List" + (600).to_bytes(4, "little")
    kernel.pool.free(allocated(kernel, 40))
    both = system_lookaside_information(kernel)
    assert both[:32] == data
    small = both[32:]
    assert small[:20] == bytes.fromhex("0100 0400 01000000 01000000 01000000 00000000")
    assert small[24:28] == b"Pool"


@pytest.mark.parametrize(("arch", "size", "head"), [("x64", 0x28, 8), ("x86", 0x1C, 4)])
def test_pooltag_as_bytes(arch: str, size: int, head: int) -> None:
    kernel = Kernel(arch)
    kernel.pool.free(allocated(kernel, 100, pool_type=PoolType.PagedPool))
    allocated(kernel, 100)
    data = system_pooltag_information(kernel)
    assert len(data) == head + size
    assert data[:4] == (1).to_bytes(4, "little")
    assert data[head : head + 12] == b"Test" + bytes.fromhex("01000000 01000000")
    used = kernel.pool.usage(b"Test").nonpaged_bytes
    assert int.from_bytes(data[-head:], "little") == used
