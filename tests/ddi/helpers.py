"""Memory for the tests of routines."""

from __future__ import annotations

from lookaside_sim import Kernel


def memory(kernel: Kernel, size: int = 0x100, contents: bytes = b"") -> int:
    """A nonpaged block that begins with some bytes, zeros behind them."""
    block = kernel.pool.allocate(512, size, b"ddiT")
    assert block is not None
    kernel.write(block, contents.ljust(size, b"\0"))
    return block
