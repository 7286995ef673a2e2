"""An entry is freed to another list.

Scenario: two request types, two lists; a small entry comes back to the list of large ones,
which hands it out as a large one.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    small, large = LookasideList(kernel, "Small"), LookasideList(kernel, "Large")
    small.initialize(size=32, tag=b"Smal")
    large.initialize(size=256, tag=b"Larg")
    large.free(small.allocate())
    entry = large.allocate()
    block = kernel.pool.query(entry or 0)
    print(f"a 256-byte entry with room for {block.size if block else 0} bytes")
