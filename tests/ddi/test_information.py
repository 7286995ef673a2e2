"""SystemLookasideInformation and SystemPoolTagInformation as bytes."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Kernel,
    PoolType,
)
from lookaside_sim.ddi.information import (
    lookaside_information,
    system_bigpool_information,
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
    assert len(both) == (3 * 32 + 1) * 0x20
    assert both[-32:] == data
    small = both[3 * 32 :][:32]  # the fourth nonpaged list, of 64-byte blocks
    assert small[:20] == bytes.fromhex("0100 0400 01000000 01000000 01000000 00000000")
    assert small[24:28] == b"Pool"
    unused = both[:32]
    assert unused == bytes.fromhex("0000 0400") + bytes(20) + b"Pool" + b"\x10\0\0\0"


def test_a_general_list_reports_whether_it_is_paged_and_no_more() -> None:
    kernel = Kernel()
    for pool_type, flags, reported in ((0x200, 1, 0), (1, 1, 1), (0x201, 2, 1)):
        data = lookaside_information(new_list(kernel, pool_type=pool_type, flags=flags))
        assert int.from_bytes(data[20:24], "little") == reported
    assert len(system_lookaside_information(kernel)) == 3 * 0x20


@pytest.mark.parametrize(("arch", "size", "head"), [("x64", 0x18, 8), ("x86", 0xC, 4)])
def test_bigpool_as_bytes(arch: str, size: int, head: int) -> None:
    kernel = Kernel(arch)
    nonpaged = allocated(kernel, 5000)
    paged = allocated(kernel, 0x79E8, pool_type=PoolType.PagedPool)
    allocated(kernel, 100)
    data = system_bigpool_information(kernel)
    assert len(data) == head + 2 * size
    assert data[:4] == (2).to_bytes(4, "little")
    pointer = kernel.arch.pointer_size
    for at, address, length in (
        (head, nonpaged | 1, 5000),
        (head + size, paged, 0x79E8),
    ):
        assert data[at : at + pointer] == address.to_bytes(pointer, "little")
        assert data[at + pointer : at + 2 * pointer] == length.to_bytes(pointer, "little")
        assert data[at + 2 * pointer : at + 2 * pointer + 4] == b"Test"


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
