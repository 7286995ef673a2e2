"""What moving in a long recording costs: the shell over a trace with eight lists.

    python -m tests.benchmarks.kd TRACE

Prints CPU seconds and the memory at its peak beside what is wanted: a step back and a jump to
anywhere in 0.3 s, a search back to a breakpoint in 2 s, all in 400 MB.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Final

from lookaside_sim.kd import Session
from lookaside_sim.run import Run

SIZES: Final = (16, 24, 32, 40, 48, 64, 96, 128)
STEP: Final = 0.3
SEARCH: Final = 2.0
MEGABYTES: Final = 400


def peak() -> int:
    """Megabytes that the process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


class Bench:
    """A shell and what its commands cost.

    Attributes:
        worst: the most CPU seconds of a command of each kind.
    """

    def __init__(self, run: Run) -> None:
        self.shell = Session(run)
        self.worst = {STEP: 0.0, SEARCH: 0.0}

    def do(self, line: str, wanted: float | None = None) -> None:
        """Run a command, and look at the machine afterwards, which makes it."""
        began = time.process_time()
        self.shell.execute(line)
        self.shell.execute("!irql")
        spent = time.process_time() - began
        if wanted is not None:
            self.worst[wanted] = max(self.worst[wanted], spent)
            print(f"{spent:7.3f} s  {line}", flush=True)


def main(path: Path) -> None:
    """Measure."""
    began = time.process_time()
    run = Run.from_trace(path, lookaside=SIZES)
    print(f"{time.process_time() - began:7.1f} s  {path.name}: {len(run):,} steps, {peak()} MB")
    bench = Bench(run)
    bench.do("!tt 100")  # the first time plays it all
    for percent in (50, 23, 77, 1, 99, 60, 100):
        bench.do(f"!tt {percent}", STEP)
        bench.do("p-", STEP)
        bench.do("p", STEP)
    bench.do("bp nt!ExAllocatePoolWithTag")
    bench.do("g-", SEARCH)
    bench.do("bc *")
    first = next(iter(run.list_names))
    step = run.find(word="alloc", start=len(run) // 3)
    assert step is not None
    assert isinstance(step.result, int)
    for what in (f"w2 {first + 0x10:x}", f"w8 {first:x}", f"w8 {step.result:x}"):
        for percent in (100, 50):
            bench.do(f"!tt {percent}; bc *; ba {what}")
            print(f"         ba {what}, from {percent}%")
            bench.do("g-", SEARCH)
            bench.do("g-", SEARCH)
    for wanted, spent in bench.worst.items():
        print(f"worst {spent:.2f} s of {wanted} s")
    print(f"peak {peak()} MB of {MEGABYTES} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
