"""The state of one shell: what it looks at, what names mean, what was typed before.

Commands are functions of a shell and their arguments; this is what they share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lookaside_sim.kd.breakpoints import Breakpoints
from lookaside_sim.kd.expressions import Reader
from lookaside_sim.kd.numbers import WORD_MASK, address_text
from lookaside_sim.kd.refusal import Refusal
from lookaside_sim.kd.symbols import Symbols
from lookaside_sim.kd.target import Target
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.layouts import PAGE_SIZE

_USER_REGISTERS: Final = 20
"""$t0 to $t19."""


class Shell:
    """What commands share.

    Args:
        target: the recording or machine that is looked at.

    Attributes:
        target: as given.
        radix: base of numbers without a prefix: 8, 10 or 16.
        breakpoints: those that were set.
        what_if: the copy that the debugger changed, None while nothing was changed.
        changes: what was done to the copy, in words.
        next_address: where the last command that showed memory ended.
        last_value: the first value that it showed.
        called: whether a call was made on the copy.
        returned: what the last one returned.
        quits: whether the user wants to leave.
        execute: runs commands, for those that are given some.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.radix = 16
        self.breakpoints = Breakpoints()
        self.what_if: Kernel | None = None
        self.changes: list[str] = []
        self.next_address = 0
        self.last_value = 0
        self.called = False
        self.returned = 0
        self.quits = False
        self.execute: Callable[[str], str] = _nothing
        self._user_registers = [0] * _USER_REGISTERS

    # --- what is looked at ---------------------------------------------------------------------

    @property
    def kernel(self) -> Kernel:
        """The machine that views show: the changed copy, else the target's."""
        return self.target.kernel if self.what_if is None else self.what_if

    @property
    def symbols(self) -> Symbols:
        """The names on it."""
        return Symbols(self.kernel, self.target.list_names)

    def changed_copy(self, change: str) -> Kernel:
        """The copy that may be changed, made when it is first needed.

        Args:
            change: what is about to be done to it.
        """
        if self.what_if is None:
            self.what_if = self.target.kernel.clone()
        self.changes.append(change)
        return self.what_if

    def keep_copy(self, kernel: Kernel, change: str) -> None:
        """Show a copy from now on.

        Args:
            kernel: the copy; the one that is shown, or a first one.
            change: what was done to it.
        """
        self.what_if = kernel
        self.changes.append(change)

    def drop_changes(self) -> str:
        """Come back from the changed copy.

        Returns:
            What to tell the user about it, with a line end; empty for nothing.
        """
        if self.what_if is None:
            return ""
        self.what_if = None
        self.called = False
        count = len(self.changes)
        self.changes.clear()
        return f"What if: {count} change{'s' if count > 1 else ''} dropped.\n"

    # --- what names mean: `expressions.Scope` ----------------------------------------------------

    @property
    def pointer_size(self) -> int:
        """Bytes of a pointer."""
        return self.kernel.arch.pointer_size

    def symbol(self, name: str) -> int | None:
        """The address of a symbol, a field or a module."""
        return self.symbols.find(name)

    def register(self, name: str) -> int | None:
        """The value of a pseudo-register."""
        if name[:2] == "$t" and name[2:].isdecimal() and int(name[2:]) < _USER_REGISTERS:
            return self._user_registers[int(name[2:])]
        fixed = {
            "$p": self.last_value,
            "$ptrsize": self.pointer_size,
            "$pagesize": PAGE_SIZE,
        }
        if name in fixed:
            return fixed[name]
        if name in ("$retreg", "$callret"):
            step = self.target.step
            result = step.result if step is not None else 0
            if self.what_if is not None and self.called:
                result = self.returned
            return int(result) & WORD_MASK if isinstance(result, int) else 0
        if name == "$bug_code" or name[:10] == "$bug_param":
            stop = self.kernel.bugcheck
            words = (0,) * 5 if stop is None else (int(stop.code), *stop.parameters)
            place = "0" if name == "$bug_code" else name[10:]
            return words[int(place)] if place in ("0", "1", "2", "3", "4") else None
        if name[:3] == "$bp" and name[3:].isdecimal():
            return self.breakpoints.address_of(int(name[3:]))
        return None

    def set_register(self, name: str, value: int) -> None:
        """Set one of $t0 to $t19.

        Raises:
            Refusal: another register.
        """
        if name[:2] != "$t" or self.register(name) is None:
            raise Refusal(f"Bad register error at '{name}': $t0 to $t19 can be set")
        self._user_registers[int(name[2:])] = value

    def word_at(self, address: int, size: int) -> int | None:
        """Bytes of memory as a number, None where some are not mapped."""
        data = self.peek(address, size)
        return None if data is None else int.from_bytes(data, "little")

    # --- help for commands ---------------------------------------------------------------------

    def reader(self, text: str) -> Reader:
        """Read expressions off a text."""
        return Reader(text, self)

    def evaluate(self, text: str) -> int:
        """The value of a text that is one expression."""
        reader = self.reader(text)
        value = reader.expression()
        reader.end()
        return value

    def evaluate_address(self, text: str) -> int:
        """The address that a text is."""
        return self.evaluate(text) & (1 << 8 * self.pointer_size) - 1

    def peek(self, address: int, size: int) -> bytes | None:
        """Look at memory; None where some of it is not mapped, or behind the last address."""
        if address + size > 1 << 8 * self.pointer_size:
            return None
        return self.kernel.memory.peek_bytes(address, size)

    def text(self, address: int) -> str:
        """An address in full."""
        return address_text(address, self.pointer_size)

    def named(self, address: int) -> str:
        """An address as a symbol where one is near, else in full."""
        return self.symbols.text(address) or self.text(address)

    def list_of(self, text: str) -> LookasideList:
        """The list at the address that a text says."""
        address = self.evaluate_address(text)
        known = self.symbols.list_at(address)
        return self.kernel.list_at(address) if known is None else known


def _nothing(commands: str) -> str:
    """What runs commands before a session has said how."""
    return ""


Handler = Callable[[Shell, str], str]
"""A command: the shell and its arguments to what it prints."""
