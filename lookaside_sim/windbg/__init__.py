"""Text views in the debugger's layouts.

They only look, so they also work on a machine that has stopped, as a debugger does.
"""

from lookaside_sim.windbg.lookaside import (
    lookaside,
    lookasides,
    pool_type_name,
    printable,
    reset_counters,
    set_depth,
)
from lookaside_sim.windbg.pool import (
    PoolRow,
    pool,
    pool_rows,
    poolfind,
    pplookaside,
)
from lookaside_sim.windbg.tables import pool_big_page_table, pool_track_table
from lookaside_sim.windbg.usage import poolmon, poolmon_row, poolused, poolused_text
from lookaside_sim.windbg.verifier import (
    DriverReport,
    VerifierReport,
    verifier,
    verifier_report,
    verifier_text,
)

__all__ = [
    "DriverReport",
    "PoolRow",
    "VerifierReport",
    "lookaside",
    "lookasides",
    "pool",
    "pool_big_page_table",
    "pool_rows",
    "pool_track_table",
    "pool_type_name",
    "poolfind",
    "poolmon",
    "poolmon_row",
    "poolused",
    "poolused_text",
    "pplookaside",
    "printable",
    "reset_counters",
    "set_depth",
    "verifier",
    "verifier_report",
    "verifier_text",
]
