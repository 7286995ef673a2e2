"""Runs as Perfetto shows them: counters of each list, slices of each allocation, instants.

What is written is the JSON of trace events that Perfetto and chrome://tracing read. Times are
microseconds. A machine's clock counts seconds, so steps of one second are put a microsecond
apart, in their order; a trace's own times are kept.

* *Process* 1 is the program: its calls, as slices of a microsecond, and instants for ticks,
  writes, notes and the stop.
* For each list a counter, ``held`` and ``Depth``; for each pool the bytes of live blocks.
* For each allocation, of a list or of the pool, an asynchronous slice from when the program gets it
  until it gives it back; one that is given back twice ends once.

Source:
    Trace Event Format (the Chromium project): phases M, X, C, b, e, i.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, Final

from lookaside_sim.machine.calls import Outcome
from lookaside_sim.run.edits import Add, Born, Died, Edit, List, Set
from lookaside_sim.run.run import Run
from lookaside_sim.run.state import HELD, State
from lookaside_sim.run.step import Step

PROGRAM: Final = 1
"""The process that stands for the program."""
MACHINE: Final = 2
"""The process that stands for the machine: counters and allocations."""
_MICROSECONDS: Final = 1_000_000
_SHOWN: Final = (HELD, "Depth")
_ALLOCATES: Final = frozenset({"alloc", "irp", "mdl"})
_FREES: Final = {"free": ("Entry", "P"), "free-irp": ("Irp",), "free-mdl": ("Mdl",)}


def write_perfetto(run: Run, file: IO[str]) -> None:
    """Write a run as trace events.

    Raises:
        RunError: the replay came out otherwise than the recording.
    """
    other = {"title": run.title, "steps": len(run), "made by": "lookaside_sim"}
    file.write(
        '{"displayTimeUnit": "ns", "otherData": ' + json.dumps(other) + ', "traceEvents": ['
    )
    before = "\n"
    for event in trace_events(run):
        file.write(before)
        json.dump(event, file, separators=(",", ":"))
        before = ",\n"
    file.write("\n]}\n")


def trace_events(run: Run) -> Iterator[dict[str, Any]]:
    """The trace events of a run, in order of time."""
    for process, name in ((PROGRAM, run.title or "program"), (MACHINE, "machine")):
        yield _event("M", "process_name", process, args={"name": name})
    yield _event("M", "thread_name", PROGRAM, args={"name": "calls"})
    yield from _Events(run).all()


class _Events:
    """The events of one run, but for those that name its processes."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._state: State = run.state(0)
        self._totals = {"nonpaged": 0, "paged": 0}
        for block in self._state.blocks.values():
            self._totals["paged" if block.pool_type & 1 else "nonpaged"] += block.size
        self._out: dict[int, str] = {}
        self._at = 0

    def all(self) -> Iterator[dict[str, Any]]:
        run = self._run
        for address in self._state.lists:
            yield from self._counter(address)
        yield from self._bytes()
        steps = iter(run)
        for number, edits in run.all_edits():
            step = next(steps)
            self._at = max(self._at + 1, round(step.time * _MICROSECONDS))
            for note in run.notes.get(number, ()):
                yield self._instant(f"note: {note}", "g")
            yield from self._call(step)
            yield from self._changes(edits)
            yield from self._slice(step)
        self._at += 1
        for note in run.notes.get(len(run), ()):
            yield self._instant(f"note: {note}", "g")
        for address in list(self._out):
            yield from self._end(address)

    def _call(self, step: Step) -> Iterator[dict[str, Any]]:
        args: dict[str, Any] = {"step": step.number, "outcome": step.outcome.value}
        args.update({name: _shown(value) for name, value in step.arguments.items()})
        if step.obj is not None:
            args["list"] = self._name(step.obj)
        if step.branch is not None:
            args["branch"] = step.branch.value
        if step.result is not None:
            args["result"] = _shown(step.result)
        if step.site is not None:
            args["line"] = str(step.site)
        if step.error:
            args["error"] = step.error
        yield _event("X", step.routine, PROGRAM, self._at, cat=step.word, dur=1, args=args)
        if step.word in ("tick", "write"):
            yield self._instant(step.word, "t")
        if step.outcome is Outcome.STOPPED:
            yield self._instant(f"STOP {step.error}", "g")

    def _changes(self, edits: tuple[Edit, ...]) -> Iterator[dict[str, Any]]:
        changed: dict[int, None] = {}
        has_bytes = False
        for edit in edits:
            edit.apply(self._state)
            if isinstance(edit, (Add, Set)):
                if edit.field in _SHOWN and edit.obj is not None:
                    changed[edit.obj] = None
            elif isinstance(edit, List):
                if edit.appeared:
                    changed[edit.obj] = None
            elif isinstance(edit, (Born, Died)):
                has_bytes = True
                self._count(edit)
        for address in changed:
            yield from self._counter(address)
        if has_bytes:
            yield from self._bytes()

    # --- counters ----------------------------------------------------------------------------

    def _counter(self, address: int) -> Iterator[dict[str, Any]]:
        each = self._state.lists.get(address)
        if each is not None:
            held = {"held": each.fields[HELD], "Depth": each.fields["Depth"]}
            yield _event("C", f"list {self._name(address)}", MACHINE, self._at, args=held)

    def _count(self, edit: Born | Died) -> None:
        size = edit.size if isinstance(edit, Born) else -edit.size
        kind = "paged" if edit.pool & 1 else "nonpaged"
        self._totals[kind] += size

    def _bytes(self) -> Iterator[dict[str, Any]]:
        yield _event("C", "bytes of live blocks", MACHINE, self._at, args=dict(self._totals))

    # --- allocations ---------------------------------------------------------------------------

    def _slice(self, step: Step) -> Iterator[dict[str, Any]]:
        """An allocation begins, or ends."""
        if step.outcome is not Outcome.RETURNED:
            return
        if step.word in _ALLOCATES and isinstance(step.result, int):
            yield from self._end(
                step.result
            )  # handed out twice: the first one is lost sight of
            self._out[step.result] = name = self._name_of(step)
            yield self._async("b", name, step.result)
        for argument in _FREES.get(step.word, ()):
            address = step.arguments.get(argument)
            if isinstance(address, int):
                yield from self._end(address)

    def _name_of(self, step: Step) -> str:
        tag = step.arguments.get("Tag")
        if step.obj is not None:
            return self._name(step.obj)
        return step.word if tag is None else str(tag)

    def _end(self, address: int) -> Iterator[dict[str, Any]]:
        name = self._out.pop(address, None)
        if name is not None:
            yield self._async("e", name, address)

    def _async(self, phase: str, name: str, address: int) -> dict[str, Any]:
        return _event(
            phase, name, MACHINE, self._at, cat="allocation", id=hex(address), args={}
        )

    def _instant(self, name: str, scope: str) -> dict[str, Any]:
        return _event("i", name, PROGRAM, self._at, s=scope)

    def _name(self, address: int) -> str:
        return self._run.list_names.get(address) or hex(address)


def _event(
    phase: str, name: str, process: int, time: int | None = None, **more: Any
) -> dict[str, Any]:
    event = {"ph": phase, "name": name, "pid": process, "tid": 1}
    if time is not None:
        event["ts"] = time
    return {**event, **more}


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex(" ")
    return hex(value) if type(value) is int and value > 0xFFFF else str(value)
