"""An active list is initialized again.

Scenario: a device is restarted without a stop. Its entries are lost, and the system-wide
list runs in a ring.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    lookaside.free(lookaside.allocate())
    lookaside.initialize(size=64, tag=b"Rqst")
    print(f"{kernel.pool.usage(b'Rqst').outstanding} block is lost")
