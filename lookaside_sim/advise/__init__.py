"""Which allocations should become a lookaside list? Answered from a trace, without a machine.

Lists do not influence each other's hits, so one pass answers for every size at once. See
docs/advice.md.
"""

from lookaside_sim.advise.advice import Advice, Row, advise
from lookaside_sim.advise.bounds import Bounds, bounds
from lookaside_sim.advise.curves import curves
from lookaside_sim.advise.depths import AllDepths, all_depths
from lookaside_sim.advise.policy import Policy
from lookaside_sim.advise.results import Outcome
from lookaside_sim.advise.sweep import policies, sweep
from lookaside_sim.advise.view import as_values, table

__all__ = [
    "Advice",
    "AllDepths",
    "Bounds",
    "Outcome",
    "Policy",
    "Row",
    "advise",
    "all_depths",
    "as_values",
    "bounds",
    "curves",
    "policies",
    "sweep",
    "table",
]
