"""The engine of the shell: a line of commands to the text they print.

It reads no input and writes no output, so that a pipe, a terminal, a notebook and a test see
the same.
"""

from __future__ import annotations

import re
from typing import Final

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kd.refusal import Refusal
from lookaside_sim.kd.shell import Shell
from lookaside_sim.kd.table import find
from lookaside_sim.kd.target import Recorded, Target
from lookaside_sim.kd.where import symbol_of, where
from lookaside_sim.kernel import Kernel
from lookaside_sim.run.run import Run

_NAME: Final = re.compile(r"(?:[!.]?[a-z_]\w*(?:\.\w+)?|\?)[-?]?", re.IGNORECASE)
"""A command's name, as far as it can reach: g-, !tt, .echo, r?."""
_DEEPEST: Final = 8
"""Commands given to breakpoints that run inside each other."""


class Session:
    """A shell over a recording, with time travel, or over a live machine, without.

    Args:
        looked_at: a recording or a machine. Neither is ever changed.

    Attributes:
        shell: what it knows.
    """

    def __init__(self, looked_at: Run | Kernel) -> None:
        if isinstance(looked_at, Kernel):
            target = Target(looked_at)
        elif isinstance(looked_at, Run):
            target = Recorded(looked_at)
        else:
            raise TypeError(f"looked_at {looked_at!r}: give a Run or a Kernel")
        self.shell = Shell(target)
        self.shell.execute = self._execute_inside
        self._last = ""
        self._depth = 0

    @property
    def has_ended(self) -> bool:
        """Whether ``q`` was typed."""
        return self.shell.quits

    @property
    def prompt(self) -> str:
        """What a face shows before it reads a line."""
        return "kd> "

    def greeting(self) -> str:
        """What a face prints first: what is looked at, and where the shell stands."""
        return f"{self.execute('vertarget')}\n{where(self.shell)}".rstrip()

    def status(self) -> str:
        """One line on where the shell stands; makes no machine."""
        shell = self.shell
        target = shell.target
        if not target.is_recorded:
            return "live machine"
        parts = [f"{target.position_text} of {len(target.run):X}:0"]
        step = target.step
        if step is not None:
            parts.append(symbol_of(step))
        if shell.what_if is not None:
            parts.append("what if")
        return "   ".join(parts)

    def execute(self, line: str) -> str:
        """Run a line.

        Args:
            line: commands, joined by semicolons; an empty line repeats the last one.

        Returns:
            What they print, without a final newline; also what is wrong with them.
        """
        line = line.strip()
        if not line:
            line = self._last
        texts = []
        for each in split(line):
            text, again = self._one(each)
            self._last = again if each == line else line
            if text:
                texts.append(text)
            if self.shell.quits:
                break
        return "\n".join(texts)

    def _one(self, text: str) -> tuple[str, str]:
        """What one command prints, and what repeats it."""
        found = _NAME.match(text)
        typed = found[0] if found else text
        # In ``p -1`` and ``?? x`` what looks like the name's end begins the arguments.
        name = typed if find(typed) or typed[-1] not in "-?" else typed[:-1]
        command = find(name)
        if command is None:
            return _unknown(text, typed), ""
        arguments = text[len(name) :].strip()
        try:
            printed = command.run(self.shell, arguments)
        except Refusal as refusal:
            return str(refusal), text
        except LookasideSimError as error:
            return f"{type(error).__name__}: {error}", text
        return printed, command.name if command.goes_on else text

    def _execute_inside(self, commands: str) -> str:
        """Run the commands of a breakpoint."""
        if self._depth == _DEEPEST:
            return "The commands of breakpoints run inside each other too often."
        self._depth += 1
        last = self._last
        try:
            return self.execute(commands)
        finally:
            self._depth -= 1
            self._last = last


def _unknown(text: str, name: str) -> str:
    if name.startswith("!"):
        return f"No export {name[1:]} found"
    return f"{'':8}^ Syntax error in '{text}'"


def split(line: str) -> list[str]:
    """The commands of a line: at semicolons outside of quotation marks."""
    parts, part, quoted = [], "", False
    for each in line:
        quoted ^= each == '"'
        if each == ";" and not quoted:
            parts.append(part)
            part = ""
        else:
            part += each
    return [each.strip() for each in (*parts, part) if each.strip()]
