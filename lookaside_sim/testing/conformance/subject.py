"""The allocator under test, and what is done to it: calls, each looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lookaside_sim.nt.layouts import architecture
from lookaside_sim.testing.conformance.allocator import Factory, check_methods
from lookaside_sim.testing.conformance.backend import Backend
from lookaside_sim.testing.conformance.blocks import Block, pattern, required_alignment
from lookaside_sim.testing.conformance.calling import Calls
from lookaside_sim.testing.conformance.contract import Contract
from lookaside_sim.testing.conformance.differences import Broken
from lookaside_sim.testing.conformance.layouts import check_refusals
from lookaside_sim.testing.conformance.overtime import Overtime
from lookaside_sim.testing.programs.steps import Fail

__all__ = ["Subject"]

_LINK: Final = architecture("x64").minimum_entry_size
"""Bytes of the smallest entry of a lookaside list."""


class Subject(Calls):
    """One allocator with the memory it is given.

    Each method but the questions calls the allocator once, and finds the contract broken when
    the call raises or touches memory that is not the allocator's.

    Args:
        factory: makes the allocator.
        size: bytes of an entry.
        contract: what it promises.
        reuse: whether the backend hands out addresses again at once.

    Attributes:
        backend: its memory.
        size: bytes of an entry.
        kept: blocks that it took for itself when it was created.
    """

    def __init__(
        self, factory: Factory, size: int, contract: Contract, *, reuse: bool = False
    ) -> None:
        super().__init__(Backend(size, reuse=reuse, own=contract.memory == "own"))
        self.size = size
        self.kept = 0
        self._factory = factory
        self._contract = contract
        self._alignment = contract.alignment
        self._sized = contract.sized
        self._is_list = contract.depth == "policy"
        self._allocator: Any = None
        self._read: Callable[[int, int], bytes] | None = None
        self._write: Callable[[int, bytes], None] | None = None

    # --- calls -----------------------------------------------------------------------------

    def create(self, refused: Fail | None = None) -> bool:
        """Make the allocator.

        Args:
            refused: which requests are refused meanwhile.

        Returns:
            False if it could not be made, because memory was refused.

        Raises:
            Broken: the factory raised, or touched foreign memory, or left memory behind.
            TypeError: the allocator lacks a method of the contract.
        """
        backend = self.backend
        if refused is not None:
            backend.refuse.plan(refused.count, refused.after, refused.bursts)
        try:
            made = self._factory(backend, self.size)
        except MemoryError as error:
            if not backend.refusals:
                self._fail_raised("factory", error)
            made = None
        except (Exception, Overtime) as error:
            self._fail_raised("factory", error)
        backend.refuse.clear()
        if backend.violation is not None:
            self._fail_violation("factory")
        if made is None and backend.refusals:
            if backend.blocks:
                raise Broken(
                    f"the allocator could not be made, and left {len(backend.blocks)} of the"
                    " backend's blocks behind",
                    {"blocks": 0},
                    {"blocks": len(backend.blocks)},
                )
            return False
        contract = self._contract
        level = contract.level
        name = f"level {level!r}" if level else repr(contract)
        check_methods(made, contract.methods, name)
        self._allocator = made
        self._read = getattr(made, "read", None)
        self._write = getattr(made, "write", None)
        self.kept = len(backend.blocks)
        return True

    def alignment_of(self, size: int, asked: int | None = None) -> int:
        """What an entry of a size must be aligned to, in bytes.

        Args:
            size: its bytes.
            asked: what the request asked for.
        """
        return max(self._alignment or required_alignment(size), asked or 1)

    def allocate(self, size: int | None = None, alignment: int | None = None) -> int | None:
        """Ask for an entry; `hand_out` says whether it is a good one.

        Args:
            size: its bytes, for an allocator that takes them.
            alignment: likewise.

        Returns:
            Its address, or None.

        Raises:
            Broken: the call failed, or what it returned is no address.
        """
        entry: object
        self.begin()
        try:
            if not self._sized:
                entry = self._allocator.allocate()
            elif self._contract.aligned:
                size = size or self.size
                entry = self._allocator.allocate(size, self.alignment_of(size, alignment))
            else:
                entry = self._allocator.allocate(size or self.size)
        except MemoryError:
            entry = None
        except (Exception, Overtime) as error:
            self._fail_raised("allocate()", error)
        if self.backend.violation is not None:
            self._fail_violation("allocate()")
        return self._address("allocate()", entry)

    def hand_out(
        self, entry: int, size: int | None = None, alignment: int | None = None
    ) -> Block:
        """Take an entry over and write its contents, as its owner does.

        Args:
            entry: what `allocate` returned.
            size: its bytes; None for those of every entry.
            alignment: what the request asked for.

        Returns:
            The block that it lies in.

        Raises:
            Broken: it lies outside, is not aligned, overlaps another, is live already, is not
                zeroed, or is of a list and too small for a link.
        """
        size = size or self.size
        needed = self.alignment_of(size, alignment)
        if self._contract.zeroed:
            self._check_zeroed(entry, size)
        block = self.backend.hand_out(entry, needed, size)
        if isinstance(block, str):
            raise Broken(
                f"allocate(): {block}",
                {"allocate()": f"{size} bytes of its own, aligned to {needed}"},
                {"allocate()": entry},
            )
        if self._is_list:
            room = block.address + block.size - entry
            if room < _LINK:
                raise Broken(
                    f"the entry {entry:#x} of {size} bytes has a block with no room for a link:"
                    f" a list raises the size of its entries to {_LINK}",
                    {"bytes of the block": _LINK},
                    {"bytes of the block": room},
                )
        if self._write is not None:
            self._call("write()", self._write, entry, pattern(entry, size))
        return block

    def _check_zeroed(self, entry: int, size: int) -> None:
        if self._read is not None and (
            self._contract.memory == "own" or self.backend.holds(entry, size)
        ):
            found = self._call("read()", self._read, entry, size)
        elif self.backend.holds(entry, size):
            found = self.backend.contents(entry, size)
        else:
            return  # in no block, which is told in a moment
        if found is None or any(found):
            raise Broken(
                f"the entry {entry:#x} is not all zeros when it is handed out",
                {"contents": "zeros"},
                {"contents": "never written" if found is None else bytes(found).hex(" ")},
            )

    def free(self, entry: int, block: Block, size: int | None = None) -> None:
        """Give an entry back, after looking at its contents.

        Args:
            entry: its address.
            block: what `hand_out` returned.
            size: its bytes; None for those of every entry.

        Raises:
            Broken: the contents changed, or the call failed.
        """
        if self._read is not None:
            self.check_contents(entry, size)
        self.backend.take_back(block, entry)
        self.begin()
        try:
            self._allocator.free(entry)
        except (Exception, Overtime) as error:
            self._fail_raised(f"free({entry:#x})", error)
        if self.backend.violation is not None:
            self._fail_violation(f"free({entry:#x})")

    def reallocate(
        self, entry: int, block: Block, old: int, new: int
    ) -> tuple[int, Block] | None:
        """Give an entry another size.

        Args:
            entry: its address.
            block: the block that it lies in.
            old: its bytes until now.
            new: its bytes from now on.

        Returns:
            Its new address and block, or None if there was no memory: it is as it was.

        Raises:
            Broken: the call failed, or contents were lost.
        """
        self.check_contents(entry, old)
        wrote = pattern(entry, old)
        self.backend.keep_contents(block)
        self.backend.take_back(block, entry)
        name = f"reallocate({entry:#x}, {new})"
        try:
            moved = self._address(
                name, self._call(name, self._allocator.reallocate, entry, new)
            )
        except Broken as broken:
            if not isinstance(broken.__cause__, MemoryError):
                raise
            moved = None
        if moved is None:
            if not self.backend.refusals:
                raise Broken(
                    f"{name} returned None although no memory was ever refused",
                    {name: "an entry"},
                    {name: None},
                )
            self.hand_out(entry, old)
            return None
        both = min(old, new)
        found = self._contents(moved, both)
        if found is not None and found != wrote[:both]:
            raise Broken(
                f"{name} did not keep the first {both} bytes of the entry",
                {"contents": wrote[:both].hex(" ")},
                {"contents": found.hex(" ")},
            )
        return moved, self.hand_out(moved, new)

    def _contents(self, entry: int, size: int) -> bytes | None:
        if self._read is not None:
            return bytes(self._call("read()", self._read, entry, size))
        return self.backend.contents(entry, size)

    def free_wrongly(self, address: int) -> Exception | None:
        """Free what may not be freed.

        Args:
            address: which.

        Returns:
            What it raised.

        Raises:
            Broken: it touched memory that is not the allocator's.
        """
        raised: Exception | None = None
        try:
            self._allocator.free(address)
        except SystemExit as end:
            raised = RuntimeError(f"SystemExit: {end}")
        except Exception as error:
            raised = error
        if self.backend.violation is not None:
            self._fail_violation(f"free({address:#x})")
        return raised

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
        """What the allocator reports; nothing if it has no counters.

        Raises:
            Broken: it raised, or reported no mapping.
        """
        counters = getattr(self._allocator, "counters", None)
        if counters is None:
            return {}
        try:
            return dict(counters())
        except (Exception, Overtime) as error:
            self._fail_raised("counters()", error)

    def check_contents(self, entry: int, size: int | None = None) -> None:
        """See that a live entry has its owner's bytes, where the allocator keeps them.

        Raises:
            Broken: they changed.
        """
        if self._read is None:
            return
        size = size or self.size
        found = self._call("read()", self._read, entry, size)
        wrote = pattern(entry, size)
        if found != wrote:
            at = next(
                (i for i, (a, b) in enumerate(zip(found, wrote, strict=False)) if a != b),
                min(len(found), size),
            )
            raise Broken(
                f"the contents of the live entry {entry:#x} changed, first in byte {at}",
                {"contents": wrote.hex(" ")},
                {"contents": bytes(found).hex(" ")},
            )

    def check_refusals(self, entry: int | None) -> None:
        """See that other layouts and sizes are refused; see `layouts.check_refusals`."""
        check_refusals(
            self._allocator, self.backend, self.size, self.alignment_of(self.size), entry
        )
        if entry is not None:
            self.check_contents(entry)
