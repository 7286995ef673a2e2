"""Drive somebody's allocator through a program, side by side with the simulator.

Three levels of contract:

* ``"memory"``: what every allocator owes. Entries lie in memory it got, are aligned, do not
  overlap, keep their contents; nothing is handed out twice, and nothing stays behind.
* ``"fixed"``: also the face of a fixed-size allocator. It serves one layout and refuses any
  other, and it can neither grow nor shrink an entry.
* ``"lookaside"``: a lookaside list. The simulator's own list runs the same calls; results,
  counters, depth and the use of the backend must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, Protocol

from lookaside_sim.allocator import Layout
from lookaside_sim.testing.conformance.backend import (
    ALIGNMENT,
    Backend,
    Block,
    pattern,
    required_alignment,
)
from lookaside_sim.testing.conformance.differences import AllocatorDifference, State
from lookaside_sim.testing.conformance.oracle import OPTIONAL_COUNTERS, Oracle
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

__all__ = ["LEVELS", "Allocator", "Factory", "Run", "run_program", "split_program"]

_LONG: Final = 8
"""Steps of a program to which its end is not added any more."""

LEVELS: Final = ("memory", "fixed", "lookaside")


class Allocator(Protocol):
    """What every allocator under test has.

    Level "lookaside" also asks for ``flush()``, ``tick(seconds)`` and ``counters()``, a
    mapping with total_allocates, allocate_misses, total_frees, free_misses, depth and
    current_depth; the other levels call the first two where they exist. Level "fixed" asks
    for ``allocate_layout(layout)``, ``grow(address, old, new)`` and
    ``shrink(address, old, new)``, which take a `Layout` each and refuse by raising.

    An allocator may have ``set_counters(mapping)``, so that the wrap of its counters can be
    reached, and, if its entries lie in memory of its own rather than in the backend's,
    ``read(address, size)`` and ``write(address, data)``.
    """

    def allocate(self) -> int | None:
        """Hand out an entry; None when there is no memory."""

    def free(self, address: int, /) -> None:
        """Take an entry back."""

    def delete(self) -> None:
        """Give everything back that no caller holds."""


Factory = Callable[[Backend, int], Any]
"""Makes the allocator under test: ``factory(backend, size)``."""


class _Broken(Exception):  # noqa: N818 - a signal inside this module, never seen outside
    """The contract is broken here: (what, expected, actual)."""

    def __init__(self, what: str, expected: State, actual: State) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.actual = actual


class Run:
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
        ValueError: no such level.
        TypeError: the allocator lacks a method of the level.
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
        _check_level(level)
        self.backend = Backend(size, reuse=reuse)
        self._size = size
        self._level = level
        self._alignment = alignment or (
            ALIGNMENT if level == "lookaside" else required_alignment(size)
        )
        self._reuse = reuse
        self._factory = factory
        self._flush_order = flush_order
        self._oracle = (oracle or Oracle()) if level == "lookaside" else None
        self._live: list[tuple[int, Block, int]] = []
        self._pairs: dict[int, tuple[int, Block]] = {}
        self._deleted = False
        self._served = False
        self._allocator: Any = None
        self._at_start = 0
        self._read: Callable[[int, int], bytes] | None = None
        self._write: Callable[[int, bytes], None] | None = None

    # --- the whole program -----------------------------------------------------------------

    def execute(self, program: Program) -> None:
        """Create the allocator, run a program, free what is held and delete it.

        Args:
            program: its steps.

        Raises:
            AllocatorDifference: at the first broken promise; its program ends there.
        """
        oracle = self._oracle
        if oracle is not None:
            oracle.start(self._size)
        done = 0
        end: Program = []
        try:
            self._create()
            for step in program:
                done += 1
                self.run_step(step)
            self._end(end)
        except _Broken as broken:
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
                oracle.finish([model for _, _, model in self._live])

    def _create(self) -> None:
        made = self._call("factory", self._factory, self.backend, self._size)
        needed = ["allocate", "free", "delete"]
        if self._level == "lookaside":
            needed += ["flush", "tick", "counters"]
        elif self._level == "fixed":
            needed += ["allocate_layout", "grow", "shrink"]
        missing = [name for name in needed if not callable(getattr(made, name, None))]
        if missing:
            raise TypeError(
                f"level {self._level!r} asks for {', '.join(missing)}, which {made!r} lacks"
            )
        self._allocator = made
        self._read = getattr(made, "read", None)
        self._write = getattr(made, "write", None)
        self._at_start = len(self.backend.blocks)
        if self._oracle is not None:
            self._compare_counters("being created")

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
        leaked = len(self.backend.blocks)
        # What callers still hold after a deletion is theirs, not the allocator's.
        leaked -= len({id(block) for _, block, _ in self._live})
        if leaked:
            self._fail(
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
            ValueError: a step that no single allocator can run.
        """
        if self._deleted:
            return
        match step:
            case Allocate(count=count):
                for _ in range(count):
                    self._allocate()
                if self._level == "fixed":
                    self._check_refusals()
            case Free(count=count, oldest=oldest):
                self._free_many(count, oldest=oldest)
            case FreeAt(index=index):
                if self._live:
                    self._free(self._live.pop(index % len(self._live)))
            case AllocateFree(count=count):
                self._allocate_and_free(count)
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
                self.backend.refuse_next = count
                if self._oracle is not None:
                    self._oracle.refuse(count)
            case SetCounters(value=value):
                self._set_counters(value)
            case Delete():
                if self._oracle is None:
                    # Only lookaside lists promise anything about entries held over a delete.
                    self._free_many(len(self._live), oldest=False)
                self._delete()
            case _:
                raise ValueError(f"{step!r} is no step for a single allocator")
        if self._oracle is not None:
            if not self._deleted:
                self._compare_counters(repr(step))
            self._compare_backend()
            self._oracle.refuse_no_more()

    def _allocate(self) -> bool:
        """Allocate on both sides; returns whether there was an entry."""
        oracle, backend = self._oracle, self.backend
        model = paired = None
        if oracle is not None:
            model = oracle.list.allocate()
            paired = None if model is None else self._pairs.get(model)
        try:
            entry = self._allocator.allocate()
        except Exception as error:
            self._fail_raised("allocate()", error)
        if backend.violation is not None:
            self._fail_violation("allocate()")
        if entry is None:
            if oracle is not None:
                if model is not None:
                    self._live_on_one_side(model)
                    self._fail(
                        "allocate() returned None"
                        + (
                            " although an entry was free"
                            if paired
                            else " although there was memory"
                        ),
                        {"allocate()": paired[0] if paired else "a new entry"},
                        {"allocate()": None},
                    )
            elif not self._served and not backend.refusals:
                self._fail(
                    "allocate() returned None although no memory was ever refused",
                    {"allocate()": "a new entry"},
                    {"allocate()": None},
                )
            return False
        if not isinstance(entry, int) or isinstance(entry, bool):
            self._live_on_one_side(model)
            self._fail(
                f"allocate() returned {entry!r}, which is neither an int nor None",
                {"allocate()": "int | None"},
                {"allocate()": entry},
            )
        if oracle is not None:
            if model is None:
                self._fail(
                    "allocate() returned an entry although the list is empty and the backend"
                    " refused the request",
                    {"allocate()": None},
                    {"allocate()": entry},
                )
            if paired is not None and entry != paired[0]:
                self._live_on_one_side(model)
                self._fail(
                    "allocate() did not return the entry that was freed last",
                    {"allocate()": paired[0]},
                    {"allocate()": entry},
                )
        block = backend.hand_out(entry, self._alignment)
        if isinstance(block, str):
            self._live_on_one_side(model)
            self._fail(
                f"allocate(): {block}",
                {"allocate()": f"{self._size} bytes of its own, aligned to {self._alignment}"},
                {"allocate()": entry},
            )
        if model is not None:
            self._pairs[model] = (entry, block)
        if self._write is not None:
            self._call("write()", self._write, entry, pattern(entry, self._size))
        self._live.append((entry, block, model or 0))
        self._served = True
        return True

    def _free(self, live: tuple[int, Block, int]) -> None:
        """Free an entry, which is no longer in ``_live``, on both sides."""
        entry, block, model = live
        oracle, backend = self._oracle, self.backend
        if self._read is not None:
            self._check_contents(entry)
        backend.take_back(block, entry)
        misses = False
        if oracle is not None:
            of = oracle.list
            misses = of.current_depth >= of.depth
            of.free(model)
            if misses:
                del self._pairs[model]
        try:
            self._allocator.free(entry)
        except Exception as error:
            self._fail_raised(f"free({entry:#x})", error)
        if backend.violation is not None:
            self._fail_violation(f"free({entry:#x})")
        if oracle is not None and backend.is_live(block) is misses:
            kept, given_back = "keep the entry", "give the entry to the backend"
            self._fail(
                f"free({entry:#x}) did not {given_back if misses else kept}: the list"
                f" {'is' if misses else 'is not'} full",
                {"free()": given_back if misses else kept, **oracle.counters()},
                {"free()": kept if misses else given_back, **self._counters()},
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

    def _allocate_and_free(self, count: int) -> None:
        for _ in range(count):
            if self._allocate():
                self._free(self._live.pop())

    def _flush(self) -> None:
        oracle = self._oracle
        flush = getattr(self._allocator, "flush", None)
        if flush is None:
            return
        order = self._free_order() if self._flush_order else []
        if oracle is not None:
            oracle.list.flush()
            self._forget_free_entries()
        self.backend.given_back.clear()
        self._call("flush()", flush)
        if order and self.backend.given_back != order:
            self._fail(
                "flush() did not give the entries back newest first",
                {"flush()": [hex(address) for address in order]},
                {"flush()": [hex(address) for address in self.backend.given_back]},
            )

    def _free_order(self) -> list[int]:
        assert self._oracle is not None
        return [self._pairs[model][1].address for model in self._oracle.list.entries()]

    def _tick(self, seconds: int) -> None:
        tick = getattr(self._allocator, "tick", None)
        if tick is None:
            return
        if self._oracle is not None:
            self._oracle.tick(seconds)
        self._call(f"tick({seconds})", tick, seconds)

    def _set_counters(self, value: int) -> None:
        set_counters = getattr(self._allocator, "set_counters", None)
        if self._oracle is not None and set_counters is not None:
            self._call("set_counters()", set_counters, self._oracle.set_counters(value))

    def _delete(self) -> None:
        if self._oracle is not None:
            self._oracle.list.delete()
            self._forget_free_entries()
        self._deleted = True
        self._call("delete()", self._allocator.delete)

    def _forget_free_entries(self) -> None:
        """The list is empty: only what callers hold is still paired."""
        self._pairs = {model: (entry, block) for entry, block, model in self._live}

    def _live_on_one_side(self, model: int | None) -> None:
        """The simulator handed out an entry and the allocator did not: give it back later."""
        if model is not None:
            self._live.append((0, Block(0, 0), model))

    # --- what can be seen --------------------------------------------------------------------

    def _counters(self) -> Mapping[str, object]:
        try:
            return dict(self._allocator.counters())
        except Exception as error:
            self._fail_raised("counters()", error)

    def _compare_counters(self, after: str) -> None:
        oracle = self._oracle
        assert oracle is not None
        of = oracle.list
        expected: dict[str, object] = dict(oracle.counters())
        reported = self._counters()
        for name in OPTIONAL_COUNTERS:
            if name in reported:
                expected[name] = getattr(of, name)
        actual = {name: reported.get(name) for name in expected}
        if actual != expected:
            wrong = [name for name in expected if expected[name] != actual[name]]
            self._fail(
                f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong"
                f" after {after}",
                expected,
                actual,
            )

    def _compare_backend(self) -> None:
        """Both sides hold as many blocks, what the allocator keeps for itself aside."""
        oracle = self._oracle
        assert oracle is not None
        expected = oracle.outstanding
        actual = len(self.backend.blocks) - (0 if self._deleted else self._at_start)
        if actual != expected:
            self._fail(
                f"the allocator holds {actual} of the backend's blocks, a lookaside list"
                f" would hold {expected}",
                {"blocks": expected, **oracle.counters()},
                {"blocks": actual, **({} if self._deleted else self._counters())},
            )

    def _check_refusals(self) -> None:
        """A fixed-size allocator serves its own layout only, and never resizes an entry."""
        allocator, size, align = self._allocator, self._size, self._alignment
        own = Layout(size, align)
        for other in (
            Layout(size + 1, align),
            Layout(size - 1),
            Layout(2 * size, align),
            Layout(size, 2 * ALIGNMENT),
        ):
            self._refused(f"allocate_layout({other})", allocator.allocate_layout, other)
        if self._live:
            entry = self._live[-1][0]
            for name, new in (("grow", Layout(2 * size, align)), ("shrink", Layout(size // 2))):
                self._refused(f"{name}()", getattr(allocator, name), entry, own, new)
                if self._read is not None:
                    self._check_contents(entry)

    def _refused(self, name: str, routine: Callable[..., Any], *arguments: object) -> None:
        """A call that must raise, and must do nothing else."""
        before = (self.backend.requests, len(self.backend.blocks))
        try:
            result = routine(*arguments)
        except Exception:
            after = (self.backend.requests, len(self.backend.blocks))
            if after == before and self.backend.violation is None:
                return
            result = "an exception, after using the backend"
        self._fail(
            f"{name} was not refused, which a fixed-size allocator must do",
            {name: "an exception, and nothing else"},
            {name: result},
        )

    def _check_contents(self, entry: int) -> None:
        assert self._read is not None
        found = self._call("read()", self._read, entry, self._size)
        wrote = pattern(entry, self._size)
        if found != wrote:
            at = next(i for i, (a, b) in enumerate(zip(found, wrote, strict=True)) if a != b)
            self._fail(
                f"the contents of the live entry {entry:#x} changed, first in byte {at}",
                {"contents": wrote.hex(" ")},
                {"contents": bytes(found).hex(" ")},
            )

    # --- failing -----------------------------------------------------------------------------

    def _call(self, name: str, routine: Callable[..., Any], *arguments: object) -> Any:
        try:
            result = routine(*arguments)
        except Exception as error:
            self._fail_raised(name, error)
        if self.backend.violation is not None:
            self._fail_violation(name)
        return result

    def _fail(self, what: str, expected: State, actual: State) -> NoReturn:
        raise _Broken(what, expected, actual)

    def _fail_raised(self, name: str, error: Exception) -> NoReturn:
        raise _Broken(
            f"{name} raised {type(error).__name__}: {error}",
            {name: "no exception"},
            {name: repr(error)},
        ) from error

    def _fail_violation(self, name: str) -> NoReturn:
        violation = self.backend.violation or ""
        self._fail(
            f"during {name} the allocator {violation}",
            {name: "only memory of its own is touched"},
            {name: violation},
        )


def run_program(
    factory: Factory,
    program: Program,
    *,
    level: str = "lookaside",
    reuse: bool = False,
    alignment: int | None = None,
    flush_order: bool = False,
) -> None:
    """Run one program on an allocator under test; what a pasted regression calls.

    Args:
        factory: makes the allocator, as for `check_allocator`.
        program: the steps. A `Create` in front says the size of an entry, otherwise 32.
        level: the contract to check.
        reuse: whether the backend hands out addresses again as soon as they are given back.
        alignment: as for `Run`.
        flush_order: as for `Run`.

    Raises:
        AllocatorDifference: the allocator broke its contract.
        ValueError: no such level, or a step that no single allocator can run.
        TypeError: the allocator lacks a method of the level.
    """
    size, steps = split_program(program)
    run = Run(factory, size, level, reuse=reuse, alignment=alignment, flush_order=flush_order)
    run.execute(steps)


def split_program(program: Program) -> tuple[int, Program]:
    """Take the size of the entries off a program for a single allocator.

    Args:
        program: the steps, with a `Create` in front or not.

    Returns:
        The size, 32 bytes where nothing says it, and the other steps.
    """
    if program and isinstance(program[0], Create):
        return program[0].size, list(program[1:])
    return Create().size, list(program)


def _check_level(level: str) -> None:
    if level not in LEVELS:
        raise ValueError(f"level {level!r}: give one of {', '.join(LEVELS)}")
