"""Drive somebody's allocator through a program, side by side with the simulator."""

from __future__ import annotations

from typing import Final, NamedTuple

from lookaside_sim.testing.conformance.backend import Block
from lookaside_sim.testing.conformance.contract import (
    OPTIONAL_COUNTERS,
    Broken,
    Factory,
    check_level,
)
from lookaside_sim.testing.conformance.differences import AllocatorDifference
from lookaside_sim.testing.conformance.oracle import Oracle
from lookaside_sim.testing.conformance.subject import Subject
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Create,
    Delete,
    Fail,
    Flush,
    Free,
    FreeAt,
    Program,
    SetCounters,
    Step,
    Tick,
)

__all__ = ["Comparison"]

_LONG: Final = 8
"""Steps of a program to which its end is not added any more."""


class _Held(NamedTuple):
    """A live entry: what the allocator returned, its block, and the simulator's entry."""

    entry: int
    block: Block
    model: int


_NOTHING: Final = Block(0, 0)
"""The block of an entry that only the simulator handed out."""


class Comparison:
    """One program on one allocator.

    Args:
        factory: makes the allocator.
        size: bytes of an entry.
        level: the contract, one of `LEVELS`.
        oracle: the simulator's side, for level "lookaside"; None makes one.
        reuse: whether the backend hands out addresses again at once.
        alignment: what entries must be aligned to; None is 16 bytes for a lookaside list,
            whose entries are pool blocks, and what the size can need for the others.
        flush_order: whether flush must give entries back newest first.

    Raises:
        ValueError: no such level, or an order of flush is asked of one that promises none.
    """

    def __init__(
        self,
        factory: Factory,
        size: int,
        level: str,
        *,
        oracle: Oracle | None = None,
        reuse: bool = False,
        alignment: int | None = None,
        flush_order: bool = False,
    ) -> None:
        check_level(level)
        if flush_order and level != "lookaside":
            raise ValueError(
                f"flush_order=True at level {level!r}: only level 'lookaside' says in which"
                " order entries are given back"
            )
        self._subject = Subject(factory, size, level, reuse=reuse, alignment=alignment)
        self._backend = self._subject.backend
        self._size = size
        self._level = level
        self._reuse = reuse
        self._factory = factory
        self._flush_order = flush_order
        self._oracle = (oracle or Oracle()) if level == "lookaside" else None
        self._live: list[_Held] = []
        # By the simulator's entry, the allocator's: what is live and what is on the list.
        self._pairs: dict[int, tuple[int, Block]] = {}
        self._deleted = False
        self._served = False

    # --- the whole program -----------------------------------------------------------------

    def execute(self, program: Program) -> None:
        """Create the allocator, run a program, free what is held and delete it.

        Args:
            program: its steps.

        Raises:
            AllocatorDifference: at the first broken promise; its program ends there.
            TypeError: the allocator lacks a method of the level.
            ValueError: a step that no single allocator can run.
        """
        oracle = self._oracle
        if oracle is not None:
            oracle.start(self._size)
        done = 0
        end: Program = []
        try:
            self._subject.create()
            if oracle is not None:
                self._compare_counters(oracle, "being created")
            for step in program:
                done += 1
                self.run_step(step)
            self._end(end)
        except Broken as broken:
            raise AllocatorDifference(
                broken.what,
                # The end happens anyway; spelled out it is clearer, unless it gets long.
                [Create(self._size), *program[:done], *(end if done < _LONG else [])],
                broken.expected,
                broken.actual,
                level=self._level,
                reuse=self._reuse,
                factory=self._factory,
                steps_run=done,
            ) from broken.__cause__
        finally:
            if oracle is not None:
                oracle.finish([held.model for held in self._live])

    def _end(self, steps: Program) -> None:
        """Free what is live, oldest first, delete, and look for what stayed behind.

        Args:
            steps: gets what is done, as the steps that do the same.
        """
        if not self._deleted:
            if self._live:
                steps.append(Free(len(self._live), oldest=True))
                self.run_step(steps[-1])
            steps.append(Delete())
            self.run_step(steps[-1])
        leaked = len(self._backend.blocks)
        # What callers still hold after a deletion is theirs, not the allocator's.
        leaked -= len({id(held.block) for held in self._live})
        if leaked:
            raise Broken(
                f"{leaked} of the backend's blocks are still allocated after delete()",
                {"blocks after delete": 0},
                {"blocks after delete": leaked},
            )

    # --- steps -----------------------------------------------------------------------------

    def run_step(self, step: Step) -> None:
        """Run one step and compare what can be seen afterwards.

        Args:
            step: the step.

        Raises:
            Broken: the two sides differ.
            ValueError: a step that no single allocator can run.
        """
        if self._deleted:
            return
        oracle = self._oracle
        self._do(step)
        if oracle is not None:
            if not self._deleted:
                self._compare_counters(oracle, repr(step))
            self._compare_backend(oracle)
            oracle.refuse_no_more()

    def _do(self, step: Step) -> None:
        match step:
            case Allocate(count=count):
                for _ in range(count):
                    self._allocate()
                if self._level == "fixed":
                    self._subject.check_refusals(self._live[-1].entry if self._live else None)
            case Free(count=count, oldest=oldest):
                self._free_many(count, oldest=oldest)
            case FreeAt(index=index):
                if self._live:
                    self._free(self._live.pop(index % len(self._live)))
            case AllocateFree(count=count):
                for _ in range(count):
                    if self._allocate():
                        self._free(self._live.pop())
            case AllocateEachSecond(count=count, seconds=seconds):
                for _ in range(seconds):
                    for _ in range(count):
                        self._allocate()
                    self._tick(1)
            case Flush():
                self._flush()
            case Tick(seconds=seconds):
                self._tick(seconds)
            case Fail(count=count):
                self._backend.refuse_next = count
                if self._oracle is not None:
                    self._oracle.refuse(count)
            case SetCounters(value=value):
                if self._oracle is not None and self._subject.has_settable_counters:
                    self._subject.set_counters(self._oracle.set_counters(value))
            case Delete():
                self._delete()
            case _:
                raise ValueError(f"{step!r} is no step for a single allocator")

    def _allocate(self) -> bool:
        """Allocate on both sides; returns whether there was an entry."""
        model = None if self._oracle is None else self._oracle.list.allocate()
        try:
            entry = self._subject.allocate()
            if self._oracle is not None:
                self._compare_entries(model, entry)
            elif entry is None and not self._served and not self._backend.refusals:
                raise Broken(
                    "allocate() returned None although no memory was ever refused",
                    {"allocate()": "a new entry"},
                    {"allocate()": None},
                )
            if entry is None:
                return False
            block = self._subject.hand_out(entry)
        except Broken:
            if model is not None:
                # Only the simulator has an entry: it is given back at the end.
                self._live.append(_Held(0, _NOTHING, model))
            raise
        if model is not None:
            self._pairs[model] = (entry, block)
        self._live.append(_Held(entry, block, model or 0))
        self._served = True
        return True

    def _compare_entries(self, model: int | None, entry: int | None) -> None:
        """Both sides hand out an entry or neither does, and a free one is the same one."""
        paired = None if model is None else self._pairs.get(model)
        if entry is None:
            if model is not None:
                raise Broken(
                    "allocate() returned None although"
                    f" {'an entry was free' if paired else 'there was memory'}",
                    {"allocate()": paired[0] if paired else "a new entry"},
                    {"allocate()": None},
                )
        elif model is None:
            raise Broken(
                "allocate() returned an entry although the list is empty and the backend"
                " refused the request",
                {"allocate()": None},
                {"allocate()": entry},
            )
        elif paired is not None and entry != paired[0]:
            raise Broken(
                "allocate() did not return the entry that was freed last",
                {"allocate()": paired[0]},
                {"allocate()": entry},
            )

    def _free(self, held: _Held) -> None:
        """Free an entry, which is no longer in ``_live``, on both sides."""
        entry, block, model = held
        oracle = self._oracle
        if oracle is None:
            self._subject.free(entry, block)
            return
        misses = oracle.list.current_depth >= oracle.list.depth
        oracle.list.free(model)
        if misses:
            del self._pairs[model]
        self._subject.free(entry, block)
        if self._backend.is_live(block) is misses:
            kept, given_back = "keep the entry", "give the entry to the backend"
            raise Broken(
                f"free({entry:#x}) did not {given_back if misses else kept}: the list"
                f" {'is' if misses else 'is not'} full",
                {"free()": given_back if misses else kept, **oracle.counters()},
                {"free()": kept if misses else given_back, **self._subject.counters()},
            )

    def _free_many(self, count: int, *, oldest: bool) -> None:
        live = self._live
        count = min(count, len(live))
        if oldest:
            chosen = live[:count]
            chosen.reverse()
            del live[:count]
        else:
            chosen = live[len(live) - count :]
            del live[len(live) - count :]
        try:
            while chosen:
                self._free(chosen.pop())
        finally:
            live.extend(reversed(chosen))

    def _flush(self) -> None:
        order: list[int] = []
        if self._oracle is not None:
            if self._flush_order:
                free = self._oracle.list.entries()
                order = [self._pairs[model][1].address for model in free]
            self._oracle.list.flush()
            self._forget_free_entries()
        given_back = self._subject.flush()
        if order and given_back is not None and given_back != order:
            raise Broken(
                "flush() did not give the entries back newest first",
                {"flush()": [hex(address) for address in order]},
                {"flush()": [hex(address) for address in given_back]},
            )

    def _tick(self, seconds: int) -> None:
        if self._oracle is not None:
            self._oracle.tick(seconds)
        self._subject.tick(seconds)

    def _delete(self) -> None:
        if self._oracle is None:
            # Only lookaside lists promise anything about entries held over a delete.
            self._free_many(len(self._live), oldest=False)
        else:
            self._oracle.list.delete()
            self._forget_free_entries()
        self._deleted = True
        self._subject.delete()

    def _forget_free_entries(self) -> None:
        """The list is empty: only what callers hold is still paired."""
        self._pairs = {held.model: (held.entry, held.block) for held in self._live}

    # --- what can be seen ------------------------------------------------------------------

    def _compare_counters(self, oracle: Oracle, after: str) -> None:
        expected: dict[str, object] = dict(oracle.counters())
        reported = self._subject.counters()
        for name in OPTIONAL_COUNTERS:
            if name in reported:
                expected[name] = getattr(oracle.list, name)
        actual = {name: reported.get(name) for name in expected}
        if actual != expected:
            wrong = [name for name in expected if expected[name] != actual[name]]
            raise Broken(
                f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong"
                f" after {after}",
                expected,
                actual,
            )

    def _compare_backend(self, oracle: Oracle) -> None:
        """Both sides hold as many blocks, what the allocator keeps for itself aside."""
        expected = oracle.outstanding
        kept = 0 if self._deleted else self._subject.kept
        actual = len(self._backend.blocks) - kept
        if actual != expected:
            raise Broken(
                f"the allocator holds {actual} of the backend's blocks, a lookaside list"
                f" would hold {expected}",
                {"blocks": expected, **oracle.counters()},
                {"blocks": actual, **({} if self._deleted else self._subject.counters())},
            )
