"""A machine of either kind that is current."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lookaside_sim import Kernel


@pytest.fixture
def current(kernel: Kernel) -> Iterator[Kernel]:
    """The test's machine, made current."""
    with kernel:
        yield kernel
