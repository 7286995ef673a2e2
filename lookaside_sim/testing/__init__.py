"""Testing for allocators: other people's against the simulator, and code that uses one.

* `check_allocator` drives any implementation side by side with the simulator.
* Strategies, `LookasideMachine` and `operations` generate programs with Hypothesis.
* `fail_each_allocation` runs a test once for every allocation that can fail.
* The pytest plugin with its fixtures and marker loads by itself.

Hypothesis and pytest are needed only by the names that use them; install them with the extra
``lookaside_sim[testing]``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from lookaside_sim.rooms import door

if TYPE_CHECKING:
    from lookaside_sim.testing.allocator_machine import AllocatorMachine
    from lookaside_sim.testing.conformance.allocator import Allocator
    from lookaside_sim.testing.conformance.backend import Backend
    from lookaside_sim.testing.conformance.check import (
        check_allocator,
        run_program,
        shrink_program,
    )
    from lookaside_sim.testing.conformance.contract import Contract
    from lookaside_sim.testing.conformance.differences import AllocatorDifference
    from lookaside_sim.testing.conformance.for_pytest import AllocatorConformance
    from lookaside_sim.testing.conformance.wanted import operations_from_bytes
    from lookaside_sim.testing.each_fault import fail_each_allocation, with_each_fault
    from lookaside_sim.testing.execution import Execution, run_operations
    from lookaside_sim.testing.faults import FaultInjector, Refusal
    from lookaside_sim.testing.leaks import Leak, LeakError, LeakTracker
    from lookaside_sim.testing.programs.drawn import reuse_from_bytes
    from lookaside_sim.testing.programs.steps import (
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
        FreeInside,
        FreeTwice,
        FreeWrongList,
        Program,
        Reallocate,
        SetCounters,
        SetIrql,
        Step,
        Tick,
        Together,
        WriteAfterFree,
        format_program,
    )
    from lookaside_sim.testing.reduce.minimize import minimize_number, minimize_sequence
    from lookaside_sim.testing.state_machine import LookasideMachine
    from lookaside_sim.testing.states import STATES, state_coverage
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
    "AllocatorMachine",
    "Backend",
    "Contract",
    "Create",
    "Delete",
    "Execution",
    "Fail",
    "FaultInjector",
    "Flush",
    "Free",
    "FreeAt",
    "FreeForeign",
    "FreeInside",
    "FreeTwice",
    "FreeWrongList",
    "Leak",
    "LeakError",
    "LeakTracker",
    "LookasideMachine",
    "Program",
    "Reallocate",
    "Refusal",
    "SetCounters",
    "SetIrql",
    "Step",
    "Tick",
    "Together",
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
    "reuse_from_bytes",
    "run_operations",
    "run_program",
    "shrink_program",
    "sizes",
    "state_coverage",
    "tags",
    "traces",
    "with_each_fault",
]

_ROOMS = {
    "Allocate": "programs.steps",
    "AllocateEachSecond": "programs.steps",
    "AllocateFree": "programs.steps",
    "Allocator": "conformance.allocator",
    "AllocatorConformance": "conformance.for_pytest",
    "AllocatorDifference": "conformance.differences",
    "AllocatorMachine": "allocator_machine",
    "Backend": "conformance.backend",
    "Contract": "conformance.contract",
    "Create": "programs.steps",
    "Delete": "programs.steps",
    "Execution": "execution",
    "Fail": "programs.steps",
    "FaultInjector": "faults",
    "Flush": "programs.steps",
    "Free": "programs.steps",
    "FreeAt": "programs.steps",
    "FreeForeign": "programs.steps",
    "FreeInside": "programs.steps",
    "FreeTwice": "programs.steps",
    "FreeWrongList": "programs.steps",
    "Leak": "leaks",
    "LeakError": "leaks",
    "LeakTracker": "leaks",
    "LookasideMachine": "state_machine",
    "Program": "programs.steps",
    "Reallocate": "programs.steps",
    "Refusal": "faults",
    "STATES": "states",
    "SetCounters": "programs.steps",
    "SetIrql": "programs.steps",
    "Step": "programs.steps",
    "Tick": "programs.steps",
    "Together": "programs.steps",
    "WriteAfterFree": "programs.steps",
    "allocator_operations": "strategies",
    "check_allocator": "conformance.check",
    "fail_each_allocation": "each_fault",
    "format_program": "programs.steps",
    "layouts": "strategies",
    "list_steps": "strategies",
    "minimize_number": "reduce.minimize",
    "minimize_sequence": "reduce.minimize",
    "operations": "strategies",
    "operations_from_bytes": "conformance.wanted",
    "pool_types": "strategies",
    "reuse_from_bytes": "programs.drawn",
    "run_operations": "execution",
    "run_program": "conformance.check",
    "shrink_program": "conformance.check",
    "sizes": "strategies",
    "state_coverage": "states",
    "tags": "strategies",
    "traces": "strategies",
    "with_each_fault": "each_fault",
}

_WITH_HYPOTHESIS = {"allocator_machine", "state_machine", "states", "strategies"}
if not TYPE_CHECKING and find_spec("hypothesis") is None:
    # ``import *`` takes what is there; asked for by name, the others say what they need.
    __all__[:] = [name for name in __all__ if _ROOMS[name] not in _WITH_HYPOTHESIS]

__getattr__ = door(__name__, _ROOMS, globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
