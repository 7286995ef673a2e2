"""Lists and locks whose objects are gone: memory keeps their bytes, and no more."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideList, SpinLock
from tests.helpers import both_machines


def many(kernel: Kernel, count: int) -> list[tuple[int, bytes]]:
    """Make and delete so many lists that nobody holds; where each was, and its bytes."""
    made = []
    for index in range(count):
        lookaside = kernel.lookaside_list(f"list {index}")
        lookaside.initialize(size=16 + index, tag=b"Gone")
        lookaside.delete()
        made.append((lookaside.address, bytes(lookaside)))
    return made


@both_machines
def test_lists_that_are_gone_leave_their_bytes(arch: str) -> None:
    kernel = Kernel(arch)
    made = many(kernel, 700)
    objects = [each for each in kernel.memory.structures() if isinstance(each, LookasideList)]
    assert len(objects) < 300
    for address, image in made:
        assert kernel.read(address, len(image)) == image
    address, image = made[3]
    again = kernel.lookaside_list(address=address)
    assert bytes(again) == image
    assert again.size == 16 + 3
    again.initialize(size=64, tag=b"Back")
    assert kernel.lookaside_lists == [again]
    entry = again.allocate()
    again.free(entry)
    assert again.current_depth == 1
    address, image = made[4]
    assert kernel.list_at(address).size == 16 + 4
    with pytest.raises(BugCheck, match="0x139"):
        kernel.list_at(address).delete()  # the second time


def test_a_larger_list_does_not_fit_where_a_smaller_one_was() -> None:
    kernel = Kernel()
    (address, image), *_ = many(kernel, 700)
    with pytest.raises(ValueError, match=f"has {len(image):#x} bytes, and 0x80 are needed"):
        LookasideList(kernel, address=address, older=True)
    with pytest.raises(ValueError, match="already mapped"):
        LookasideList(kernel, address=address + 16)


def test_lists_of_an_unloaded_driver_are_gone_with_their_bytes() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("many.sys")
    with driver:
        made = many(kernel, 700)
    driver.unload()
    assert not any(kernel.memory.is_mapped(address, 1) for address, _ in made)


def test_locks_that_are_gone_leave_their_words() -> None:
    kernel = Kernel()
    taken = SpinLock(kernel, "taken")
    taken.acquire_at_dpc_level()
    where = taken.address
    del taken
    for _ in range(700):
        SpinLock(kernel)
    objects = [each for each in kernel.memory.structures() if isinstance(each, SpinLock)]
    assert len(objects) < 300
    assert kernel.spin_locks.held() == [where]
    assert kernel.spin_locks.described(where) == f"'taken' at {where:#x}"
    kernel.spin_locks.release_from_dpc_level(where)
    assert not any(kernel.read(where, kernel.arch.pointer_size))
