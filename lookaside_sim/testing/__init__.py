"""Testing for allocators: other people's against the simulator, and code that uses one.

* `check_allocator` drives any implementation side by side with the simulator.
* Strategies, `LookasideMachine` and `operations` generate programs with Hypothesis.
* `fail_each_allocation` runs a test once for every allocation that can fail.
* The pytest plugin with its fixtures and marker loads by itself.

Hypothesis and pytest are needed only by the names that use them; install them with the extra
``lookaside_sim[testing]``.
"""

from lookaside_sim.testing.backend import Backend
from lookaside_sim.testing.check import check_allocator, shrink_program
from lookaside_sim.testing.checking import Allocator, run_program
from lookaside_sim.testing.conformance import AllocatorConformance
from lookaside_sim.testing.differences import AllocatorDifference
from lookaside_sim.testing.programs import operations_from_bytes
from lookaside_sim.testing.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Create,
    Delete,
    Fail,
    Flush,
    Free,
    FreeAt,
    FreeForeign,
    FreeTwice,
    FreeWrongList,
    Program,
    SetCounters,
    SetIrql,
    Step,
    Tick,
    WriteAfterFree,
    format_program,
)

__all__ = [
    "Allocate",
    "AllocateEachSecond",
    "AllocateFree",
    "Allocator",
    "AllocatorConformance",
    "AllocatorDifference",
    "Backend",
    "Create",
    "Delete",
    "Fail",
    "Flush",
    "Free",
    "FreeAt",
    "FreeForeign",
    "FreeTwice",
    "FreeWrongList",
    "Program",
    "SetCounters",
    "SetIrql",
    "Step",
    "Tick",
    "WriteAfterFree",
    "check_allocator",
    "format_program",
    "operations_from_bytes",
    "run_program",
    "shrink_program",
]
