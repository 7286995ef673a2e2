"""A program that does anything to a machine, drawn step by step, that two machines can run.

It knows lists, blocks and drivers by address and name alone, so that a copy of the machine with
a copy of what it knows can go on with the same steps.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from lookaside_sim import Kernel, LookasideList, PoolTag, PoolType
from lookaside_sim.machine.spin_lock import SpinLock
from tests.helpers import nowhere
from tests.same import result_of

TYPES = (0, 1, 0x200, 0x400, 0x401, 0x8, 0x9, 0x10)
SIZES = (1, 16, 24, 64, 65, 200, 256, 496, 1000, 4064, 4065, 9000)
TAGS = (b"Aaaa", b"Bbbb", b"Cccc", b"Prot")


def allocate_ex(pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList) -> int | None:
    """A driver's own allocate routine."""
    return of.pool.allocate(pool_type, size + 16, tag)


def free_ex(entry: int, of: LookasideList) -> None:
    """A driver's own free routine."""
    of.pool.free(entry)


class World:
    """A machine, and what the program knows of it.

    Args:
        kernel: the machine.
        careful: whether it never does what could stop the machine.
        known: what it knows already.
    """

    def __init__(
        self, kernel: Kernel, careful: bool = False, known: dict[str, list[Any]] | None = None
    ) -> None:
        self.kernel = kernel
        self.careful = careful
        names = ("blocks", "charged", "lists", "entries", "drivers", "locks", "irps", "mdls")
        self.known: dict[str, list[Any]] = known or {name: [] for name in names}

    def clone(self) -> World:
        """A copy of both."""
        return World(self.kernel.clone(), self.careful, copy.deepcopy(self.known))

    def run(self, seed: int, steps: int) -> list[object]:
        """Run drawn steps; what each came to."""
        draw = random.Random(seed)
        names = [name for name in dir(self) if name.startswith("do_")]
        results: list[object] = []
        for _ in range(steps):
            name = draw.choice(names)
            with self._place(draw):
                results.append((name, result_of(partial(getattr(self, name), draw))))
        return results

    @contextmanager
    def _place(self, draw: random.Random) -> Iterator[None]:
        """On some processor, sometimes as some driver's code."""
        names = [driver.name for driver in self.kernel.drivers.loaded()]
        processor = draw.randrange(self.kernel.processors)
        as_driver = draw.random() < 0.4 and bool(names)
        if self.kernel.bugcheck is not None:
            yield
            return
        with self.kernel.on_processor(processor):
            if not as_driver:
                yield
                return
            with self.kernel.drivers.named(draw.choice(names)):
                yield

    def _slips(self, draw: random.Random, chance: float) -> bool:
        """Whether to do what may stop the machine."""
        return draw.random() < chance and not self.careful

    def _any(self, draw: random.Random, what: str, *, take: bool = False) -> Any:
        found = self.known[what]
        if not found:
            return None
        at = draw.randrange(len(found))
        return found.pop(at) if take else found[at]

    def _list(self, draw: random.Random) -> LookasideList | None:
        address = self._any(draw, "lists")
        return None if address is None else self.kernel.list_at(address)

    # --- pool ----------------------------------------------------------------------------

    def do_allocate(self, draw: random.Random) -> object:
        for _ in range(draw.choice((1, 3, 12))):
            got = self.kernel.pool.allocate(
                draw.choice(TYPES[:5]), draw.choice(SIZES), draw.choice(TAGS)
            )
            if got:
                self.known["blocks"].append(got)
        return self.known["blocks"][-1:]

    def do_allocate_charged(self, draw: random.Random) -> object:
        got = self.kernel.quota.allocate(draw.choice((0, 1)), draw.choice(SIZES), b"Quot")
        if got:
            self.known["blocks"].append(got)
        return got

    def do_free(self, draw: random.Random) -> object:
        for _ in range(draw.choice((1, 3, 12))):
            block = self._any(draw, "blocks", take=True)
            if block is not None:
                self.kernel.pool.free(block)
        return len(self.known["blocks"])

    def do_write(self, draw: random.Random) -> object:
        block = self._any(draw, "blocks")
        if block is None:
            return None
        # Now and then over the header of the block, or of the next one.
        before = -8 if self._slips(draw, 0.1) else 0
        self.kernel.write(block + before, draw.randbytes(1))
        return self.kernel.read(block, 1)

    def do_misuse(self, draw: random.Random) -> object:
        if not self._slips(draw, 0.1):
            return None
        block = self._any(draw, "blocks") or 0x1000
        free_both = partial(map, self.kernel.pool.free)
        wrong: list[Callable[[], object]] = [
            lambda: list(free_both((block, block))),
            lambda: self.kernel.pool.free(block + 8),
            lambda: self.kernel.write(block - 16, b"\xee" * 32),
            lambda: self.kernel.read(nowhere(self.kernel), 4),
            lambda: self.kernel.tick(600),
        ]
        return draw.choice(wrong)()

    # --- lists ---------------------------------------------------------------------------

    def do_create(self, draw: random.Random) -> object:
        where = draw.choice((None, None, "block"))
        address = None
        if where is not None:
            address = self.kernel.pool.allocate(0, 0x100, b"DExt")
        made = LookasideList(self.kernel, f"list {len(self.known['lists'])}", address)
        routines: Any = (None, None)
        driver = self.kernel.drivers.current
        kind = draw.randrange(3)
        if kind == 1:
            routines = (allocate_ex, free_ex)
        elif kind == 2 and driver is not None:
            routines = self.kernel.drivers.named(driver.name).routines(allocate_ex, free_ex)
        status = made.initialize(
            pool_type=draw.choice(TYPES[:3]),
            size=draw.choice(SIZES[:8]),
            tag=draw.choice(TAGS),
            allocate=routines[0],
            free=routines[1],
        )
        self.known["lists"].append(made.address)
        return made.address, status, bytes(made)

    def do_allocate_entries(self, draw: random.Random) -> object:
        of = self._list(draw)
        if of is None or not of.is_active:
            return None
        for _ in range(draw.choice((1, 5, 30))):
            entry = of.allocate()
            if entry:
                self.known["entries"].append((of.address, entry))
        return bytes(of)

    def do_free_entries(self, draw: random.Random) -> object:
        for _ in range(draw.choice((1, 5, 30))):
            found = self._any(draw, "entries", take=True)
            if found is None:
                return None
            address, entry = found
            of = self.kernel.list_at(address)
            if of.is_active:
                of.free(entry)
        return bytes(of)

    def do_free_wrongly(self, draw: random.Random) -> object:
        of, found = self._list(draw), self._any(draw, "entries")
        if of is None or found is None or not self._slips(draw, 0.3):
            return None
        of.free(found[1])
        return bytes(of)

    def do_flush(self, draw: random.Random) -> object:
        of = self._list(draw)
        if of is not None and of.is_active:
            of.flush()
        return None if of is None else bytes(of)

    def do_delete(self, draw: random.Random) -> object:
        of = self._list(draw)
        if of is None or not of.is_active or draw.random() < 0.6:
            return None
        of.delete()
        return bytes(of)

    def do_tick(self, draw: random.Random) -> object:
        self.kernel.tick(draw.choice((1, 1, 3)))
        return [bytes(each) for each in self.kernel.lookaside_lists]

    # --- the rest ------------------------------------------------------------------------

    def do_load(self, draw: random.Random) -> object:
        if len(self.known["drivers"]) >= 3:
            return None
        name = f"drv{len(self.known['drivers'])}.sys"
        driver = self.kernel.load_driver(name)
        self.known["drivers"].append(name)
        return driver.image_base

    def do_unload(self, draw: random.Random) -> object:
        names = [driver.name for driver in self.kernel.drivers.loaded()]
        if not names or not self._slips(draw, 0.1):
            return None
        self.kernel.drivers.named(draw.choice(names)).unload()
        return names

    def do_lock(self, draw: random.Random) -> object:
        locks, known = self.kernel.spin_locks, self.known["locks"]
        if len(known) < 2:
            known.append(SpinLock(self.kernel, "lock").address)
        lock = draw.choice(known)
        old = locks.acquire(lock)
        got = self.kernel.pool.allocate(0, 40, b"Lock")
        if not self._slips(draw, 0.05):
            locks.release(lock, old)
        return old, got, locks.held()

    def do_irql(self, draw: random.Random) -> object:
        self.kernel.raise_irql(draw.choice((0, 1, 2)))
        got = self.kernel.pool.allocate(0, 24, b"Irql")
        if not self._slips(draw, 0.03):
            self.kernel.lower_irql(0)
        return got, self.kernel.irql

    def do_timer(self, draw: random.Random) -> object:
        block = self.kernel.pool.allocate(0, 0x80, b"Objs")
        if block is None:
            return None
        was_set = self.kernel.objects.set_timer(block, draw.randrange(1, 9))
        if not self._slips(draw, 0.5):
            self.kernel.objects.cancel_timer(block)
        self.known["blocks"].append(block)
        return was_set

    def do_resource(self, draw: random.Random) -> object:
        block = self.kernel.pool.allocate(0, 0x80, b"Objs")
        if block is None:
            return None
        self.kernel.objects.initialize_resource(block)
        if not self._slips(draw, 0.2):
            self.kernel.objects.delete_resource(block)
        self.known["blocks"].append(block)
        return list(self.kernel.objects.resources)

    def do_irp(self, draw: random.Random) -> object:
        io_lists, irps = self.kernel.io_lists, self.known["irps"]
        if irps and draw.random() < 0.5:
            io_lists.free_irp(self._any(draw, "irps", take=True))
            return len(irps)
        irp = io_lists.allocate_irp(draw.choice((1, 4, 20)), draw.random() < 0.3)
        if irp:
            irps.append(irp)
        return irp

    def do_mdl(self, draw: random.Random) -> object:
        io_lists, mdls = self.kernel.io_lists, self.known["mdls"]
        if mdls and draw.random() < 0.5:
            io_lists.free_mdl(self._any(draw, "mdls", take=True))
            return len(mdls)
        mdl = io_lists.allocate_mdl(0x1234, draw.choice((100, 60000, 200000)))
        if mdl:
            mdls.append(mdl)
        return mdl

    def do_process(self, draw: random.Random) -> object:
        processes = self.kernel.processes
        if len(processes.all) < 3:
            return processes.create("app.exe").address
        with processes.running(draw.choice(processes.all)):
            return self.do_allocate_charged(draw)
