"""The address of a field is freed instead of the entry's.

Scenario: a list entry is embedded in a request, and the code frees the field's address.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    entry = lookaside.allocate() or 0
    lookaside.free(entry + 16)
    again = lookaside.allocate() or 0
    print(f"the list hands out the entry's byte {again - entry}")
