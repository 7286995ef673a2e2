"""The shell ``kd``: a debugger's commands on a run, with time travel, or on a live machine.

Text in, text out: `Session.execute`. Pipe, terminal, notebook and tests all use this one method.
"""

from lookaside_sim.kd.session import Session

__all__ = ["Session"]
