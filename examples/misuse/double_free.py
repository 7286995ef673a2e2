"""An entry is freed twice.

Scenario: an error path frees what the caller frees again. The list links the entry to
itself and then hands it to two owners, who overwrite each other.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    entry = lookaside.allocate()
    lookaside.free(entry)
    lookaside.free(entry)
    first, second = lookaside.allocate(), lookaside.allocate()
    print(f"two owners of one entry: {first == second}")
