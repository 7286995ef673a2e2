"""A program that does anything a run has to be able to say: the world of the stateful tests and more."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

from lookaside_sim import BugCheck, LookasideList, PoolTag, PoolType, Verifier, ddi
from lookaside_sim.errors import LookasideSimError, NtStatusError
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.testing.faults import FaultInjector
from tests.stateful.world import SIZES, World, allocate_ex


class Refusal(Exception):  # noqa: N818 - a story, not an error
    """What a routine of the program raises, which no machine knows."""


class RunWorld(World):
    """A world whose program also has routines that do things of their own.

    Args:
        kernel: the machine.
        careful: whether it never does what could stop the machine.
        known: what it knows already.
    """

    draw_inside = random.Random(0)

    # --- routines of the program -------------------------------------------------------------

    def busy_allocate(
        self, pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList
    ) -> int | None:
        """Allocate, write, use another list, fail or raise, as it comes."""
        draw, pool = self.draw_inside, self.kernel.pool
        what = draw.randrange(6)
        if what == 0:
            return None
        if what == 1:
            raise Refusal("no entry today")
        if what == 2:
            raise NtStatusError(NtStatus.STATUS_INSUFFICIENT_RESOURCES, "the program's own")
        got = pool.allocate(pool_type, size + 16, tag)
        if got and what == 3:
            self.kernel.write(got, b"made")
        if what == 4:
            extra = pool.allocate(0, 40, b"Xtra")
            if extra:
                self.known["blocks"].append(extra)
        return got

    def busy_free(self, entry: int, of: LookasideList) -> None:
        """Free, write before it, or raise."""
        draw = self.draw_inside
        if draw.random() < 0.2:
            self.kernel.write(entry, b"gone")
        if draw.random() < 0.1:
            raise Refusal("keep it")
        self.kernel.pool.free(entry)

    def do_create_busy(self, draw: random.Random) -> object:
        made = LookasideList(self.kernel, "busy", older=draw.random() < 0.3)
        if made.image_size > self.kernel.arch.lookaside_size:
            made.initialize_older(
                pool_type=0,
                size=8,
                tag=b"Busy",
                allocate=self.busy_allocate,
                free=self.busy_free,
            )
        else:
            made.initialize(
                size=draw.choice(SIZES[:6]),
                tag=b"Busy",
                flags=draw.choice((0, 1, 2)),
                depth=draw.choice((0, 300)),
                allocate=draw.choice((self.busy_allocate, allocate_ex, None)),
                free=draw.choice((self.busy_free, None)),
            )
        self.known["lists"].append(made.address)
        return made.address

    def do_create_refused(self, draw: random.Random) -> object:
        made = LookasideList(self.kernel, "refused")
        bad: Any = draw.choice(({"depth": 5}, {"flags": 8}, {"pool_type": 3}))
        return made.initialize(size=32, tag=b"Nope", **bad)

    def do_list_that_nobody_uses(self, draw: random.Random) -> object:
        return LookasideList(self.kernel, "unused").address

    def do_block_of_a_list(self, draw: random.Random) -> object:
        with suppress(Refusal), LookasideList(self.kernel, "brief") as brief:
            brief.initialize(size=24, tag=b"Brie")
            entry = brief.allocate()
            if draw.random() < 0.5:
                raise Refusal("out of the block")
            brief.free(entry)
        return None

    # --- the debugger, the verifier ------------------------------------------------------------

    def do_debugger(self, draw: random.Random) -> object:
        of = self._list(draw)
        if of is None or not of.is_active:
            return None
        draw.choice((of.reset_counters, lambda: of.set_depth(draw.randrange(20))))()
        return bytes(of)

    def do_minimum(self, draw: random.Random) -> object:
        if draw.random() < 0.8:
            return None
        self.kernel.minimum_lookaside_depth = draw.randrange(6)
        return None

    def do_verifier(self, draw: random.Random) -> object:
        if self.kernel.verification is not None or draw.random() < 0.9:
            return None
        self.kernel.enable_verifier(
            Verifier(
                draw.choice((0x209BB, 0x9, 0x1, 0xD)),
                drivers=draw.choice((None, ["drv0.sys"])),
                delay_seconds=1,
                probability=1500,
            )
        )
        return None

    # --- memory, more of the system ------------------------------------------------------------

    def do_write_much(self, draw: random.Random) -> object:
        block = self._any(draw, "blocks")
        if block is None:
            return None
        self.kernel.write(block, draw.randbytes(16))
        return self.kernel.read(block, 16)

    def do_touch(self, draw: random.Random) -> object:
        if self._slips(draw, 0.03):
            self.kernel.touch_fault(0x50, draw.choice((0, 2, 0x10)))
        return None

    def do_slist(self, draw: random.Random) -> object:
        slists = self.kernel.slists
        block = self.kernel.pool.allocate(0, 0x100, b"SLst")
        if block is None:
            return None
        self.known["blocks"].append(block)
        slists.initialize(block)
        slists.push(block, block + 0x40)
        slists.push(block, block + 0x80)
        return slists.pop(block), slists.flush(block), slists.pop(block)

    def do_routines(self, draw: random.Random) -> object:
        block = self.kernel.pool.allocate(0, 0x200, b"Objs")
        if block is None:
            return None
        self.known["blocks"].append(block)
        with self.kernel:
            ddi.KeInitializeEvent(block, 0, False)
            ddi.ExInitializeFastMutex(block + 0x80)
            ddi.ExAcquireFastMutex(block + 0x80)
            results = ddi.KeSetEvent(block, 0, False), ddi.KeReadStateEvent(block)
            ddi.RtlInitUnicodeString(block + 0x100, "a text")
            if not self._slips(draw, 0.2):
                ddi.ExReleaseFastMutex(block + 0x80)
        return results

    def do_dpc(self, draw: random.Random) -> object:
        with self.kernel.in_dpc():
            return self.do_allocate(draw)

    def do_by_flags(self, draw: random.Random) -> object:
        with self.kernel:
            got = ddi.ExAllocatePool2(draw.choice((0x40, 0x100, 0x41, 0x60)), 48, b"Flag")
            if got and self._slips(draw, 0.03):
                ddi.ExFreePool2(got, b"Flag", 0, 1)
            ddi.ExFreePool(got)
            more = ddi.ExAllocatePoolWithTagPriority(0, 32, b"Prio", 16)
            ddi.ExFreePoolWithTag(more, b"Prio")
        return got

    def do_driver_data(self, draw: random.Random) -> object:
        names = [driver.name for driver in self.kernel.drivers.loaded()]
        if not names:
            return None
        driver = self.kernel.drivers.named(draw.choice(names))
        data = driver.place_data(draw.choice((8, 100)), draw.choice((8, 64)), b"driver")
        driver.lookaside_list("in data")
        return data

    def do_unload_cleanly(self, draw: random.Random) -> object:
        name = f"brief{len(self.known['drivers'])}.sys"
        with suppress(ValueError):
            driver = self.kernel.load_driver(name)
            block = driver.allocate(0, 64, b"Driv")

            def unload() -> None:
                driver.free(block)
                if draw.random() < 0.2:
                    raise Refusal("not now")

            driver.on_unload(unload)
            with suppress(Refusal):
                driver.unload()
        return None

    def do_faults(self, draw: random.Random) -> object:
        injector = FaultInjector(self.kernel)
        try:
            injector.fail(draw.choice((1, 2)))
            return self.do_allocate(draw), self.do_allocate_entries(draw)
        finally:
            injector.remove()

    def do_idle(self, draw: random.Random) -> object:
        with self.kernel.processes.running(self.kernel.processes.idle):
            return self.do_allocate(draw)


EXPECTED = (BugCheck, LookasideSimError, Refusal)
"""What the program may end with."""
