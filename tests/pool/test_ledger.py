"""The ledger of live blocks and of the last frees."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
)
from tests.helpers import allocated, stop_of


def test_what_is_no_address_is_refused() -> None:
    kernel = Kernel(track_pool=True)
    for bad in ("x", 1.5):
        with pytest.raises(TypeError):
            kernel.pool.free(bad)  # type: ignore[arg-type]
    allocated(kernel)
    stop = stop_of(lambda: kernel.pool.free(kernel.pool.nonpaged.base + 0x1018))
    assert stop.code is BugCheckCode.BAD_POOL_CALLER


def test_the_ledger_forgets_the_oldest_frees() -> None:
    from lookaside_sim.pool import ledger

    kernel = Kernel(track_pool=True)
    assert kernel.ledger is not None
    site = kernel.machine.program.call_site()
    for address in range(ledger.LOG_ENTRIES + 1):
        kernel.ledger.add(address, 1, 1, 0, None, site)
        kernel.ledger.remove(address, site)
    assert len(kernel.ledger.freed) == ledger.LOG_ENTRIES
    assert 0 not in kernel.ledger.freed
    assert kernel.ledger.describe(0) == "the block at 0x0"
