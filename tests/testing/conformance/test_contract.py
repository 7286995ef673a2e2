from __future__ import annotations

import pytest

from lookaside_sim.testing import Backend
from lookaside_sim.testing.conformance.contract import (
    LEVELS,
    Factory,
    check_level,
    check_methods,
)
from tests.testing.allocators import FixedSlab, Passthrough, ReferenceList

FULL: dict[str, Factory] = {
    "memory": Passthrough,
    "fixed": FixedSlab,
    "lookaside": ReferenceList,
}


@pytest.mark.parametrize("level", LEVELS)
def test_an_allocator_needs_the_methods_of_its_level(level: str) -> None:
    check_level(level)
    made = FULL[level](Backend(32), 32)
    check_methods(made, level)
    check_methods(made, "memory")
    for name in ("allocate", "free", "delete"):
        broken = FULL[level](Backend(32), 32)
        setattr(broken, name, None)
        with pytest.raises(TypeError, match=f"level '{level}' asks for {name}, which"):
            check_methods(broken, level)


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(TypeError, match="allocate_layout, grow, shrink, which"):
        check_methods(Passthrough(Backend(32), 32), "fixed")


@pytest.mark.parametrize("level", ["Memory", "", "kernel"])
def test_there_are_three_levels(level: str) -> None:
    with pytest.raises(ValueError, match="give one of memory, fixed, lookaside"):
        check_level(level)
