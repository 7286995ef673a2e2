"""A list is deleted twice.

Scenario: both the error path and the unload routine clean up. Even without any tool the
system-wide list's links give it away.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    lookaside.delete()
    lookaside.delete()
