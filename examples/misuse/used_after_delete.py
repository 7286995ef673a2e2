"""A list is used after it was deleted.

Scenario: a timer routine runs once more after the cleanup. The list still works, and what is
freed to it is lost.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    lookaside.delete()
    lookaside.free(lookaside.allocate())
    print(f"blocks lost on a deleted list: {kernel.pool.usage(b'Rqst').outstanding}")
