"""An entry is written after it was freed.

Scenario: a completion routine stores its status into a request that was freed meanwhile.
The write lands on the list's link, and the list hands out a forged address.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    entry = lookaside.allocate() or 0
    lookaside.free(entry)
    kernel.write(entry, (0xFFFFF80A91111110).to_bytes(8, "little"))
    lookaside.allocate()
    print(f"next on the list: {next(lookaside.entries()):#x}" if lookaside.depth else "depth 0")
