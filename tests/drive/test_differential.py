"""Compiled list code does what `LookasideList` does, byte for byte; a small version."""

from __future__ import annotations

import pytest

from tests.drive.helpers import needs_engine
from tests.fuzz.compiled import Pair
from tests.helpers import both_machines

pytestmark = needs_engine


@both_machines
@pytest.mark.parametrize("seed", range(3))
def test_random_programs_give_the_same_bytes(arch: str, seed: int) -> None:
    Pair(arch, seed).run(300)


@both_machines
def test_so_they_do_while_somebody_listens(arch: str) -> None:
    Pair(arch, 7, listened=True).run(200)
