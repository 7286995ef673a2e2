"""`check_allocator` as a ready test class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from lookaside_sim.testing.conformance.check import check_allocator
from lookaside_sim.testing.conformance.contract import Contract, contract_of
from lookaside_sim.testing.conformance.differences import TIME_LIMIT

__all__ = ["AllocatorConformance"]


class AllocatorConformance:
    """Inherit, name the factory, and pytest finds the tests.

    ::

        class TestMine(AllocatorConformance):
            factory = MyAllocator

    The factory may be a class, a function (a plain one is not bound to the test) or a method
    that takes ``self``, the backend and the size, if it is wrapped to do so. Mixes with
    ``unittest.TestCase`` as well.

    Every other attribute is an argument of `check_allocator`.

    Attributes:
        factory: ``factory(backend, size)`` makes the allocator under test.
        level: the contract: ``"memory"``, ``"fixed"`` or ``"lookaside"``. Each includes the
            safety of memory.
        contract: what it promises, instead of a level.
        isolate: whether it runs in a process of its own.
        sizes: the entry sizes it can be made for.
        max_examples: programs to run.
        seed: chooses the random ones.
        alignment: what entries must be aligned to.
        flush_order: whether flush must give entries back newest first.
        threads: how many threads use it at once.
        time_limit: seconds after which it hangs.
    """

    factory: ClassVar[Callable[..., Any]]
    level: ClassVar[str] = "lookaside"
    contract: ClassVar[Contract | None] = None
    isolate: ClassVar[bool | None] = None
    sizes: ClassVar[int | Iterable[int] | None] = None
    max_examples: ClassVar[int | None] = None
    seed: ClassVar[int | None] = None
    alignment: ClassVar[int | None] = None
    flush_order: ClassVar[bool] = False
    threads: ClassVar[int] = 1
    time_limit: ClassVar[float] = TIME_LIMIT

    def test_memory_safety(self) -> None:
        """Entries are the allocator's own, aligned, apart and kept; nothing stays behind."""
        promised = self._promised()
        # What says how it must be called stays; what it does beyond safety goes.
        safety = Contract(
            sizes=promised.sizes,
            sized=promised.sized,
            aligned=promised.aligned,
            realloc=promised.realloc,
            alignment=promised.alignment if self.contract or self.alignment else None,
            memory=promised.memory,
            gives_back=promised.gives_back,
        )
        self._check(safety)

    def test_contract(self) -> None:
        """All that its contract promises."""
        self._check(self._promised())

    def _promised(self) -> Contract:
        return contract_of(
            self.level,
            self.contract,
            alignment=self.alignment,
            flush_order=self.flush_order,
            sizes=self.sizes,
        )

    def _check(self, contract: Contract) -> None:
        # Read from the class, so that a plain function is not bound to the test.
        check_allocator(
            type(self).factory,
            contract=contract,
            isolate=self.isolate,
            max_examples=self.max_examples,
            seed=self.seed,
            threads=self.threads,
            time_limit=self.time_limit,
        )
