"""For a fuzzer: programs from bytes, and a crash cut down to what matters.

Covers: operations_from_bytes, run_program, shrink_program.
Scenario: a coverage-guided fuzzer hands over bytes. Here they come from a fixed sequence, so
that the example prints the same every time; see docs/testing.md for atheris and HypoFuzz.
"""

from lookaside_sim.testing import (
    AllocatorDifference,
    Backend,
    format_program,
    operations_from_bytes,
    run_program,
    shrink_program,
)
from lookaside_sim.testing.adapters import FreeList


class Buggy(FreeList):
    """Hands out an entry twice when eight were freed in between."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.frees = 0

    def free(self, address: int) -> None:
        super().free(address)
        self.frees += 1
        if self.frees % 8 == 0:
            super().free(address)


def one_input(data: bytes) -> None:
    """What a fuzzer calls: any bytes are a program, and only a real difference raises."""
    run_program(Buggy, operations_from_bytes(data), level="memory")


if __name__ == "__main__":
    for number in range(1000):
        data = (number * 0x9E3779B97F4A7C15 % (1 << 256)).to_bytes(32, "little")
        try:
            one_input(data)
        except AllocatorDifference:
            print(f"input {number} is a program of {len(operations_from_bytes(data))} steps")
            smallest = shrink_program(Buggy, operations_from_bytes(data), level="memory")
            assert smallest is not None
            print(f"reduced to {len(smallest.program)}: {smallest.what}")
            print(format_program(smallest.program))
            break
