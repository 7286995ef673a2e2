"""What a learner sees of a run: the program's lines, short names of entries, lists as text."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lessons.program import Program
from lookaside_sim.machine.calls import Outcome
from lookaside_sim.nt.layouts import PAGE_MASK
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.run.run import Run
from lookaside_sim.run.state import State
from lookaside_sim.run.step import Step
from lookaside_sim.windbg.pool import pool_rows

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_ENTRIES: Final = 12
_MOST_PAGES: Final = 2
_LONGEST: Final = 60
"""Characters of an error that are shown beside a call."""


class Scene:
    """One run of a lesson's program.

    Args:
        program: whose.
        run: the recording.
        number: which of the program's machines it is, from 0.
    """

    def __init__(self, program: Program, run: Run, number: int) -> None:
        self.program = program
        self.run = run
        self.number = number
        self._states: dict[int, State] = {}
        self._machines: dict[int, Kernel] = {}

    # --- the program ---------------------------------------------------------------------------

    def line_number(self, step: Step) -> int:
        """The number of the program's line that made a call; 0 for none.

        Of the lines on the stack the innermost that has a mark, if any: a function of the program
        may make the call for it.
        """
        lines = [site.line for site in step.stack if site.file == self.program.name]
        marked = [line for line in lines if line in self.program.marks]
        return next(iter((*marked, *lines)), 0)

    def line(self, step: Step) -> str:
        """That line, as ``line 7: `entry = requests.allocate()` ``.

        Where it makes several calls of the kind, it says which one is meant.
        """
        number = self.line_number(step)
        text = self.program.lines[number - 1].strip()
        same = [
            each.number
            for each in self.run
            if each.word == step.word and self.line_number(each) == number
        ]
        which = ""
        if len(same) > 1:
            which = f", call {same.index(step.number) + 1} of {len(same)}"
        return f"line {number}{which}: `{text}`"

    # --- the machine ---------------------------------------------------------------------------

    def state(self, position: int) -> State:
        """What there is at a position."""
        if position not in self._states:
            self._states[position] = self.run.state(position)
        return self._states[position]

    def machine(self, position: int) -> Kernel:
        """The machine at a position; only looked at."""
        if position not in self._machines:
            self._machines[position] = self.run.machine(position)
        return self._machines[position]

    def word(self, position: int, address: int) -> int | None:
        """A pointer in memory at a position, None where nothing is mapped."""
        return self.machine(position).memory.peek_pointer(address)

    # --- names ---------------------------------------------------------------------------------

    @cached_property
    def names(self) -> dict[int, str]:
        """A letter for each address that an allocation returned, in order of appearance."""
        names: dict[int, str] = {}
        for step in self.run:
            result = step.result
            if (
                step.word == "alloc"
                and isinstance(result, int)
                and result
                and result not in names
            ):
                names[result] = _letter(len(names))
        return names

    def name(self, address: int) -> str:
        """The letter of an address, else the address."""
        return self.names.get(address, f"{address:#x}")

    # --- as text -------------------------------------------------------------------------------

    def call(self, step: Step) -> str:
        """What a call did, in a few words."""
        if step.outcome is Outcome.STOPPED:
            return f"the machine stops: {_short(step.error.partition(': ')[2])}"
        if step.error:
            return f"raises {_short(step.error)}"
        if step.word == "alloc":
            where = self.name(step.result) if isinstance(step.result, int) else "NULL"
            how = "" if step.branch is None else f" ({step.branch.value})"
            return f"returns {where}{how}"
        if step.word == "free":
            entry = step.arguments.get("Entry", step.arguments.get("P"))
            who = self.name(entry) if isinstance(entry, int) else "it"
            if step.branch is None:
                return f"{who} goes back to the pool"
            return (
                f"{who} goes {'onto the list' if step.branch.value == 'hit' else 'to the pool'}"
            )
        if step.word == "read" and isinstance(step.result, bytes):
            return f"reads {step.result!r}"
        return "done"

    def views(self, position: int) -> list[str]:
        """What a learner looks at: the lists, or where there are none the pages of pool."""
        return self.lists(position) or self.pages(position)

    def lists(self, position: int) -> list[str]:
        """The lists at a position: how many entries of how many, and which, newest first."""
        shown = []
        for each in self.state(position).lists.values():
            fields = each.fields
            held, depth = fields["ListHead.Depth"], fields["Depth"]
            chain = " ".join(map(self.name, each.entries[:_MOST_ENTRIES]))
            more = " ..." if len(each.entries) > _MOST_ENTRIES else ""
            shown.append(f"{each.name or 'list'}: {held} held of {depth} [{chain}{more}]")
            if self._is_tuned:
                allocates = fields["TotalAllocates"] - fields["LastTotalAllocates"]
                misses = fields["AllocateMisses"] - fields["LastAllocateMisses"]
                shown.append(f"since the last scan: {allocates} allocations, {misses} missed")
        return shown

    @cached_property
    def _is_tuned(self) -> bool:
        return any(step.word == "tick" for step in self.run)

    def pages(self, position: int) -> list[str]:
        """The pages of pool that blocks lie in, front to back: whose each block is, its bytes."""
        machine = self.machine(position)
        header = machine.arch.pool_header.size
        pages = sorted({address & ~PAGE_MASK for address in self.names})
        if len(pages) > _MOST_PAGES:
            return []
        shown = []
        for page in pages:
            rows = pool_rows(machine, page)
            blocks = [
                f"[{'free' if row.state == 'Free' else self.name(row.header + header)} {row.size}]"
                for row in rows
            ]
            if blocks:
                shown.append(f"page: {' '.join(blocks)}")
        return shown

    def outstanding(self, position: int, tag: str) -> int:
        """Blocks of a tag that were allocated and not freed."""
        usage = self.machine(position).pool.tags().get(PoolTag(tag))
        return 0 if usage is None else usage.outstanding


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rpartition(' ')[0]} ..."


def _letter(number: int) -> str:
    rounds, place = divmod(number, len(_ALPHABET))
    return _ALPHABET[place] + (str(rounds) if rounds else "")
