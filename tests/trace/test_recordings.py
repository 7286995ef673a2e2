"""The recordings of real programs, run to their ends and compared with plain counts."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import Kernel, PoolTag
from lookaside_sim.trace import Replay, load, replay

TESTS = Path(__file__).parent.parent
EXAMPLES = TESTS.parent / "examples"
GIT = EXAMPLES / "traces" / "git-log.jsonl.gz"
SQLITE = EXAMPLES / "traces" / "sqlite.jsonl.gz"
REDIS = TESTS / "traces" / "redis.jsonl.gz"
LOOK = PoolTag(b"Look")
NONE = PoolTag(b"None")


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, without the package; many at once, for speed."""
    _, *texts = gzip.decompress(path.read_bytes()).splitlines()
    for start in range(0, len(texts), 20_000):
        yield from json.loads(b"[" + b",".join(texts[start : start + 20_000]) + b"]")


@dataclass
class Counts:
    """What a file asks for, by size."""

    events: int = 0
    allocs: Counter[int] = field(default_factory=Counter)
    frees: Counter[int] = field(default_factory=Counter)
    seconds: int = 0
    last: dict[int, int] = field(default_factory=dict)


@dataclass
class ListModel:
    """A lookaside list as counters: no memory, no entries."""

    depth: int = 4
    held: int = 0
    allocates: int = 0
    allocate_misses: int = 0
    frees: int = 0
    free_misses: int = 0
    scanned: tuple[int, int] = (0, 0)

    def allocate(self) -> None:
        self.allocates += 1
        if self.held:
            self.held -= 1
        else:
            self.allocate_misses += 1

    def free(self) -> None:
        self.frees += 1
        if self.held < self.depth:
            self.held += 1
        else:
            self.free_misses += 1

    def scan(self) -> None:
        """Three seconds' allocates and misses decide: fewer than 25 a second, fewer misses
        than 5 of 1000, or more."""
        allocates = self.allocates - self.scanned[0]
        misses = self.allocate_misses - self.scanned[1]
        self.scanned = self.allocates, self.allocate_misses
        if allocates < 75:
            self.depth = max(self.depth - 10, 4)
        elif misses * 1000 // allocates < 5:
            self.depth = max(self.depth - 1, 4)
        else:
            room = 256 - self.depth
            step = misses * 1000 // allocates * room // 2000 + 5
            self.depth = min(self.depth + min(step, 30), 256)


def count(path: Path, model: ListModel | None = None, size: int = 0) -> Counts:
    """Count a file, and run a model of the list for one size of it."""
    counts = Counts()
    live, allocs, frees = counts.last, counts.allocs, counts.frees
    next_second = 1_000_000
    for event in lines(path):
        counts.events += 1
        while event["t"] >= next_second:
            next_second += 1_000_000
            if model is not None and counts.seconds % 3 == 0:
                model.scan()
            counts.seconds += 1
        if event["op"] == "alloc":
            asked = live[event["id"]] = event["size"]
            allocs[asked] += 1
            if model is not None and asked == size:
                model.allocate()
        else:
            asked = live.pop(event["id"])
            frees[asked] += 1
            if model is not None and asked == size:
                model.free()
    return counts


# --- the small ones ----------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["x64", "x86"])
@pytest.mark.parametrize(("path", "events", "live"), [(GIT, 2121, 189), (SQLITE, 25893, 15)])
def test_a_recording_runs_to_its_end(path: Path, events: int, live: int, arch: str) -> None:
    counts = count(path)
    kernel = Kernel(arch)
    done = replay(load(path), kernel)
    assert done.events == counts.events == events
    assert len(done.live) == live
    assert list(done.live) == list(counts.last)
    assert done.failed == 0
    assert done.ticks == counts.seconds
    assert done.pool_calls == events
    assert (done.lists, done.list_calls, done.saved_pool_calls) == ({}, 0, 0)
    usage = kernel.pool.usage(NONE)
    assert usage.nonpaged_allocs == counts.allocs.total()
    assert usage.nonpaged_frees == counts.frees.total()
    assert usage.outstanding == live
    assert list(kernel.pool.tags()) == [NONE]
    for id_, address in done.live.items():
        assert address is not None
        block = kernel.pool.query(address)
        assert block is not None
        assert (block.address, block.size) == (address, max(counts.last[id_], 1))
    kernel.check()


