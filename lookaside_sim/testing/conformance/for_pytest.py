"""`check_allocator` as a ready test class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from lookaside_sim.testing.conformance.check import check_allocator

__all__ = ["AllocatorConformance"]


class AllocatorConformance:
    """Inherit, name the factory, and pytest finds the tests.

    ::

        class TestMine(AllocatorConformance):
            factory = MyAllocator

    The factory may be a class, a function (a plain one is not bound to the test) or a method
    that takes ``self``, the backend and the size, if it is wrapped to do so. Mixes with
    ``unittest.TestCase`` as well.

    Attributes:
        factory: ``factory(backend, size)`` makes the allocator under test.
        level: the contract: ``"memory"``, ``"fixed"`` or ``"lookaside"``. Each includes the
            safety of memory.
        max_examples: programs to run.
        seed: chooses the random ones.
    """

    factory: ClassVar[Callable[..., Any]]
    level: ClassVar[str] = "lookaside"
    max_examples: ClassVar[int] = 200
    seed: ClassVar[int | None] = None

    def test_memory_safety(self) -> None:
        """Entries are the allocator's own, aligned, apart and kept; nothing stays behind."""
        self._check("memory")

    def test_contract(self) -> None:
        """The contract of the level, whatever it asks for beyond safety."""
        if self.level != "memory":
            self._check(self.level)

    def _check(self, level: str) -> None:
        # Read from the class, so that a plain function is not bound to the test.
        check_allocator(
            type(self).factory, level=level, max_examples=self.max_examples, seed=self.seed
        )
