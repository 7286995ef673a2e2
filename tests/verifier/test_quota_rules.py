"""What Driver Verifier demands of quota."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, Verifier, VerifierFlags, ddi
from tests.helpers import VIOLATION, stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


def test_quota_is_not_charged_to_the_idle_process() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel, kernel.processes.running(kernel.processes.idle):
        ddi.ExAllocatePoolWithTag(0, 24, b"Test")
        stop = stop_of(lambda: ddi.ExAllocatePoolWithQuotaTag(0, 24, b"Test"))
    assert (stop.code, stop.parameters) == (VIOLATION, (0x10A, 0, 0, 0))


def test_quota_is_not_charged_in_a_dpc_routine() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process):
        with kernel.in_dpc():
            assert kernel.irql == 2
            stop = stop_of(lambda: ddi.ExAllocatePoolWithQuotaTag(0, 24, b"Test"))
        assert (stop.code, stop.parameters) == (VIOLATION, (0x10B, 0, 0, 0))


def test_another_processors_dpc_does_not_matter() -> None:
    kernel = Kernel(verifier=AUTOMATIC, processors=2)
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process), kernel.in_dpc(), kernel.on_processor(1):
        assert not kernel.machine.processors.in_dpc
        assert ddi.ExAllocatePoolWithQuotaTag(0, 24, b"Test")
    assert not kernel.machine.processors.in_dpc


@pytest.mark.parametrize("place", ["idle", "dpc"])
def test_without_the_verifier_nobody_looks(place: str) -> None:
    kernel = Kernel()
    around = (
        kernel.in_dpc() if place == "dpc" else kernel.processes.running(kernel.processes.idle)
    )
    with kernel, around:
        assert ddi.ExAllocatePoolWithQuotaTag(0, 24, b"Test")
