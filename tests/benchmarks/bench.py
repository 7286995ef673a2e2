"""What is measured inside this process: calls, machines, ticks, traces, memory.

Calls are compared with a minimal Python class (four counters, a depth check, a LIFO list). Their
time is that of the thread, so that what else the machine does counts less. The table of all is
printed by ``python -m tests.benchmarks``.
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
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


def timed(run: Callable[[int], None], count: int) -> float:
    """Nanoseconds of each of so many pairs of something else."""
    gc.collect()
    start = time.thread_time_ns()
    run(count)
    return (time.thread_time_ns() - start) / count


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


def told(case: Callable[[Kernel], float]) -> float:
    """Nanoseconds that one listener adds to a call: two of them are a pair."""
    plain, heard = Kernel(), Kernel()
    heard.listen(lambda call: None)
    return (case(heard) - case(plain)) / 2


def ticks(*, busy: bool) -> float:
    """Nanoseconds of a tick over many lists: none used since the last, or all used."""
    kernel = Kernel()
    lists = [new_list(kernel) for _ in range(LISTS)]
    kernel.tick(3)
    found = []
    for _ in range(3):
        if busy:
            for lookaside in lists:
                lookaside.free(lookaside.allocate())
        start = time.thread_time_ns()
        kernel.tick()
        found.append(time.thread_time_ns() - start)
        kernel.tick(2)
    return min(found)


def program_of_fifty_steps() -> float:
    """Nanoseconds of running a generated program of 50 steps on the simulator."""
    choices = RandomChoices(random.Random(1))
    programs = [[Create(), *draw_program(choices, 50)] for _ in range(60)]
    start = time.thread_time_ns()
    for program in programs:
        run_operations(program)
    return (time.thread_time_ns() - start) / len(programs)


def reading() -> float:
    """Nanoseconds of an event of a recording that is read."""
    count = 0
    start = time.thread_time_ns()
    for _ in load(REDIS):
        count += 1
    return (time.thread_time_ns() - start) / count


def replaying() -> float:
    """Nanoseconds of an event of a recording that is read and run with two lists."""
    start = time.thread_time_ns()
    done = replay(load(REDIS), lookaside=(24, 16))
    return (time.thread_time_ns() - start) / done.events


def clones() -> float:
    """Nanoseconds of a copy of a small machine."""
    kernel = Kernel()
    new_list(kernel).allocate()
    start = time.thread_time_ns()
    for _ in range(5):
        kernel.clone()
    return (time.thread_time_ns() - start) / 5


def bytes_per_kernel() -> float:
    """Bytes of a machine whose pools nobody has used."""
    kernels = [Kernel()]
    tracemalloc.start()
    kernels += [Kernel() for _ in range(20)]
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / 20


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