@pytest.mark.parametrize("path", [GIT, SQLITE])
def test_each_size_is_served_by_its_list(path: Path) -> None:
    counts = count(path)
    sizes = [size for size, _ in counts.allocs.most_common(4)]
    kernel = Kernel()
    done = replay(load(path), kernel, lookaside=sizes)
    assert list(done.lists) == [f"heap-{size}" for size in sizes]
    for size, each in zip(sizes, done.lists.values(), strict=True):
        assert each.total_allocates == counts.allocs[size]
        assert each.total_frees == counts.frees[size]
        model = ListModel()
        count(path, model, size)
        assert (each.allocate_misses, each.free_misses, each.current_depth, each.depth) == (
            model.allocate_misses,
            model.free_misses,
            model.held,
            model.depth,
        )
    served = sum(counts.allocs[size] + counts.frees[size] for size in sizes)
    assert done.list_calls == served
    assert done.pool_calls == counts.events - served
    kernel.check()


# --- the long one, run once --------------------------------------------------------------


@dataclass
class Redis:
    done: Replay
    counts: Counts
    model: ListModel


@pytest.fixture(scope="module")
def redis() -> Redis:
    model = ListModel()
    counts = count(REDIS, model, 24)
    return Redis(replay(load(REDIS), lookaside=[24, 16]), counts, model)


def test_redis_runs_to_its_end(redis: Redis) -> None:
    done, counts = redis.done, redis.counts
    assert done.events == counts.events == 733_104
    assert done.live.keys() == counts.last.keys()
    assert len(done.live) == 15_036
    assert None not in done.live.values()
    assert done.failed == 0
    assert done.ticks == done.kernel.seconds == counts.seconds == 17


def test_redis_asks_its_lists_for_their_sizes_only(redis: Redis) -> None:
    done, counts = redis.done, redis.counts
    assert list(done.lists) == ["heap-24", "heap-16"]
    for size, each in zip((24, 16), done.lists.values(), strict=True):
        assert (each.size, each.tag) == (size, LOOK)
        assert each.total_allocates == counts.allocs[size]
        assert each.total_frees == counts.frees[size]
    served = sum(counts.allocs[size] + counts.frees[size] for size in (24, 16))
    assert done.list_calls == served
    assert done.pool_calls == counts.events - served


def test_redis_moves_the_list_as_the_rule_says(redis: Redis) -> None:
    each, model = redis.done.lists["heap-24"], redis.model
    assert (each.total_allocates, each.total_frees) == (model.allocates, model.frees)
    assert (each.allocate_misses, each.free_misses) == (
        model.allocate_misses,
        model.free_misses,
    )
    assert (each.current_depth, each.depth) == (model.held, model.depth)
    assert (each.last_total_allocates, each.last_allocate_misses) == model.scanned
    # The list neither serves all nor nothing, or the model would show little.
    assert 0 < model.allocate_misses < model.allocates
    assert 0 < model.free_misses < model.frees


def test_redis_leaves_the_pool_what_the_lists_did_not_serve(redis: Redis) -> None:
    done, counts = redis.done, redis.counts
    pool, lists = done.kernel.pool, done.lists.values()
    assert list(pool.tags()) == [LOOK, NONE]
    usage = pool.usage(LOOK)
    assert usage.nonpaged_allocs == sum(each.allocate_misses for each in lists)
    assert usage.nonpaged_frees == sum(each.free_misses for each in lists)
    usage = pool.usage(NONE)
    assert usage.nonpaged_allocs == counts.allocs.total() - sum(
        each.total_allocates for each in lists
    )
    assert usage.nonpaged_frees == counts.frees.total() - sum(
        each.total_frees for each in lists
    )
    assert usage.nonpaged_allocs + usage.nonpaged_frees == done.pool_calls


def test_redis_saves_pool_calls(redis: Redis) -> None:
    done = redis.done
    lists = done.lists.values()
    misses = sum(each.allocate_misses + each.free_misses for each in lists)
    assert done.saved_pool_calls == done.list_calls - misses
    assert done.held_entries == sum(each.current_depth for each in lists)
    assert done.held_bytes == sum(
        size * done.lists[f"heap-{size}"].current_depth for size in (24, 16)
    )
    held = sum(
        each.total_frees - each.free_misses - each.total_allocates + each.allocate_misses
        for each in lists
    )
    assert done.held_entries == held
