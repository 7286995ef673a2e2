"""What compiled code costs: ``python -m tests.benchmarks.drive [ROUNDS]``.

Times are of the thread, the least of some rounds, as whoever else runs only adds to them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

from lookaside_sim import Kernel, Verifier
from lookaside_sim.system.compiled import CompiledDriver
from tests.drive.helpers import sys_file

MOST: dict[str, float] = {"import call": 4.0, "inlined pair": 0.5, "small driver": 150_000.0}
MOST["first small driver of a process"] = MOST["small driver"]
"""Microseconds that each may cost."""


def pairs_driver(arch: str, verifier: Verifier | None = None) -> CompiledDriver:
    """A driver whose routines do one thing many times, with its lists made."""
    driver = Kernel(arch, verifier=verifier).load_image(sys_file("pairs", arch))
    driver.start()
    driver.call("Make", 0, 64)
    return driver


def of_many(arch: str, routine: str, count: int, verifier: Verifier | None = None) -> float:
    """Microseconds of one of many."""
    driver = pairs_driver(arch, verifier)
    driver.call(routine, 10)
    start = time.thread_time_ns()
    driver.call(routine, count)
    return (time.thread_time_ns() - start) / count / 1000


def small_driver(arch: str) -> float:
    """Microseconds of loading, running and unloading a small driver, the engine being imported."""
    start = time.thread_time_ns()
    driver = Kernel(arch).load_image(sys_file("families", arch))
    driver.start()
    driver.call("Queue", 6)
    driver.call("Older")
    driver.unload()
    return (time.thread_time_ns() - start) / 1000


def first_driver(arch: str) -> float:
    """The same in a new process, whose imports count too; they are compiled already."""
    program = (
        "import time, tests.benchmarks.drive as d; start = time.thread_time_ns();"
        f"d.small_driver({arch!r}); print((time.thread_time_ns() - start) / 1000)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
            )
    return float(done.stdout)


def outside(arch: str) -> float:
    """Microseconds of a call of compiled code from Python."""
    driver = pairs_driver(arch)
    driver.call("TakeOlder")
    start = time.thread_time_ns()
    for _ in range(500):
        driver.call("ManySteps", 0)
    return (time.thread_time_ns() - start) / 500 / 1000


def main(rounds: int) -> None:
    """Print each figure, and what it may be."""
    for arch in ("x64", "x86"):
        verified = Verifier.standard()
        rows: list[tuple[str, Callable[[], float]]] = [
            ("import call", partial(of_many, arch, "ManyImports", 20_000)),
            ("inlined pair", partial(of_many, arch, "ManyInlined", 300_000)),
            ("imported pair", partial(of_many, arch, "ManyImported", 300_000)),
            ("pool pair", partial(of_many, arch, "ManyPool", 2_000)),
            ("pool pair, verified", partial(of_many, arch, "ManyPool", 500, verified)),
            ("step in pool memory", partial(of_many, arch, "ManySteps", 10**6)),
            ("call from Python, with a pool pair", partial(outside, arch)),
            ("small driver", partial(small_driver, arch)),
            ("first small driver of a process", partial(first_driver, arch)),
        ]
        for name, measure in rows:
            took = min(measure() for _ in range(rounds))
            most = MOST.get(name)
            limit = "" if most is None else f"  (at most {most:g})"
            print(f"{arch}  {name:36}{took:12.3f} us{limit}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
