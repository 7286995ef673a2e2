"""Testing for allocators: other people's against the simulator, and code that uses one.

* `check_allocator` drives any implementation side by side with the simulator.
* Strategies, `LookasideMachine` and `operations` generate programs with Hypothesis.
* `fail_each_allocation` runs a test once for every allocation that can fail.
* The pytest plugin with its fixtures and marker loads by itself.

Hypothesis and pytest are needed only by the names that use them; install them with the extra
``lookaside_sim[testing]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lookaside_sim.testing.backend import Backend
from lookaside_sim.testing.check import check_allocator, shrink_program
from lookaside_sim.testing.checking import Allocator, run_program
from lookaside_sim.testing.conformance import AllocatorConformance
from lookaside_sim.testing.differences import AllocatorDifference
from lookaside_sim.testing.faults import FaultInjector, fail_each_allocation, with_each_fault
from lookaside_sim.testing.leaks import Leak, LeakError, LeakTracker
from lookaside_sim.testing.programs import operations_from_bytes
from lookaside_sim.testing.running import Execution, run_operations
from lookaside_sim.testing.shrinking import minimize_number, minimize_sequence
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

if TYPE_CHECKING:
    from lookaside_sim.testing.machine import STATES, LookasideMachine, state_coverage
    from lookaside_sim.testing.strategies import (
        allocator_operations,
        layouts,
        list_steps,
        operations,
        pool_types,
        sizes,
        tags,
        traces,
    )

__all__ = [
    "STATES",
    "Allocate",
    "AllocateEachSecond",
    "AllocateFree",
    "Allocator",
    "AllocatorConformance",
    "AllocatorDifference",
    "Backend",
    "Create",
    "Delete",
    "Execution",
    "Fail",
    "FaultInjector",
    "Flush",
    "Free",
    "FreeAt",
    "FreeForeign",
    "FreeTwice",
    "FreeWrongList",
    "Leak",
    "LeakError",
    "LeakTracker",
    "LookasideMachine",
    "Program",
    "SetCounters",
    "SetIrql",
    "Step",
    "Tick",
    "WriteAfterFree",
    "allocator_operations",
    "check_allocator",
    "fail_each_allocation",
    "format_program",
    "layouts",
    "list_steps",
    "minimize_number",
    "minimize_sequence",
    "operations",
    "operations_from_bytes",
    "pool_types",
    "run_operations",
    "run_program",
    "shrink_program",
    "sizes",
    "state_coverage",
    "tags",
    "traces",
    "with_each_fault",
]

# Imported when asked for: they need Hypothesis, and the others do not.
_FROM_HYPOTHESIS = {
    "LookasideMachine": "machine",
    "STATES": "machine",
    "allocator_operations": "strategies",
    "layouts": "strategies",
    "list_steps": "strategies",
    "operations": "strategies",
    "pool_types": "strategies",
    "sizes": "strategies",
    "state_coverage": "machine",
    "tags": "strategies",
    "traces": "strategies",
}


def __getattr__(name: str) -> Any:
    module = _FROM_HYPOTHESIS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
