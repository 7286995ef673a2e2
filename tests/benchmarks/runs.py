"""What recording a run costs, and what going through it: ``python -m tests.benchmarks.runs [TRACE]``.

Processor time, so that a busy machine says the same.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lookaside_sim import Kernel
from lookaside_sim.run import Run, record

ROUNDS = 20_000
TRACE = Path(__file__).parents[1] / "traces" / "redis.jsonl.gz"
SIZES = (24, 32, 48, 64, 96, 128, 512, 1024)


def seconds(do: Callable[[], object]) -> float:
    """Processor seconds that something takes."""
    began = time.process_time()
    do()
    return time.process_time() - began


def recording(*, source: bool) -> tuple[float, float]:
    """Microseconds a call, of hits and of pool calls, while they are recorded."""
    kernel = Kernel()
    with record(kernel, source=source):
        lookaside = kernel.lookaside_list("hits")
        lookaside.initialize(size=64, tag=b"tseT")
        lookaside.free(lookaside.allocate())

        def hits() -> None:
            for _ in range(ROUNDS):
                lookaside.free(lookaside.allocate())

        def pool() -> None:
            for _ in range(ROUNDS):
                kernel.pool.free(kernel.pool.allocate(0, 48, b"tseT"))

        took = seconds(hits), seconds(pool)
    return took[0] / ROUNDS / 2 * 1e6, took[1] / ROUNDS / 2 * 1e6


def main(trace: Path = TRACE) -> None:
    """Print what everything takes."""
    for source in (False, True):
        hit, pool = recording(source=source)
        lines = "with" if source else "without"
        print(f"recording {lines} lines: {hit:.1f} us a hit, {pool:.1f} us a pool call")
    made: list[Run] = []
    took = seconds(lambda: made.append(Run.from_trace(trace, lookaside=SIZES)))
    run = made[0]
    print(f"{trace.name}: {len(run):,} steps in {took:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.lkrun")
        print(
            f"save {seconds(lambda: run.save(path)):.2f} s, {path.stat().st_size:,} bytes",
            end="",
        )
        print(f", load {seconds(lambda: Run.load(path)):.2f} s")
    print(f"all of it played: {seconds(lambda: run.machine(len(run))):.2f} s")
    for position in (len(run) - 1, len(run) // 2, len(run) // 2 - 1, 100, len(run) * 4 // 5):
        print(f"to {position:,}: {seconds(lambda at=position: run.machine(at)):.3f} s")  # type: ignore[misc]
    count = min(len(run), 50_000)
    edits = seconds(lambda: [each for _, each in run.all_edits(0, count)])
    print(f"edits: {edits / count * 1e6:.1f} us a step")
    print(f"largest: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
