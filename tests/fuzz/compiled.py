"""Random programs on a list: compiled code, inlined and imported, against `LookasideList`.

Run by hand: ``python -m tests.fuzz.compiled [OPERATIONS]`` for each machine.
"""

from __future__ import annotations

import random
import sys
import time

from lookaside_sim import Kernel, LookasideList
from lookaside_sim.system.compiled import CompiledDriver
from tests.drive.helpers import sys_file

SIZES = (1, 8, 24, 64, 200, 1000, 4000)
TYPES = (0, 1, 512)


class Pair:
    """Two machines that get the same program.

    Args:
        arch: both.
        seed: of the program.
        listened: whether somebody listens to the compiled code.
    """

    def __init__(self, arch: str, seed: int, *, listened: bool = False) -> None:
        self.choose = choose = random.Random(seed)
        self.compiled, self.plain = Kernel(arch, seed=seed), Kernel(arch, seed=seed)
        self.driver: CompiledDriver = self.compiled.load_image(
            sys_file("pairs", arch), seconds=0
        )
        assert self.driver.start() == 0
        if listened:
            self.compiled.listen(lambda call: None)
        pool_type, size = choose.choice(TYPES), choose.choice(SIZES)
        assert self.driver.call("Make", pool_type, size) == 0
        self.older = LookasideList(self.plain, "older", older=True)
        self.older.initialize_older(pool_type=0, size=size, tag=b"Oder")
        self.list = LookasideList(self.plain, "list")
        self.list.initialize(pool_type=pool_type, size=size, tag=b"Pair")
        self.size = size
        self.live: list[int] = []
        self.live_older: list[int] = []
        self.blocks: list[int] = []

    def run(self, operations: int) -> None:
        """Run a program, comparing the lists after each operation, and the pools at its end."""
        for _ in range(operations):
            self.step()
            self.compare_lists()
        self.compare_pools()

    def step(self) -> None:
        """One operation, on both."""
        choose, call = self.choose, self.driver.call
        kind = choose.random()
        how = choose.choice(("Inlined", "Imported"))
        if kind < 0.35:
            self.take(call(f"Take{how}"), self.list.allocate(), self.live)
        elif kind < 0.7:
            if self.live:
                entry = self.live.pop(choose.randrange(len(self.live)))
                call(f"Give{how}", entry)
                self.list.free(entry)
        elif kind < 0.78:
            self.take(call("TakeOlder"), self.older.allocate(), self.live_older)
        elif kind < 0.86:
            if self.live_older:
                entry = self.live_older.pop(choose.randrange(len(self.live_older)))
                call("GiveOlder", entry)
                self.older.free(entry)
        elif kind < 0.91:
            pool_type, size = choose.choice(TYPES), choose.choice((16, 100, 700, 5000))
            given = call("TakePool", pool_type, size)
            self.take(given, self.plain.pool.allocate(pool_type, size, b"Pool"), self.blocks)
        elif kind < 0.95:
            if self.blocks:
                block = self.blocks.pop(choose.randrange(len(self.blocks)))
                call("GivePool", block)
                self.plain.pool.free(block, b"Pool")
        elif kind < 0.98:
            seconds = choose.randint(1, 9)
            self.compiled.tick(seconds)
            self.plain.tick(seconds)
        else:
            call("Flush")
            self.list.flush()

    def take(self, got: int, wanted: int | None, live: list[int]) -> None:
        """Both got something: the same, which is written to."""
        assert got == (wanted or 0), (hex(got), wanted and hex(wanted))
        if got:
            live.append(got)
            data = self.choose.randbytes(min(self.size, 16))
            self.compiled.write(got, data)
            self.plain.write(got, data)

    def compare_lists(self) -> None:
        """All fields but the links of the system-wide list."""
        arch = self.plain.arch
        first, behind = arch.list_entry_offset, arch.list_entry_offset + 2 * arch.pointer_size
        for symbol, known in (("List", self.list), ("Older", self.older)):
            address = self.driver.address_of(symbol)
            found = self.compiled.read(address, arch.lookaside_size)
            wanted = bytes(known)[: arch.lookaside_size]
            assert found[:first] == wanted[:first], symbol
            assert found[behind:] == wanted[behind:], symbol

    def compare_pools(self) -> None:
        """Every byte of the pools."""
        self.plain.memory.settle_all()
        for one, other in zip(
            self.compiled.pool.descriptors, self.plain.pool.descriptors, strict=True
        ):
            assert bytes(one.arena.states) == bytes(other.arena.states)
            for page, state in enumerate(one.arena.states):
                if state:
                    at = page << 12
                    found, wanted = (
                        bytes(each.arena.look(at, 0x1000)) for each in (one, other)
                    )
                    assert found == wanted, hex(one.arena.base + at)


def main(operations: int) -> None:
    """Run so many operations on each machine."""
    for arch in ("x64", "x86"):
        start, done, seed = time.perf_counter(), 0, 0
        while done < operations:
            Pair(arch, seed).run(1000)
            done, seed = done + 1000, seed + 1
        took = time.perf_counter() - start
        print(f"{arch}: {done} operations in {seed} programs, no difference ({took:.0f} s)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
