"""A list in somebody else's memory takes its hits on the words where they lie.

It is held against a machine that somebody listens to, where every call goes step by step.
"""

from __future__ import annotations

import random

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideList, LookasideSimError, NtStatusError

PLACES = ("start of a block", "inside a block", "region")


class Side:
    """One of two machines that get the same calls."""

    def __init__(self, arch: str, place: str, *, listened: bool) -> None:
        self.kernel = kernel = Kernel(arch, seed=7)
        self.driver = kernel.load_driver("a.sys")
        self.blocks: list[int | None] = [kernel.pool.allocate(0, 0x200, b"DExt")]
        address = self.blocks[0]
        assert address is not None
        if place == "inside a block":
            address += 0x90
        elif place == "region":
            address = self.driver.place_data(0x100)
        self.lookaside = kernel.lookaside_list("here", address)
        self.lookaside.initialize(size=40, tag=b"here")
        self.entries: list[int | None] = []
        if listened:
            kernel.listen(lambda call: None)

    def do(self, what: int, number: int) -> object:
        kernel, lookaside = self.kernel, self.lookaside
        if what < 40:
            self.entries.append(lookaside.allocate())
            return self.entries[-1]
        if what < 80 and self.entries:
            lookaside.free(self.entries.pop(number % len(self.entries)))
        elif what < 83:
            kernel.tick(number % 4)
        elif what < 86:
            kernel.write(lookaside.address + number % 0x28, bytes([number % 3]))
        elif what < 90:
            self.blocks.append(kernel.pool.allocate(0, 8 + number % 600, b"Blck"))
            return self.blocks[-1]
        elif what < 94 and len(self.blocks) > 1:
            kernel.pool.free(self.blocks.pop(1 + number % (len(self.blocks) - 1)))
        elif what == 94:
            return kernel.read(lookaside.address - 8, 0x60)
        elif what == 95 and self.entries:
            lookaside.free(self.entries[0])  # and once more later
        elif what == 96:
            lookaside.free(lookaside.address + 0x10 * (number % 2))
        elif what == 97 and not number % 4 and self.blocks:
            kernel.pool.free(self.blocks.pop(0))
        elif what == 98:
            lookaside.flush()
        return bytes(lookaside)

    def look(self) -> object:
        start = self.kernel.pool.nonpaged.base
        around = self.lookaside.address & ~0xFFF
        return (
            self.kernel.peek(start, 0x3000),
            self.kernel.peek(around, 0x1000),
            self.kernel.pool.rows(),
        )


@pytest.mark.parametrize("arch", ["x64", "x86"])
@pytest.mark.parametrize("place", PLACES)
def test_a_hit_in_one_go_is_the_hit_step_by_step(arch: str, place: str) -> None:
    for seed in range(25):
        chance = random.Random(f"{arch} {place} {seed}")
        plain = Side(arch, place, listened=False)
        steps = Side(arch, place, listened=True)
        for _ in range(60):
            what, number = chance.randrange(100), chance.randrange(1 << 16)
            if what == 96 and chance.random() < 0.8:
                continue
            results: list[object] = []
            for side in (plain, steps):
                try:
                    results.append(side.do(what, number))
                except BugCheck as stop:
                    results.append((stop.code, stop.parameters[:3]))
                except NtStatusError as error:
                    results.append((error.status, error.information))
                except (LookasideSimError, ValueError) as error:
                    results.append(str(error))
            assert results[0] == results[1]
            if plain.kernel.bugcheck is not None:
                break
        assert plain.look() == steps.look()


def test_hits_leave_the_object_at_rest_and_the_window_open() -> None:
    kernel = Kernel()
    block = kernel.pool.allocate(0, 0x200, b"DExt")
    lookaside = LookasideList(kernel, address=block)
    lookaside.initialize(size=64, tag=b"test")
    entry = lookaside.allocate()
    lookaside.free(entry)
    assert lookaside.allocate() == entry
    lookaside.free(entry)
    assert (lookaside.total_allocates, lookaside.total_frees, lookaside.current_depth) == (
        2,
        2,
        1,
    )
    window = kernel.memory.window(lookaside.address, 0x24)
    assert window is not None
    assert window.holds()
    kernel.pool.free(block)
    assert not window.holds()
    assert kernel.memory.window(lookaside.address, 0x24) is None
