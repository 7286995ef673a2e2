"""Machines whose SLISTs count pushes: on x86 that word is CpuId from Windows 8.1 on."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel


@pytest.fixture
def kernel(arch: str) -> Kernel:
    """A kernel of each architecture, of the last version whose SLISTs count on both."""
    return Kernel(arch, windows="8")
