"""What runs machine instructions, as the rest of this folder sees it.

An engine is a processor core and nothing else: no memory of its own, no operating system. It
asks for each page that it meets (`Events.fill`) and is told where in its *physical* addresses,
which are this folder's invention, the page lies and what it permits; buffers are lent to it at
such addresses. One module knows a particular engine: `lookaside_sim.drive.unicorn_engine`.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from enum import IntEnum
from typing import Final, Protocol

import attrs

PERMIT_READ: Final = 1
PERMIT_WRITE: Final = 2
PERMIT_EXECUTE: Final = 4

TRAP_PORT: Final = 0x2E
"""An ``out`` instruction to this port is what the stubs of imports tell with."""

HOLE: Final = 0xF_0000_0000_0000
"""A physical address from which on nothing is ever lent: a touch there is a fault."""
HOLE_MASK: Final = (1 << 48) - 1
"""Bits of a virtual address that a physical address above `HOLE` keeps."""


class Register(IntEnum):
    """The registers, by their number in an instruction; on x86 the lower halves of the first 8."""

    AX = 0
    CX = 1
    DX = 2
    BX = 3
    SP = 4
    BP = 5
    SI = 6
    DI = 7
    R8 = 8
    R9 = 9
    R10 = 10
    R11 = 11
    R12 = 12
    R13 = 13
    R14 = 14
    R15 = 15
    IP = 16
    FLAGS = 17


GENERAL: Final = tuple(each for each in Register if each < Register.IP)


@attrs.frozen
class Fault(Exception):  # noqa: N818 - what happened, not an error of anybody's
    """An instruction that could not be run; nothing after it was.

    Attributes:
        operation: READ, WRITE or EXECUTE, as `lookaside_sim.memory.touch` has them; None where
            the instruction itself is at fault.
        physical: where, in an engine's physical addresses above `HOLE`.
        size: bytes of the access.
        value: what was to be written.
    """

    operation: int | None
    physical: int = 0
    size: int = 1
    value: int = 0


class StoppedEarlyError(Exception):
    """A run ended before it came where it should end.

    Args:
        is_late: whether its time is over; else the code has halted the processor.
    """

    def __init__(self, *, is_late: bool) -> None:
        super().__init__(is_late)
        self.is_late = is_late


class Events(Protocol):
    """Whom an engine asks and tells. What these raise ends the run and leaves `Engine.run`."""

    def engine_made(self) -> None:
        """A core is there: lend it what it will need first."""

    def fill(self, address: int, operation: int) -> tuple[int, int]:
        """Say where a page lies that code touches, and what it permits.

        Args:
            address: in the page.
            operation: READ, WRITE or EXECUTE.

        Returns:
            Its physical address, and `PERMIT_READ` and the like.
        """

    def trap(self, number: int) -> None:
        """An ``out`` to `TRAP_PORT` was run, with a number in eax."""

    def interrupt(self, number: int) -> None:
        """An interrupt or exception of the processor; IP is on the instruction or behind it."""


class Engine(Protocol):
    """A processor core."""

    def lend(self, physical: int, buffer: bytearray | mmap.mmap) -> None:
        """Let a buffer of whole pages be memory at a physical address."""

    def take_back(self, physical: int) -> None:
        """Let it be memory no more."""

    def serve(
        self,
        physical: int,
        read: Callable[[int, int], int],
        write: Callable[[int, int, int], None],
    ) -> None:
        """Let functions stand for a physical page.

        Args:
            physical: its address.
            read: called with offset and size; gives the value.
            write: called with offset, size and value.
        """

    def forget_pages(self) -> None:
        """Ask again for each page."""

    def get(self, register: Register) -> int:
        """Read a register."""

    def put(self, register: Register, value: int) -> None:
        """Write a register."""

    def set_processor_block(self, address: int, descriptors: int) -> None:
        """Have gs (x64) or fs (x86) point at the processor's control block.

        Args:
            address: of the block.
            descriptors: of the table of segment descriptors, which only x86 has: code, data and
                the block's segment are its entries 1 to 3.
        """

    def stop_at(self, address: int, reached: Callable[[], None]) -> None:
        """Have a function called each time before the instruction at an address runs.

        It may change any register but IP, for which there is `go_on_at`.
        """

    def go_on_at(self, address: int) -> None:
        """Have the run go on elsewhere; only from a function that `stop_at` has called."""

    def tell_stores(self, stored: Callable[[int, int, int], None] | None, first: int) -> None:
        """Have a function called before each store to a page that is lent, or none any more.

        Args:
            stored: called with the physical address, the size and the value; IP is on the
                instruction. None where nobody wants to know.
            first: the physical address from which on it is.
        """

    def run(self, start: int, until: int, microseconds: int) -> None:
        """Run instructions; also inside a function that a run calls.

        Args:
            start: where the first one lies.
            until: address at which the run ends.
            microseconds: how long it may take; 0 for ever.

        Raises:
            Fault: an instruction could not be run; IP is on it.
            StoppedEarlyError: the time is over, or the processor halts.
        """
