"""Speed and memory of the simulator, as ratios where a ratio can be had.

Run ``python tests/benchmarks/bench.py [rounds]``. Calls are compared with a minimal Python
class (four counters, a depth check, a LIFO list) measured in the same rounds, because
machines differ and wander: read the ratios. Their time is that of the thread, so that what
else the machine does counts less.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lookaside_sim import Kernel, LookasideList, PoolType
from lookaside_sim.testing import run_operations
from lookaside_sim.testing.programs.drawn import RandomChoices, draw_program
from lookaside_sim.testing.programs.steps import Create
from lookaside_sim.trace import load, replay

TAG = b"Bnch"
PAIRS = 50_000
LISTS = 10_000
BLOCKS = 1_000_000
REDIS = Path(__file__).parent.parent / "traces" / "redis.jsonl.gz"


class Minimal:
    """What any lookaside list must do, and nothing else."""

    __slots__ = ("allocates", "depth", "entries", "free_misses", "frees", "misses", "next")

    def __init__(self) -> None:
        self.allocates = self.misses = self.frees = self.free_misses = 0
        self.depth, self.next = 4, 0xFFFF_8000_0000_1000
        self.entries: list[int] = []

    def allocate(self) -> int:
        """Pop, or make one up."""
        self.allocates += 1
        if self.entries:
            return self.entries.pop()
        self.misses += 1
        self.next += 64
        return self.next

    def free(self, entry: int | None) -> None:
        """Push, or drop."""
        self.frees += 1
        if len(self.entries) >= self.depth:
            self.free_misses += 1
        elif entry is not None:
            self.entries.append(entry)


def new_list(kernel: Kernel | None = None) -> LookasideList:
    """An initialized list of 64-byte entries."""
    lookaside = LookasideList(kernel or Kernel())
    lookaside.initialize(pool_type=PoolType.NonPagedPool, size=64, tag=TAG)
    return lookaside


def pairs(one: Minimal | LookasideList) -> float:
    """Nanoseconds of ``free(allocate())`` that always hits."""
    one.free(one.allocate())
    gc.collect()
    start = time.thread_time_ns()
    for _ in range(PAIRS):
        one.free(one.allocate())
    return (time.thread_time_ns() - start) / PAIRS


def list_misses(kernel: Kernel | None = None) -> float:
    """Nanoseconds of a pair while far more entries are out than the depth holds."""
    one = new_list(kernel)
    live = [one.allocate() for _ in range(64)]
    gc.collect()
    start = time.thread_time_ns()
    for _ in range(PAIRS // 64):
        for entry in live[:32]:
            one.free(entry)
        live[:32] = [one.allocate() for _ in range(32)]
    return (time.thread_time_ns() - start) / (PAIRS // 64 * 32)


def pool_pairs(kernel: Kernel | None = None) -> float:
    """Nanoseconds of one allocation and free on the pool's public methods."""
    pool = (kernel or Kernel()).pool
    keep = [pool.allocate(PoolType.NonPagedPool, 64, TAG) for _ in range(20)]
    pool.free(keep[5])
    start = time.thread_time_ns()
    for _ in range(PAIRS // 4):
        pool.free(pool.allocate(PoolType.NonPagedPool, 64, TAG))
    return (time.thread_time_ns() - start) / (PAIRS // 4)


def random_order(kernel: Kernel | None = None) -> float:
    """Nanoseconds of a pair while 40 of 400 entries at a time are freed in any order."""
    one, draw = new_list(kernel), random.Random(3)
    live = [one.allocate() for _ in range(400)]
    orders = [draw.sample(range(400), 40) for _ in range(PAIRS // 160)]
    for warming in (True, False):
        gc.collect()
        start = time.thread_time_ns()
        for order in orders[:20] if warming else orders:
            for index in order:
                one.free(live[index])
            for index in order:
                live[index] = one.allocate()
    return (time.thread_time_ns() - start) / (40 * len(orders))


def mixed_sizes() -> float:
    """Nanoseconds of a pair to the pool with 500 live blocks of 13 sizes."""
    pool, draw = Kernel().pool, random.Random(5)
    sizes = [16, 24, 32, 40, 48, 64, 96, 128, 200, 256, 300, 500, 1000]
    live = [pool.allocate(PoolType.NonPagedPool, draw.choice(sizes), TAG) for _ in range(500)]
    todo = [(draw.randrange(500), draw.choice(sizes)) for _ in range(PAIRS // 5)]
    gc.collect()
    start = time.thread_time_ns()
    for index, size in todo:
        pool.free(live[index])
        live[index] = pool.allocate(PoolType.NonPagedPool, size, TAG)
    return (time.thread_time_ns() - start) / len(todo)


def on_bytes() -> Kernel:
    """A machine that has left the model of its pools."""
    kernel = Kernel()
    kernel.pool.leave_model()
    return kernel


def with_driver() -> Kernel:
    """A machine whose ledger tells who allocated each block."""
    kernel = Kernel()
    kernel.load_driver("any.sys")
    return kernel


def touches(size: int, *, write: bool = False) -> float:
    """Nanoseconds of one read or write in a page of 64-byte blocks."""
    kernel = Kernel()
    blocks = [kernel.pool.allocate(PoolType.NonPagedPool, 64, TAG) for _ in range(200)]
    address = blocks[100] or 0
    if size == 4096:
        address &= -4096
    data = bytes(size)
    count = PAIRS // 25 if size < 4096 else PAIRS // 250
    start = time.thread_time_ns()
    for _ in range(count):
        if write:
            kernel.write(address, data)
        else:
            kernel.read(address, size)
    return (time.thread_time_ns() - start) / count


def checks() -> float:
    """Nanoseconds of `Kernel.check` with 200 live blocks."""
    kernel = Kernel()
    for _ in range(200):
        kernel.pool.allocate(PoolType.NonPagedPool, 64, TAG)
    start = time.thread_time_ns()
    for _ in range(10):
        kernel.check()
    return (time.thread_time_ns() - start) / 10


def kernels() -> float:
    """Nanoseconds of making a kernel, and of forgetting one."""
    gc.collect()
    start = time.thread_time_ns()
    for _ in range(200):
        Kernel()
    return (time.thread_time_ns() - start) / 200


def told(case: Callable[[Kernel], float], rounds: int) -> float:
    """Nanoseconds that one listener adds to a call: two of them are a pair."""
    added = []
    for _ in range(rounds):
        plain, heard = Kernel(), Kernel()
        heard.listen(lambda call: None)
        added.append(case(heard) - case(plain))
    return statistics.median(added) / 2


def ticks(rounds: int) -> tuple[float, float]:
    """Milliseconds of a tick over many lists: none used since the last, all used."""
    kernel = Kernel()
    lists = [new_list(kernel) for _ in range(LISTS)]
    kernel.tick(3)
    found: dict[bool, list[float]] = {False: [], True: []}
    for busy in [False, True] * rounds:
        if busy:
            for lookaside in lists:
                lookaside.free(lookaside.allocate())
        start = time.thread_time_ns()
        kernel.tick()
        found[busy].append((time.thread_time_ns() - start) / 1e6)
        kernel.tick(2)
    return statistics.median(found[False]), statistics.median(found[True])


def program_of_fifty_steps() -> float:
    """Milliseconds of running a generated program of 50 steps on the simulator."""
    choices = RandomChoices(random.Random(1))
    programs = [[Create(), *draw_program(choices, 50)] for _ in range(60)]
    start = time.thread_time_ns()
    for program in programs:
        run_operations(program)
    return (time.thread_time_ns() - start) / len(programs) / 1e6


def clones(kernel: Kernel, rounds: int) -> float:
    """Milliseconds of a copy of a machine."""
    found = []
    for _ in range(rounds):
        start = time.thread_time_ns()
        kernel.clone()
        found.append((time.thread_time_ns() - start) / 1e6)
    return statistics.median(found)


def bytes_per_block() -> float:
    """Resident bytes for each of many live blocks, the caller's list and ints included."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    pool = Kernel().pool
    gc.collect()
    before = resident()
    live = [pool.allocate(PoolType.NonPagedPool, 64, TAG) for _ in range(BLOCKS)]
    used = resident() - before
    return used / len(live)


def main(rounds: int) -> None:
    """Measure everything and print it."""
    cases: dict[str, Callable[[], float]] = {
        "minimal class": lambda: pairs(Minimal()),
        "list, all hits": lambda: pairs(new_list()),
        "the same, sanitized": lambda: pairs(new_list(Kernel(sanitizer=True))),
        "list, every pair to the pool": list_misses,
        "the same, in random order": random_order,
        "pool alone": pool_pairs,
        "pool, 13 sizes, 500 live": mixed_sizes,
        "list to the pool, on bytes": lambda: list_misses(on_bytes()),
        "pool alone, on bytes": lambda: pool_pairs(on_bytes()),
        "list to the pool, with a driver": lambda: list_misses(with_driver()),
        "pool alone, with a driver": lambda: pool_pairs(with_driver()),
        "read of 64 bytes": lambda: touches(64),
        "read of a page": lambda: touches(4096),
        "write of 64 bytes": lambda: touches(64, write=True),
        "check of 200 blocks": checks,
        "a kernel": kernels,
    }
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        names = random.sample(list(cases), len(cases))
        measured = {name: cases[name]() for name in names}
        for name, value in measured.items():
            rows[name].append((value, value / measured["minimal class"]))
    print("one of                                 ns      ratio")
    for name, values in rows.items():
        ns = statistics.median(value for value, _ in values)
        print(f"  {name:32} {ns:10.0f} {statistics.median(r for _, r in values):10.2f}")
    print("one listener adds to a call")
    for name, case in (
        ("list, all hits", lambda kernel: pairs(new_list(kernel))),
        ("list, mostly misses", list_misses),
        ("pool alone", pool_pairs),
    ):
        print(f"  {name:20} {told(case, rounds):7.0f} ns")
    idle, busy = ticks(rounds)
    print(f"tick over {LISTS:,} lists    {idle:.1f} ms idle, {busy:.1f} ms all used")
    print(f"program of 50 steps      {program_of_fifty_steps():.2f} ms")
    start = time.perf_counter()
    done = replay(load(REDIS), lookaside=(24, 16))
    print(
        f"redis recording          {(time.perf_counter() - start) / done.events * 1e6:.1f} us/event"
    )
    small = Kernel()
    new_list(small).allocate()
    print(
        f"clone                    {clones(small, rounds):.2f} ms of a small machine,"
        f" {clones(done.kernel, rounds):.1f} ms after the redis recording"
    )
    if Path("/proc/self/statm").exists():
        print(f"live 64-byte blocks      {bytes_per_block():.0f} bytes each, resident")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
