"""A request is written after it was freed, and the machine stops two allocations later.

Covers: Kernel.write, BugCheck. Scenario: a driver completes requests, and its cancel path
stores the status into a request that it has given back. The write lands on the link of a free
entry, and the list hands out what the link leads to. Where it stops is not where the mistake
is; ``lookaside-sim kd examples/cancelled_request.py`` goes back there.
"""

from lookaside_sim import BugCheck, Kernel

STATUS_CANCELLED = 0xFFFF_FFFF_C000_0120  # a LONG, extended to a pointer


class Driver:
    """Starts requests, completes and cancels them."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.requests = kernel.lookaside_list("mydrv!Requests")
        self.requests.initialize(size=64, tag=b"Rqst")

    def start(self, status: int) -> int:
        request = self.requests.allocate() or 0
        self.kernel.write(request, status.to_bytes(8, "little"))
        return request

    def complete(self, request: int) -> None:
        self.requests.free(request)

    def cancel(self, request: int) -> None:
        self.requests.free(request)
        self.kernel.write(request, STATUS_CANCELLED.to_bytes(8, "little"))  # too late


def main() -> None:
    driver = Driver(Kernel())
    first, second = driver.start(0), driver.start(1)
    driver.complete(first)
    driver.cancel(second)
    for status in (2, 3):
        try:
            print(f"started {driver.start(status):#x}")
        except BugCheck as stop:
            print(f"*** STOP: {stop}")


if __name__ == "__main__":
    main()
