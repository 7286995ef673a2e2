"""Every kind of call a run can hold, in one table.

Whatever `Hooks.listen` tells has a row here, and a test walks all classes of calls to see that
none is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lookaside_sim.run.kind import Kind
from lookaside_sim.run.kinds_of_lists import LISTS
from lookaside_sim.run.kinds_of_machine import MACHINE
from lookaside_sim.run.kinds_of_pool import POOL
from lookaside_sim.run.kinds_of_routines import ROUTINE
from lookaside_sim.run.kinds_of_system import SYSTEM

KINDS: Final[Mapping[str, Kind]] = {
    each.call.__name__: each for each in (*LISTS, *POOL, *MACHINE, *SYSTEM, *ROUTINE)
}
"""By the name of the call's class, which is what files say."""
