"""A driver is unloaded and its list is not deleted.

Scenario: the unload routine forgets the list. The next depth scan follows a link into memory
that is gone.
"""

from lookaside_sim import Kernel, LookasideList


def misuse(kernel: Kernel) -> None:
    driver = kernel.load_driver("sample.sys")
    with driver:
        LookasideList(kernel, "Requests").initialize(size=64, tag=b"Rqst")
    driver.unload()
    print("unloaded")
    kernel.tick(3)
