"""The allocator under test, and what is done to it: calls, each looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from lookaside_sim.allocator import Layout
from lookaside_sim.testing.conformance.backend import (
    ALIGNMENT,
    Backend,
    Block,
    pattern,
    required_alignment,
)
from lookaside_sim.testing.conformance.contract import Broken, Factory, check_methods

__all__ = ["Subject"]


class Subject:
    """One allocator with the memory it is given.

    Each method but the questions calls the allocator once, and finds the contract broken when
    the call raises or touches memory that is not the allocator's.

    Args:
        factory: makes the allocator.
        size: bytes of an entry.
        level: the contract, one of `LEVELS`.
        reuse: whether the backend hands out addresses again at once.
        alignment: what entries must be aligned to; None is 16 bytes for a lookaside list,
            whose entries are pool blocks, and what the size can need for the others.

    Attributes:
        backend: its memory.
        size: bytes of an entry.
        kept: blocks that it took for itself when it was created.
    """

    def __init__(
        self, factory: Factory, size: int, level: str, *, reuse: bool, alignment: int | None
    ) -> None:
        self.backend = Backend(size, reuse=reuse)
        self.size = size
        self.kept = 0
        self._factory = factory
        self._level = level
        self._alignment = alignment or (
            ALIGNMENT if level == "lookaside" else required_alignment(size)
        )
        self._allocator: Any = None
        self._read: Callable[[int, int], bytes] | None = None
        self._write: Callable[[int, bytes], None] | None = None

    # --- calls -----------------------------------------------------------------------------

    def create(self) -> None:
        """Make the allocator.

        Raises:
            Broken: the factory raised, or touched foreign memory.
            TypeError: the allocator lacks a method of the level.
        """
        made = self._call("factory", self._factory, self.backend, self.size)
        check_methods(made, self._level)
        self._allocator = made
        self._read = getattr(made, "read", None)
        self._write = getattr(made, "write", None)
        self.kept = len(self.backend.blocks)

    def allocate(self) -> int | None:
        """Ask for an entry; `hand_out` says whether it is a good one.

        Returns:
            Its address, or None.

        Raises:
            Broken: the call failed, or what it returned is no address.
        """
        try:
            entry = self._allocator.allocate()
        except Exception as error:
            self._fail_raised("allocate()", error)
        if self.backend.violation is not None:
            self._fail_violation("allocate()")
        if entry is None or (isinstance(entry, int) and not isinstance(entry, bool)):
            return entry
        raise Broken(
            f"allocate() returned {entry!r}, which is neither an int nor None",
            {"allocate()": "int | None"},
            {"allocate()": entry},
        )

    def hand_out(self, entry: int) -> Block:
        """Take an entry over and write its contents, as its owner does.

        Args:
            entry: what `allocate` returned.

        Returns:
            The block that it lies in.

        Raises:
            Broken: it lies outside, is not aligned, overlaps another or is live already.
        """
        block = self.backend.hand_out(entry, self._alignment)
        if isinstance(block, str):
            raise Broken(
                f"allocate(): {block}",
                {"allocate()": f"{self.size} bytes of its own, aligned to {self._alignment}"},
                {"allocate()": entry},
            )
        if self._write is not None:
            self._call("write()", self._write, entry, pattern(entry, self.size))
        return block

    def free(self, entry: int, block: Block) -> None:
        """Give an entry back, after looking at its contents.

        Args:
            entry: its address.
            block: what `hand_out` returned.

        Raises:
            Broken: the contents changed, or the call failed.
        """
        if self._read is not None:
            self.check_contents(entry)
        self.backend.take_back(block, entry)
        try:
            self._allocator.free(entry)
        except Exception as error:
            self._fail_raised(f"free({entry:#x})", error)
        if self.backend.violation is not None:
            self._fail_violation(f"free({entry:#x})")

    def flush(self) -> list[int] | None:
        """Flush the allocator if it can be.

        Returns:
            The blocks that it gave back, in order; None if it has no flush.

        Raises:
            Broken: the call failed.
        """
        flush = getattr(self._allocator, "flush", None)
        if flush is None:
            return None
        self.backend.given_back.clear()
        self._call("flush()", flush)
        return self.backend.given_back

    def tick(self, seconds: int) -> None:
        """Let seconds pass if the allocator knows of time."""
        tick = getattr(self._allocator, "tick", None)
        if tick is not None:
            self._call(f"tick({seconds})", tick, seconds)

    def set_counters(self, counters: Mapping[str, int]) -> None:
        """Set its counters, if `has_settable_counters`."""
        self._call("set_counters()", self._allocator.set_counters, counters)

    def delete(self) -> None:
        """Delete the allocator."""
        self._call("delete()", self._allocator.delete)

    # --- questions -------------------------------------------------------------------------

    @property
    def has_settable_counters(self) -> bool:
        """Whether the wrap of its counters can be reached."""
        return getattr(self._allocator, "set_counters", None) is not None

    def counters(self) -> Mapping[str, object]:
        """What the allocator reports.

        Raises:
            Broken: it raised, or reported no mapping.
        """
        try:
            return dict(self._allocator.counters())
        except Exception as error:
            self._fail_raised("counters()", error)

    def check_contents(self, entry: int) -> None:
        """See that a live entry has its owner's bytes, where the allocator keeps them.

        Raises:
            Broken: they changed.
        """
        if self._read is None:
            return
        found = self._call("read()", self._read, entry, self.size)
        wrote = pattern(entry, self.size)
        if found != wrote:
            at = next(i for i, (a, b) in enumerate(zip(found, wrote, strict=True)) if a != b)
            raise Broken(
                f"the contents of the live entry {entry:#x} changed, first in byte {at}",
                {"contents": wrote.hex(" ")},
                {"contents": bytes(found).hex(" ")},
            )

    def check_refusals(self, entry: int | None) -> None:
        """A fixed-size allocator serves its own layout only, and never resizes an entry.

        Args:
            entry: a live one, if there is any.

        Raises:
            Broken: something was not refused.
        """
        allocator, size, align = self._allocator, self.size, self._alignment
        own = Layout(size, align)
        for other in (
            Layout(size + 1, align),
            Layout(size - 1),
            Layout(2 * size, align),
            Layout(size, 2 * ALIGNMENT),
        ):
            self._refused(f"allocate_layout({other})", allocator.allocate_layout, other)
        if entry is not None:
            for name, new in (("grow", Layout(2 * size, align)), ("shrink", Layout(size // 2))):
                self._refused(f"{name}()", getattr(allocator, name), entry, own, new)
                self.check_contents(entry)

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
        raise Broken(
            f"{name} was not refused, which a fixed-size allocator must do",
            {name: "an exception, and nothing else"},
            {name: result},
        )

    # --- failing ---------------------------------------------------------------------------

    def _call(self, name: str, routine: Callable[..., Any], *arguments: object) -> Any:
        try:
            result = routine(*arguments)
        except Exception as error:
            self._fail_raised(name, error)
        if self.backend.violation is not None:
            self._fail_violation(name)
        return result

    def _fail_raised(self, name: str, error: Exception) -> NoReturn:
        raise Broken(
            f"{name} raised {type(error).__name__}: {error}",
            {name: "no exception"},
            {name: repr(error)},
        ) from error

    def _fail_violation(self, name: str) -> NoReturn:
        violation = self.backend.violation or ""
        raise Broken(
            f"during {name} the allocator {violation}",
            {name: "only memory of its own is touched"},
            {name: violation},
        )
