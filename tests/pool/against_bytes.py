"""Programs run on two machines: one whose pools begin with the model, one on bytes from the start.

Whatever a program does, the two may differ in nothing that can be seen: results, stops, tags,
statistics, and every byte of every mapped page. A program is drawn from a seed, so that a
failure is told by its number. `test_model_against_bytes` runs some, `tests/fuzz` many.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from lookaside_sim import BugCheck, Kernel, LookasideList, NtStatusError
from lookaside_sim.errors import InvariantError, LookasideSimError, SanitizerError
from lookaside_sim.memory.arena import RETURNED
from lookaside_sim.nt.layouts import PAGE_SIZE

TYPES = ([0], [0, 1], [0, 1, 0x200], [0, 0x400], [0, 4, 0x20, 0x404])
SIZES: tuple[list[int], ...] = (
    [64],
    [16, 24, 32, 48, 64, 96, 128, 200],
    list(range(1, 300)),
    [1, 8, 16, 4000, 3900, 2000, 1000, 500],
    [64, 5000, 8192, 4097, 4096, 100, 12000],
    [40, 72, 104],
    [4049, 4040, 4030, 24, 5000, 8192, 4096],
    [2016, 2000, 4049, 100, 8000],
    [1, 2, 4072, 4064, 4056, 4048, 4033, 3],
)
TAGS = (b"AAAA", b"BBBB", b"CCC\xc4")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"strict_pool_tags": True},
    {"sanitizer": True},
    {"small_pool_lists": True},
    {"delayed_free": True},
    {"track_pool": True},
)

Outcome = tuple[str, Any]


class DifferenceError(AssertionError):
    """The two machines differ."""


class Pair:
    """Two machines that do the same.

    Args:
        seed: of the program.
        leaves: whether the first may leave the model by itself only; else it is never asked to.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        draw = self.random
        options: dict[str, Any] = {
            "arch": draw.choice(["x64", "x64", "x86"]),
            "seed": seed & 3,
            **draw.choice(OPTIONS),
        }
        if draw.random() < 0.3:
            options["nonpaged_pool_bytes"] = PAGE_SIZE * draw.randrange(1, 6)
            options["paged_pool_bytes"] = PAGE_SIZE * draw.randrange(1, 6)
        self.model, self.bytes = Kernel(**options), Kernel(**options)
        self.bytes.pool.leave_model()
        self.types, self.sizes = draw.choice(TYPES), draw.choice(SIZES)
        self.lists: list[tuple[list[LookasideList], list[int]]] = []
        self.live: list[tuple[int, int, bytes]] = []
        self.freed: list[int] = []
        self.stop_listening: list[Callable[[], None]] = []

    @property
    def machines(self) -> tuple[Kernel, Kernel]:
        """Both."""
        return self.model, self.bytes

    @property
    def stopped(self) -> bool:
        """Whether they have stopped."""
        return self.model.bugcheck is not None

    def both(self, act: Callable[[Kernel], Any]) -> Outcome:
        """Do the same on both, and compare how it ends."""
        ends = [self._end(act, kernel) for kernel in self.machines]
        if ends[0] != ends[1]:
            raise DifferenceError(f"{ends[0]} on the model, {ends[1]} on bytes")
        return ends[0]

    @staticmethod
    def _end(act: Callable[[Kernel], Any], kernel: Kernel) -> Outcome:
        try:
            return "returned", act(kernel)
        except (
            BugCheck,
            NtStatusError,
            LookasideSimError,
            SanitizerError,
            ValueError,
        ) as error:
            return type(error).__name__, str(error)

    # --- comparing ---------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare all that can be seen."""
        model, other = self.machines
        for one, two in zip(model.pool.descriptors, other.pool.descriptors, strict=True):
            if one.arena.states != two.arena.states and not self._exposed_only(one, two):
                raise DifferenceError(f"page states of {one.name}")
            for page, state in enumerate(one.arena.states):
                if state > RETURNED:
                    at = one.base + page * PAGE_SIZE
                    seen, expected = (each.memory.read(at, PAGE_SIZE) for each in self.machines)
                    if seen != expected:
                        wrong = [i for i in range(PAGE_SIZE) if seen[i] != expected[i]]
                        raise DifferenceError(
                            f"{one.name}, page {page}, bytes {wrong[:8]}:"
                            f" {seen[wrong[0] :][:8].hex()}, not {expected[wrong[0] :][:8].hex()}"
                        )
            if model.pool.statistics(one) != other.pool.statistics(two):
                raise DifferenceError(f"statistics of {one.name}")
        if model.pool.rows() != other.pool.rows():
            raise DifferenceError("tag rows")
        for lists, _ in self.lists:
            if bytes(lists[0]) != bytes(lists[1]):
                raise DifferenceError(f"the lists {lists[0]!r} and {lists[1]!r}")
        if (model.bugcheck is None) != (other.bugcheck is None):
            raise DifferenceError("one of them has stopped")

    @staticmethod
    def _exposed_only(one: Any, two: Any) -> bool:
        # Which pages the simulator distrusts is its own business.
        return bool(
            one.arena.states.replace(b"\6", b"\5") == two.arena.states.replace(b"\6", b"\5")
        )

    # --- what programs do --------------------------------------------------------------------

    def make_list(self, *, embedded: bool = False, custom: bool = False) -> None:
        """Initialize a list, perhaps in a pool block, perhaps with routines of its own."""
        draw = self.random
        size, pool_type = draw.choice(self.sizes), draw.choice([0, 1])
        place = self.both(lambda k: k.pool.allocate(0, 200, b"List"))[1] if embedded else None
        if embedded and not isinstance(place, int):
            return
        made = []

        def make(kernel: Kernel) -> int:
            lookaside = LookasideList(kernel, address=place)
            made.append(lookaside)
            routines: dict[str, Any] = {}
            if custom:
                routines["allocate"] = lambda kind, size, tag, _: kernel.pool.allocate(
                    kind, size + 16, tag
                )
                routines["free"] = lambda entry, _: kernel.pool.free(entry)
            return int(
                lookaside.initialize(pool_type=pool_type, size=size, tag=b"Look", **routines)
            )

        if self.both(make)[0] == "returned":
            self.lists.append((made, []))

    def use_list(self) -> None:
        """Allocate from a list, or free to it."""
        draw = self.random
        lists, out = draw.choice(self.lists)
        if not out or draw.random() < 0.5:
            how, entry = self.both(lambda k: self._own(lists, k).allocate())
            if how == "returned" and entry is not None:
                out.append(entry)
        else:
            entry = out.pop(draw.randrange(len(out)) if draw.random() < 0.5 else -1)
            self.freed.append(entry)
            self.both(lambda k: self._own(lists, k).free(entry))

    def _own(self, lists: list[LookasideList], kernel: Kernel) -> LookasideList:
        return lists[self.machines.index(kernel)]

    def flush_list(self) -> None:
        """Flush a list."""
        lists, _ = self.random.choice(self.lists)
        self.both(lambda k: self._own(lists, k).flush())

    def allocate(self) -> None:
        """Allocate from the pool."""
        draw = self.random
        kind, size, tag = draw.choice(self.types), draw.choice(self.sizes), draw.choice(TAGS)
        how, address = self.both(lambda k: k.pool.allocate(kind, size, tag))
        if how == "returned" and address is not None:
            self.live.append((address, size, tag))

    def free(self) -> None:
        """Free to the pool what it allocated."""
        draw = self.random
        at = draw.randrange(len(self.live)) if draw.random() < 0.7 else -1
        address, _, tag = self.live[at]
        self.live[at] = self.live[-1]
        self.live.pop()
        self.freed.append(address)
        given = tag if tag[3] & 0x80 else draw.choice([None, tag])
        if draw.random() < 0.002:
            given = b"Bad!"
        self.both(lambda k: k.pool.free(address, given))

    def touch(self) -> None:
        """Read or write inside of a live block, or ask about it."""
        draw = self.random
        address, size, _ = draw.choice(self.live)
        offset = draw.randrange(size)
        count = draw.randrange(min(size - offset, draw.choice([8, 100, 5000])) + 1)
        data = draw.randbytes(count)
        kind = draw.random()
        if kind < 0.3:
            self.both(lambda k: k.read(address + offset, count))
        elif kind < 0.4:
            self.both(lambda k: k.read(address - 16, 40))
        elif kind < 0.5:
            self.both(lambda k: k.memory.peek(address - 30, 60))
        elif kind < 0.6:
            self.both(lambda k: k.pool.query(address + offset))
        elif kind < 0.7:
            offset, count = 0, min(size, 16)
            self.both(lambda k: k.write(address, data[:count]))
        else:
            self.both(lambda k: k.write(address + offset, data))

    def misuse(self) -> None:
        """Write, read or free what is none of the program's."""
        draw = self.random
        somewhere = [address for address, *_ in self.live] + self.freed[-20:]
        if not somewhere:
            return
        address, kind = draw.choice(somewhere), draw.random()
        data = draw.randbytes(draw.choice([1, 4, 8]))
        offset = draw.choice([-2, -8, -16, 0, 4, 8, 16, 24, 62, 72, 200])
        if kind < 0.5:
            self.both(lambda k: k.write(address + offset, data))
        elif kind < 0.6:  # a write that changes nothing
            self.both(lambda k: k.write(address + offset, k.read(address + offset, 8)))
        elif kind < 0.7:
            base = draw.choice(self.model.pool.descriptors).base
            where = base + draw.randrange(PAGE_SIZE)
            self.both(lambda k: k.write(where, data))
        elif kind < 0.8:
            self.both(lambda k: k.pool.free(address + draw.choice([0])))
        elif kind < 0.9 and self.lists:
            lists, _ = draw.choice(self.lists)
            self.both(lambda k: self._own(lists, k).free(address))
        elif kind < 0.95:
            self.both(lambda k: k.pool.free(address + offset))
        else:
            self.both(lambda k: k.read(address + offset, 100))

    def switch(self) -> None:
        """Have somebody come or go: a listener, a driver, quota; let time pass."""
        draw = self.random
        kind = draw.random()
        if kind < 0.3:
            if self.stop_listening:
                for stop in self.stop_listening:
                    stop()
                self.stop_listening = []
            else:
                self.stop_listening = [k.listen(lambda call: None) for k in self.machines]
        elif kind < 0.6:
            self.both(lambda k: k.tick())
        elif kind < 0.7:
            name = f"d{draw.randrange(1000)}.sys"
            self.both(lambda k: k.load_driver(name).name)
        elif kind < 0.8:
            level = draw.choice([0, 1, 2, 3])
            self.both(lambda k: self._at(k, level))
        elif kind < 0.83:
            self.both(self._charge)
        elif kind < 0.86:
            self.both(lambda k: k.memory.keep_bytes_true())
        elif kind < 0.87:
            self.model.pool.leave_model()
        elif kind < 0.92:
            self.model.memory.settle_all()
            if draw.random() < 0.5:
                self.compare()
            if draw.random() < 0.5:
                self.misuse()
        else:
            self.both(self._check)

    def _at(self, kernel: Kernel, level: int) -> None:
        """One call at a raised IRQL; a stop is as good as any other end."""
        with kernel.raise_irql(level):
            kernel.pool.free(kernel.pool.allocate(self.types[-1], self.sizes[-1], b"Irql"))

    @staticmethod
    def _charge(kernel: Kernel) -> int | None:
        with kernel.processes.running(kernel.processes.create("any.exe")):
            return kernel.quota.allocate(0, 64, b"Quot")

    @staticmethod
    def _check(kernel: Kernel) -> str:
        try:
            kernel.check()
        except InvariantError:
            return "broken"
        return "sound"


def run(seed: int, steps: int | None = None) -> Pair:
    """Draw a program and run it on both machines.

    Raises:
        DifferenceError: they differ.
    """
    pair = Pair(seed)
    draw = pair.random
    if steps is None:
        steps = draw.choice([50, 300, 1500])
    for _ in range(draw.randrange(3)):
        pair.make_list(embedded=draw.random() < 0.2, custom=draw.random() < 0.2)
    grows = draw.choice([0.5, 0.55, 0.7, 0.48])
    touches = draw.choice([0, 0.02, 0.3])
    misuses = draw.choice([0, 0, 0.004, 0.05])
    for _ in range(steps):
        if pair.stopped:
            break
        kind = draw.random()
        if kind < 0.004:
            pair.switch()
        elif kind < 0.008:
            pair.compare()
        elif kind < 0.009 and pair.lists:
            pair.flush_list()
        elif kind < 0.01 + misuses:
            if misuses:
                pair.misuse()
        elif kind < 0.01 + misuses + touches and pair.live:
            pair.touch()
        elif pair.lists and draw.random() < 0.4:
            pair.use_list()
        elif draw.random() < grows or not pair.live:
            pair.allocate()
        else:
            pair.free()
    pair.compare()
    return pair
