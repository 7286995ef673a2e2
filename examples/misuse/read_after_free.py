"""An entry is read after it was freed.

Scenario: the length of a freed request is logged. It is stale, or the next owner's.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    entry = lookaside.allocate() or 0
    kernel.write(entry + 8, b"secret")
    lookaside.free(entry)
    print(f"the freed entry still says {kernel.read(entry + 8, 6)!r}")
