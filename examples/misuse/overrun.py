"""A write runs past the end of an entry.

Scenario: a string is copied with its terminating zero into a buffer without room for it. The
zero lands in the header of the block behind, which nobody looks at while the list has room.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Names")
    lookaside.initialize(size=64, tag=b"Name")
    entry = lookaside.allocate() or 0
    kernel.write(entry, b"x" * 64 + b"\0")
    lookaside.free(entry)
    print("the entry is on the list again" if lookaside.current_depth else "back in the pool")
