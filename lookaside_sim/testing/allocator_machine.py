"""A Hypothesis state machine over somebody's allocator, to use as it is or to subclass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from lookaside_sim.testing.extra import require

require("hypothesis")

from hypothesis import strategies as st  # noqa: E402 - checked for above
from hypothesis.stateful import (  # noqa: E402
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from lookaside_sim.testing.conformance.check import (  # noqa: E402
    is_isolated,
    run_program,
)
from lookaside_sim.testing.conformance.comparison import Comparison  # noqa: E402
from lookaside_sim.testing.conformance.contract import Contract, contract_of  # noqa: E402
from lookaside_sim.testing.conformance.differences import TIME_LIMIT, Broken  # noqa: E402
from lookaside_sim.testing.conformance.stating import check_threads  # noqa: E402
from lookaside_sim.testing.programs.example import (  # noqa: E402
    BOUNDARY_COUNTS,
    BOUNDARY_ROUNDS,
    BOUNDARY_SECONDS,
    BOUNDARY_SIZES,
)
from lookaside_sim.testing.programs.steps import (  # noqa: E402
    Allocate,
    AllocateFree,
    Create,
    Fail,
    Flush,
    Free,
    FreeAt,
    FreeForeign,
    FreeInside,
    FreeTwice,
    Program,
    Reallocate,
    Step,
    Tick,
    Together,
    split_program,
)

__all__ = ["AllocatorMachine"]

_counts = st.one_of(st.integers(1, 6), st.sampled_from(BOUNDARY_COUNTS))
_few = st.integers(1, 2)
_of_a_thread = st.lists(
    st.one_of(_few.map(Allocate), _few.map(Free), _few.map(AllocateFree)),
    min_size=1,
    max_size=4,
)
_turns = st.dictionaries(st.integers(0, 39), st.integers(0, 7), max_size=4)


class AllocatorMachine(RuleBasedStateMachine):
    """One allocator, driven by random rules, compared with its contract after each.

    ::

        class Machine(AllocatorMachine):
            factory = MyAllocator
            level = "memory"

        TestMachine = Machine.TestCase

    Subclass it to add rules; a rule runs steps with `run`. An allocator in C runs at the end of
    a run, in a process of its own.

    Attributes:
        factory: ``factory(backend, size)`` makes the allocator under test.
        level: the contract.
        contract: what it promises, instead of a level.
        isolate: whether it runs in a process of its own.
        sizes: the entry sizes it can be made for, if the contract does not say.
        alignment: what entries must be aligned to.
        flush_order: whether flush must give entries back newest first.
        threads: how many threads use it at once; more than 1 is for allocators in Python.
        time_limit: seconds without any progress after which it hangs.
        program: the steps so far.
    """

    factory: ClassVar[Callable[..., Any]]
    level: ClassVar[str] = "lookaside"
    contract: ClassVar[Contract | None] = None
    isolate: ClassVar[bool | None] = None
    sizes: ClassVar[int | Iterable[int] | None] = None
    alignment: ClassVar[int | None] = None
    flush_order: ClassVar[bool] = False
    threads: ClassVar[int] = 1
    time_limit: ClassVar[float] = TIME_LIMIT

    def __init__(self) -> None:
        super().__init__()
        kind = type(self)
        self.promised = contract_of(
            kind.level,
            kind.contract,
            alignment=kind.alignment,
            flush_order=kind.flush_order,
            sizes=kind.sizes,
        )
        check_threads(kind.threads, sized=self.promised.sized)
        self.program: Program = []
        self._reuse = False
        self._comparison: Comparison | None = None

    def run(self, step: Step) -> None:
        """Run a step on the allocator.

        Args:
            step: any for a single allocator.

        Raises:
            AllocatorDifference: it broke its contract.
        """
        self.program.append(step)
        if self._comparison is not None:
            self._checked(lambda made: made.run_step(step))

    @initialize(data=st.data(), reuse=st.booleans(), refused=st.sampled_from([None, 0, 1, 2]))
    def create(self, data: st.DataObject, reuse: bool, refused: int | None) -> None:
        """Make the allocator."""
        size = data.draw(st.sampled_from(self.promised.sizes or BOUNDARY_SIZES), "size")
        fail = None if refused is None else Fail(after=refused)
        self._reuse = reuse
        self.program = [*([fail] if fail else []), Create(size)]
        factory = type(self).factory
        if is_isolated(factory, type(self).isolate):
            return
        self._comparison = Comparison(factory, size, self.promised, reuse=reuse, refused=fail)
        if not self._checked(lambda made: made.start()):
            self._comparison = None

    @rule(count=_counts)
    def allocate(self, count: int) -> None:
        """Allocate entries and hold them."""
        self.run(Allocate(count))

    @rule(count=_counts, oldest=st.booleans())
    def free(self, count: int, oldest: bool) -> None:
        """Free entries in one order or the other."""
        self.run(Free(count, oldest=oldest))

    @rule(index=st.integers(0, 15))
    def free_at(self, index: int) -> None:
        """Free one entry out of order."""
        self.run(FreeAt(index))

    @rule(count=st.sampled_from(BOUNDARY_ROUNDS), entries=st.integers(1, 4))
    def allocate_and_free(self, count: int, entries: int) -> None:
        """Allocate and free again and again."""
        self.run(AllocateFree(count, entries=entries))

    @rule(count=st.integers(1, 4), after=st.integers(0, 3), bursts=st.integers(1, 3))
    def run_out(self, count: int, after: int, bursts: int) -> None:
        """Refuse some of the next requests for memory."""
        self.run(Fail(count, after=after, bursts=bursts))

    @rule()
    def flush(self) -> None:
        """Flush, where there is something to flush."""
        self.run(Flush())

    @rule(seconds=st.sampled_from(BOUNDARY_SECONDS))
    def tick(self, seconds: int) -> None:
        """Let time pass."""
        self.run(Tick(seconds))

    @precondition(lambda self: type(self).threads > 1)
    @rule(data=st.data(), turns=_turns)
    def run_together(self, data: st.DataObject, turns: dict[int, int]) -> None:
        """Let several threads use it, in turns."""
        count = type(self).threads
        bodies = st.lists(_of_a_thread, min_size=count, max_size=count)
        schedule = [(at, to % count) for at, to in sorted(turns.items())]
        self.run(Together(data.draw(bodies, "threads"), schedule))

    @precondition(lambda self: self.promised.sized)
    @rule(data=st.data(), count=st.integers(1, 4))
    def allocate_sized(self, data: st.DataObject, count: int) -> None:
        """Allocate entries of another size."""
        size = data.draw(st.sampled_from(self.promised.sizes or BOUNDARY_SIZES), "size")
        self.run(Allocate(count, size=size))

    @precondition(lambda self: self.promised.realloc)
    @rule(data=st.data(), index=st.integers(0, 15))
    def reallocate(self, data: st.DataObject, index: int) -> None:
        """Give an entry another size."""
        size = data.draw(st.sampled_from(self.promised.sizes or BOUNDARY_SIZES), "size")
        self.run(Reallocate(index, size))

    @precondition(
        lambda self: (
            self.promised.double_free
            or self.promised.foreign_free
            or self.promised.interior_free
        )
    )
    @rule(step=st.sampled_from([FreeTwice(), FreeForeign(), FreeInside()]))
    def misuse(self, step: Step) -> None:
        """Free something wrongly; does nothing where nothing is promised."""
        self.run(step)

    def teardown(self) -> None:
        """Free and delete everything: nothing may stay behind."""
        made, self._comparison = self._comparison, None
        if made is not None:
            try:
                made.end()
            except Broken as broken:
                raise made.difference(broken, self._steps()) from broken.__cause__
            finally:
                made.finish()
        elif self.program and is_isolated(type(self).factory, type(self).isolate):
            run_program(
                type(self).factory,
                self.program,
                contract=self.promised,
                isolate=True,
                reuse=self._reuse,
                time_limit=type(self).time_limit,
            )

    def _checked(self, call: Callable[[Comparison], Any]) -> Any:
        made = self._comparison
        assert made is not None
        try:
            return call(made)
        except Broken as broken:
            self._comparison = None
            made.finish()
            raise made.difference(broken, self._steps()) from broken.__cause__

    def _steps(self) -> Program:
        """The steps after the creation."""
        return split_program(self.program)[2]
