"""What a learner sees of a run: the program's lines, short names of entries, lists as text."""

from __future__ import annotations

from functools import cached_property

from lookaside_sim.kernel import Kernel
from lookaside_sim.lessons.program import Program
from lookaside_sim.machine.calls import Outcome
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.run.run import Run
from lookaside_sim.run.state import State
from lookaside_sim.run.step import Step

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


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

    def list_name(self, address: int) -> str:
        """The name of the list at an address."""
        known = self.run.list_names.get(address, "")
        return known or f"{address:#x}"

    # --- as text -------------------------------------------------------------------------------

    def call(self, step: Step) -> str:
        """What a call did, in a few words."""
        if step.outcome is Outcome.STOPPED:
            return f"the machine stops: {step.error.partition(': ')[2]}"
        if step.error:
            return f"raises {step.error}"
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

    def lists(self, position: int) -> list[str]:
        """The lists at a position: how many entries of how many, and which, newest first."""
        shown = []
        for each in self.state(position).lists.values():
            held, depth = each.fields["ListHead.Depth"], each.fields["Depth"]
            chain = " ".join(map(self.name, each.entries[:12]))
            more = " ..." if len(each.entries) > 12 else ""
            shown.append(f"{each.name or 'list'}: {held} held of {depth} [{chain}{more}]")
        return shown

    def outstanding(self, position: int, tag: str) -> int:
        """Blocks of a tag that were allocated and not freed."""
        usage = self.machine(position).pool.tags().get(PoolTag(tag))
        return 0 if usage is None else usage.outstanding


def _letter(number: int) -> str:
    rounds, place = divmod(number, len(_ALPHABET))
    return _ALPHABET[place] + (str(rounds) if rounds else "")
