"""What others offer for the same work, as pairs of one call that gives and one that takes back.

None of them models a lookaside list. A peer that is not installed has no row.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

Pair = Callable[[int], None]
"""Runs so many pairs."""


def _fastalloc() -> Pair:
    pool = importlib.import_module("fastalloc").FixedPool(SimpleNamespace, 64)

    def run(count: int) -> None:
        for _ in range(count):
            pool.release(pool.get())

    return run


def _pondpond() -> Pair:
    pond = importlib.import_module("pond")

    class Factory(pond.PooledObjectFactory):  # type: ignore[misc,name-defined]
        def createInstance(self) -> Any:  # noqa: N802
            return pond.PooledObject(SimpleNamespace())

        def destroy(self, pooled_object: Any) -> None:
            pass

        def reset(self, pooled_object: Any, **options: Any) -> Any:
            return pooled_object

        def validate(self, pooled_object: Any) -> bool:
            return True

    pool = pond.Pond(borrowed_timeout=2, time_between_eviction_runs=-1, thread_daemon=True)
    factory = Factory(pooled_maxsize=64, least_one=False)
    pool.register(factory, name="one")

    def run(count: int) -> None:
        for _ in range(count):
            pool.recycle(pool.borrow(name="one"), name="one")

    return run


def _simpy() -> Pair:
    simpy = importlib.import_module("simpy")

    def run(count: int) -> None:
        environment = simpy.Environment()
        store = simpy.Store(environment)
        store.put(1)

        def program() -> Any:
            for _ in range(count):
                yield store.put((yield store.get()))

        environment.process(program())
        environment.run()

    return run


def _libcachesim() -> Pair:
    library = importlib.import_module("libcachesim")
    cache, request = library.LRU(cache_size=1 << 20), library.Request()
    request.obj_id = 1
    request.obj_size = 64

    def run(count: int) -> None:
        for _ in range(count):
            cache.get(request)
            cache.get(request)

    return run


def _qiling(live: int) -> Pair:
    memory = importlib.import_module("qiling.os.memory")
    mapped = SimpleNamespace(
        map=lambda *where, **options: None, align_up=lambda size: (size + 4095) & -4096
    )
    heap = memory.QlMemoryHeap(SimpleNamespace(mem=mapped), 0x10_0000, 0x1000_0000)
    draw = random.Random(1)
    for _ in range(live):
        heap.alloc(draw.choice((24, 64, 200)))

    def run(count: int) -> None:
        for _ in range(count):
            heap.free(heap.alloc(64))

    return run


PEERS: dict[str, tuple[Callable[[], Pair], int]] = {
    "fastalloc, get and release": (_fastalloc, 5_000),
    "pondpond, borrow and recycle": (_pondpond, 5_000),
    "simpy, Store get and put": (_simpy, 2_000),
    "libcachesim, two gets (C)": (_libcachesim, 10_000),
    "qiling's heap, nothing live": (lambda: _qiling(0), 3_000),
    "qiling's heap, 1,000 live": (lambda: _qiling(1000), 200),
}
"""How each pair is prepared, and how many are run at a time."""


def installed() -> dict[str, tuple[Pair, int]]:
    """The pairs of the peers that are installed."""
    found = {}
    for name, (prepare, count) in PEERS.items():
        try:
            found[name] = prepare(), count
        except ImportError:
            continue
    return found
