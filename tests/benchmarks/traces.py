"""Speed of reading, replaying and advising, by the CPU time of this process.

Run ``python tests/benchmarks/traces.py [rounds]``; the best of the rounds is printed.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lookaside_sim.advise import Policy, advise, all_depths, sweep
from lookaside_sim.advise.advice import only
from lookaside_sim.advise.counted import CountedList, call_lists, make_lists
from lookaside_sim.advise.policy import NT
from lookaside_sim.advise.streams import Streams, by_tag, chunks_of
from lookaside_sim.trace import load, replay, save

REDIS = Path(__file__).parent.parent / "traces" / "redis.jsonl.gz"
LARGEST = 12


def best(rounds: int, work: Callable[[], object]) -> float:
    """The least CPU time, in seconds, that some work took."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main(rounds: int = 3) -> None:
    """Measure, and print a table."""
    print(f"advise, from the gzip file  {best(rounds, lambda: advise(REDIS)):6.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory of this process      {peak / 1024:6.0f} MB")
    rows = advise(REDIS, depths=False).rows
    events = sum(row.calls for row in rows)
    sizes = [row.size for row in rows[:LARGEST]]

    def show(what: str, seconds: float, calls: int = events) -> None:
        each = seconds / calls * 1e9
        print(f"{what:27} {each:6.0f} ns an event {calls / seconds / 1e6:8.1f} M/s")

    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "redis.lkt"
        show("pack", best(1, lambda: save(packed, load(REDIS))))
        print(
            f"packed                      {packed.stat().st_size / events:6.2f} bytes an event"
        )
        show("read events", best(rounds, lambda: sum(1 for _ in load(REDIS))))
        show("read columns", best(rounds, lambda: sum(1 for _ in load(REDIS).chunks())))
        show("read packed events", best(rounds, lambda: sum(1 for _ in load(packed))))
        show("read packed blocks", best(rounds, lambda: sum(1 for _ in load(packed).stored())))
        show(
            "replay, lists 24 and 16", best(1, lambda: replay(load(REDIS), lookaside=[24, 16]))
        )
        show("advise, packed", best(rounds, lambda: advise(packed)))
        show("counters of all, packed", best(rounds, lambda: advise(packed, depths=False)))
        blocks = list(load(packed).stored())

        def count(some: list[int] | None) -> None:
            streams = Streams("redis", only(by_tag, some))
            lists: dict[object, list[CountedList]] = {}
            for block in blocks:
                for second, found in [*streams.add(block), streams.taken()]:
                    for key, stream in found.items():
                        if key not in lists:
                            lists[key] = make_lists(NT, paged=key.paged)
                        call_lists(lists[key], second, stream, NT)

        show(f"counters of {LARGEST} in memory", best(rounds, lambda: count(sizes)))
        show("counters of all in memory", best(rounds, lambda: count(None)))
        streams = Streams("redis", by_tag)
        apart: dict[object, bytes] = {}
        for chunk in chunks_of(load(packed)):
            for _, found in [*streams.add(chunk), streams.taken()]:
                for key, stream in found.items():
                    apart[key] = apart.get(key, b"") + stream
        largest = sorted(apart.values(), key=len)[-LARGEST:]
        calls = sum(map(len, largest))
        show("all depths", best(rounds, lambda: list(map(all_depths, largest))), calls)
        tried = [Policy(minimum_depth=depth) for depth in range(4, 84)]
        seconds = best(1, lambda: sweep(packed, tried, sizes=sizes))
        print(f"sweep                       {seconds / len(tried) * 1e3:6.1f} ms a policy")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
