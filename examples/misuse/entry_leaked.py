"""A list is deleted while a caller still holds an entry.

Scenario: a request is still queued when the driver cleans up. Its later free goes to a
deleted list, which nobody will ever drain.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    driver = kernel.load_driver("sample.sys")
    with driver:
        lookaside = LookasideList(kernel, "Requests")
        lookaside.initialize(size=64, tag=b"Rqst")
        lookaside.allocate()
        lookaside.delete()
    driver.unload()
    print(f"{kernel.pool.usage(b'Rqst').outstanding} block is never freed")
