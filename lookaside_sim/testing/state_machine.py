"""A Hypothesis state machine over a whole machine, to use as it is or to subclass."""

from __future__ import annotations

from typing import Any, Final

from lookaside_sim.testing.extra import require

require("hypothesis")

from hypothesis import event  # noqa: E402 - checked for above
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import (  # noqa: E402
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from lookaside_sim.kernel import Kernel  # noqa: E402
from lookaside_sim.lookaside.list import LookasideList  # noqa: E402
from lookaside_sim.lookaside.tuning import SCAN_PERIOD  # noqa: E402
from lookaside_sim.nt.types import (  # noqa: E402
    ULONG_MASK,
    Irql,
    NtStatus,
    PoolTag,
    PoolType,
)
from lookaside_sim.testing.counters import set_counters  # noqa: E402
from lookaside_sim.testing.faults import FaultInjector  # noqa: E402
from lookaside_sim.testing.list_model import LEAST_DEPTH, ListModel  # noqa: E402
from lookaside_sim.testing.strategies import pool_types, sizes, tags  # noqa: E402

__all__ = ["LookasideMachine"]

_MOST_LISTS: Final = 4


class LookasideMachine(RuleBasedStateMachine):
    """Lists on one kernel, driven by random rules, compared with a model after each.

    Subclass it to add rules and invariants; ``self.kernel``, ``self.models`` and the bundles
    are there. Override `make_kernel` for another machine, and `reached` to hear which of
    `STATES` a run comes to; ``--hypothesis-show-statistics`` counts them, and
    `state_coverage` returns the counts.
    """

    lists: Bundle[LookasideList] = Bundle("lists")
    entries: Bundle[tuple[LookasideList, int]] = Bundle("entries")
    freed: Bundle[tuple[LookasideList, int]] = Bundle("freed")

    def __init__(self) -> None:
        super().__init__()
        self.kernel = self.make_kernel()
        self.faults = FaultInjector(self.kernel)
        self.models: dict[LookasideList, ListModel] = {}
        self._seen: set[str] = set()
        self.orphans: list[int] = []
        """Entries whose list was deleted while they were held: pool blocks from then on."""

    def make_kernel(self) -> Kernel:
        """Make the machine of one run."""
        return Kernel()

    def reached(self, state: str) -> None:
        """Take note that the run came to one of `STATES`, for the first time."""
        event(state)

    def _reach(self, state: str) -> None:
        if state not in self._seen:
            self._seen.add(state)
            self.reached(state)

    # --- lists -----------------------------------------------------------------------------

    @initialize(target=lists)
    def create_first(self) -> LookasideList:
        """Begin with one plain list."""
        return self._create(PoolType.NonPagedPool, 32, PoolTag(b"tseT"), 0, 0)

    @precondition(lambda self: len(self.models) < _MOST_LISTS)
    @rule(
        target=lists,
        pool_type=pool_types(),
        size=sizes(max_size=512),
        tag=tags(),
        flags=st.sampled_from([0, 2]),
        depth=st.sampled_from([0, 256, 300]),
    )
    def create(
        self, pool_type: PoolType, size: int, tag: PoolTag, flags: int, depth: int
    ) -> LookasideList:
        """Make another list."""
        return self._create(pool_type, size, tag, flags, depth)

    @rule(depth=st.sampled_from([1, 255, 1025]))
    def create_refused(self, depth: int) -> None:
        """A list that cannot be made is not made."""
        made = LookasideList(self.kernel)
        status = made.initialize(size=32, tag=b"tseT", depth=depth)
        assert status == NtStatus.STATUS_INVALID_PARAMETER_8
        assert made not in self.kernel.lookaside_lists
        self._reach("initialization refused")

    @precondition(lambda self: len(self.models) > 1)
    @rule(lookaside=consumes(lists))
    def delete(self, lookaside: LookasideList) -> None:
        """Delete a list; entries that are held stay with their holders."""
        model = self.models.pop(lookaside)
        if not self._usable(model):
            self.kernel.lower_irql(Irql.APC_LEVEL)
        lookaside.delete()
        if model.held:
            self._reach("delete with entries held")
        self.orphans += model.held

    @rule(lookaside=lists)
    def flush(self, lookaside: LookasideList) -> None:
        """Flush: free entries go, counters stay."""
        model = self.models.get(lookaside)
        if model is None or not self._usable(model):
            return
        if model.free and model.held:
            self._reach("flush with entries held")
        lookaside.flush()
        model.free.clear()
        self.kernel.check()

    # --- entries ---------------------------------------------------------------------------

    @rule(target=entries, lookaside=lists)
    def allocate(
        self, lookaside: LookasideList
    ) -> tuple[LookasideList, int] | MultipleResults[Any]:
        """Allocate one entry, which other rules may then pick."""
        entry = self._allocate(lookaside)
        return multiple() if entry is None else (lookaside, entry)

    @rule(lookaside=lists, count=st.sampled_from([4, 5, 74, 75, 76, 95]))
    def allocate_many(self, lookaside: LookasideList, count: int) -> None:
        """Allocate entries and hold them."""
        for _ in range(count):
            self._allocate(lookaside)

    @rule(target=freed, held=consumes(entries))
    def free(
        self, held: tuple[LookasideList, int]
    ) -> tuple[LookasideList, int] | MultipleResults[Any]:
        """Free one entry, if a bulk rule did not free it before."""
        lookaside, entry = held
        model = self.models.get(lookaside)
        if model is None or entry not in model.held or not self._usable(model):
            return multiple()
        self._free(lookaside, model, entry)
        return held

    @rule(lookaside=lists, count=st.integers(1, 100), oldest=st.booleans())
    def free_many(self, lookaside: LookasideList, count: int, oldest: bool) -> None:
        """Free entries in one order or the other."""
        self._free_some(lookaside, count, oldest=oldest)

    def _free_some(self, lookaside: LookasideList, count: int | None, *, oldest: bool) -> None:
        model = self.models.get(lookaside)
        if model is None or not self._usable(model):
            return
        held = list(model.held)
        chosen = held[:count] if oldest else held[::-1][:count]
        for entry in chosen:
            self._free(lookaside, model, entry)

    @rule(lookaside=lists, count=st.sampled_from([1, 70, 75, 200, 249]))
    def allocate_and_free(self, lookaside: LookasideList, count: int) -> None:
        """Allocate and free, so that all but the first are hits."""
        self._allocate_and_free(lookaside, count)

    def _allocate_and_free(self, lookaside: LookasideList, count: int) -> None:
        model = self.models.get(lookaside)
        if model is None:
            return
        for _ in range(count):
            entry = self._allocate(lookaside)
            if entry is not None:
                self._free(lookaside, model, entry)

    @rule(held=freed)
    def look_at_freed(self, held: tuple[LookasideList, int]) -> None:
        """A freed entry is on its list, given back to the pool, or in use again."""
        lookaside, entry = held
        model = self.models.get(lookaside)
        if model is not None and entry in model.free:
            assert entry in list(lookaside.entries())

    # --- the machine -----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 2, 3, 3, 4, 6]))
    def tick(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self._tick()

    @rule(lookaside=lists, seconds=st.sampled_from([3, 12, 31, 34]))
    def load(self, lookaside: LookasideList, seconds: int) -> None:
        """A load of misses for some seconds, which raises the depth."""
        for _ in range(seconds):
            for _ in range(25):
                self._allocate(lookaside)
            self._tick()

    @rule(lookaside=lists, seconds=st.sampled_from([6, 12]))
    def calm_load(self, lookaside: LookasideList, seconds: int) -> None:
        """A load that hardly misses, which lowers the depth slowly."""
        for _ in range(seconds):
            self._allocate_and_free(lookaside, 70)
            self._tick()

    @rule(lookaside=lists)
    def fall_idle(self, lookaside: LookasideList) -> None:
        """Free everything, then do nothing: entries stay while the depth falls."""
        self._free_some(lookaside, None, oldest=True)
        for _ in range(6):
            self._tick()

    @rule(lookaside=lists, count=st.integers(1, 5))
    def run_out(self, lookaside: LookasideList, count: int) -> None:
        """Find the pool exhausted for some requests."""
        self.faults.fail_next(count)
        for _ in range(count + 1):
            self._allocate(lookaside)
        self.faults.clear()

    @rule(lookaside=lists, value=st.sampled_from([ULONG_MASK, ULONG_MASK - 3]))
    def bring_counters_to_their_wrap(self, lookaside: LookasideList, value: int) -> None:
        """Set the counters to just before they wrap."""
        model = self.models.get(lookaside)
        if model is None:
            return
        set_counters(self.kernel, lookaside, value)
        model.set_counters(value)

    @rule(level=st.sampled_from([0, 0, 0, 1, 2]))
    def set_irql(self, level: int) -> None:
        """Raise or lower the IRQL; paged lists rest while it is above APC_LEVEL."""
        if level > self.kernel.irql:
            self.kernel.raise_irql(level)
            self._reach("raised IRQL")
        else:
            self.kernel.lower_irql(level)

    # --- invariants ------------------------------------------------------------------------

    @invariant()
    def lists_are_as_modeled(self) -> None:
        """Counters, depth and entries are the model's."""
        for lookaside, model in self.models.items():
            assert lookaside.total_allocates == model.total_allocates
            assert lookaside.allocate_misses == model.allocate_misses
            assert lookaside.total_frees == model.total_frees
            assert lookaside.free_misses == model.free_misses
            assert lookaside.depth == model.depth
            assert lookaside.current_depth == len(model.free)
            if len(model.free) == model.depth:
                self._reach("list full")
            elif not model.free:
                self._reach("list empty")
            elif len(model.free) > model.depth:
                self._reach("more entries than the depth")

    @invariant()
    def only_active_lists_are_registered(self) -> None:
        """The system-wide lists hold every list once."""
        assert set(self.kernel.lookaside_lists) == set(self.models)

    def teardown(self) -> None:
        """Free and delete everything: nothing may stay behind."""
        if self.kernel.bugcheck is not None:
            return
        self.kernel.lower_irql(Irql.PASSIVE_LEVEL)
        for lookaside, model in list(self.models.items()):
            while model.held:
                self._free(lookaside, model, next(reversed(model.held)))
            lookaside.delete()
        for entry in self.orphans:
            self.kernel.pool.free(entry)
        self.kernel.check()
        for row in self.kernel.pool.tags().values():
            assert row.nonpaged_allocs == row.nonpaged_frees
            assert row.paged_allocs == row.paged_frees

    # --- one call on both sides --------------------------------------------------------------

    def _create(
        self, pool_type: PoolType, size: int, tag: PoolTag, flags: int, depth: int
    ) -> LookasideList:
        made = LookasideList(self.kernel)
        status = made.initialize(
            pool_type=pool_type, size=size, tag=tag, flags=flags, depth=depth
        )
        assert status.is_success
        self.models[made] = ListModel(depth or 256, pool_type.is_paged)
        if len(self.models) > 1:
            self._reach("several lists")
        if pool_type.is_paged:
            self._reach("paged list")
        return made

    def _usable(self, model: ListModel) -> bool:
        return not model.paged or self.kernel.irql <= Irql.APC_LEVEL

    def _allocate(self, lookaside: LookasideList) -> int | None:
        model = self.models.get(lookaside)
        if model is None or not self._usable(model):
            return None
        refused = self.faults.refused
        entry = lookaside.allocate()
        model.total_allocates = self._count(model.total_allocates)
        if model.free:
            self._reach("allocate hit")
            assert entry == model.free.pop()
        else:
            self._reach("allocate miss")
            model.allocate_misses = self._count(model.allocate_misses)
        if entry is None:
            self._reach("allocate failed")
            assert self.faults.refused == refused + 1
            return None
        block = self.kernel.pool.query(entry)
        assert block is not None
        assert block.address == entry
        assert block.size == lookaside.size
        model.held[entry] = None
        return entry

    def _free(self, lookaside: LookasideList, model: ListModel, entry: int) -> None:
        del model.held[entry]
        lookaside.free(entry)
        model.total_frees = self._count(model.total_frees)
        if len(model.free) >= model.depth:
            self._reach("free miss")
            model.free_misses = self._count(model.free_misses)
            assert self.kernel.pool.query(entry) is None
        else:
            self._reach("free hit")
            model.free.append(entry)

    def _tick(self) -> None:
        phase = self.kernel.seconds % SCAN_PERIOD
        self.kernel.tick()
        for model in self.models.values():
            if phase != model.paged:
                continue
            before = model.depth
            model.scan()
            self._note_depth(model, before)

    def _note_depth(self, model: ListModel, before: int) -> None:
        step = model.depth - before
        if step > 0:
            self._reach("depth raised")
        elif step in (-1, -10):
            self._reach(f"depth lowered by {-step}")
        if model.depth == model.maximum_depth:
            self._reach("depth at its most")
        elif model.depth == LEAST_DEPTH:
            self._reach("depth at its least")

    def _count(self, counter: int) -> int:
        if counter == ULONG_MASK:
            self._reach("counter wrapped")
        return counter + 1 & ULONG_MASK
