"""For a teacher: how much load does it take to move the depth?

Covers: programs as data, run_operations.
Scenario: a class is asked to guess the depth after each step. Each step is one line that says
what is done, so the whole experiment fits on a slide.
"""

from lookaside_sim.testing import (
    Allocate,
    AllocateFree,
    Create,
    Execution,
    Free,
    Program,
    Tick,
)

LESSON: Program = [
    Create(32),
    Allocate(74),  # one too few for a scan to take notice
    Tick(3),  # seconds
    Allocate(75),
    Tick(3),
    Free(149),
    AllocateFree(200),  # busy, and hardly a miss
    Tick(3),
    Tick(9),  # nothing happens for three scans
]

if __name__ == "__main__":
    execution = Execution()
    print(f"{'step':20} {'depth':>5} {'held':>5} {'misses':>7}")
    for step in LESSON:
        execution.run(step)
        lookaside = execution.lists[0]
        assert lookaside is not None
        print(
            f"{step!r:20} {lookaside.depth:5} {lookaside.current_depth:5}"
            f" {lookaside.allocate_misses:7}"
        )
    execution.finish()
