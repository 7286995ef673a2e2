"""The hypothesis profile and the fixtures that the tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from lookaside_sim import Kernel, LookasideAllocator, LookasideList, PoolType
from tests.helpers import allocated

settings.register_profile("lookaside_sim", derandomize=True, deadline=None, max_examples=40)
# Other examples in each run: ``pytest -m hypothesis --hypothesis-profile=fresh``.
settings.register_profile("fresh", deadline=None, max_examples=40, print_blob=True)
settings.load_profile("lookaside_sim")


@pytest.fixture(params=["x64", "x86"])
def arch(request: pytest.FixtureRequest) -> str:
    """Each machine in turn."""
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def kernel(arch: str) -> Kernel:
    """A fresh machine."""
    return Kernel(arch)


@pytest.fixture(params=["data", "block"])
def place(request: pytest.FixtureRequest) -> str:
    """Where a structure lies: in a driver's data, or inside a pool block."""
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def blank(kernel: Kernel, place: str) -> LookasideList:
    """A list that is not initialized, its bytes zero, in either place."""
    if place == "data":
        return LookasideList(kernel, "drv!List")
    block = allocated(kernel, 0x200, b"DExt")
    kernel.write(block, bytes(0x200))
    return LookasideList(kernel, "drv!List", address=block + 0x40)


@pytest.fixture
def lookaside(blank: LookasideList) -> LookasideList:
    """An initialized list of 48-byte entries, in either place."""
    assert blank.initialize(size=48, tag=b"list").is_success
    return blank


@pytest.fixture
def allocator(kernel: Kernel) -> LookasideAllocator:
    """An allocator of 24 bytes."""
    made = LookasideAllocator(kernel)
    made.init(24, PoolType.NonPagedPool, b"allc")
    return made
