"""What the pool stops the machine for, each with its parameters and one sentence.

Source:
    [doc] bug checks 0x19 and 0xC2; docs/sources.md, pool sections 3 and 6.
"""

from __future__ import annotations

from typing import Final, NoReturn, Protocol

from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import PROTECTED_POOL, PoolTag
from lookaside_sim.pool.plans import BIG_TAG, MUST_SUCCEED_BIT, PAGED_BIT

# BAD_POOL_CALLER, parameter 1.
_ALREADY_FREED: Final = 0x07
_ALLOCATE_IRQL: Final = 0x08
_FREE_IRQL: Final = 0x09
_WRONG_TAG: Final = 0x0A
_USER_ADDRESS: Final = 0x40
_INVALID_ADDRESS: Final = 0x46
_MUST_SUCCEED: Final = 0x9A
_NO_TAG: Final = 0x9B
_TAG_BIG: Final = 0x9C
# BAD_POOL_HEADER, parameter 1.
_PREVIOUS_SIZE_TOO_LARGE: Final = 0x06
_FREED_HEADER_CHANGED: Final = 0x0E
_SIZES_DISAGREE: Final = 0x20
_NOT_TRACKED: Final = 0x22
_INVALID_PARAMETERS: Final = 0x99


def _shown(tag: int) -> str:
    protected = " (Protected)" if tag & PROTECTED_POOL else ""
    return f"{PoolTag(tag)!s}{protected}"


class KnownBlocks(Protocol):
    """Who knows where blocks were allocated and freed."""

    def known(self, address: int) -> str:
        """What is known of the block at an address, live or freed; empty for nothing."""

    def known_before(self, address: int) -> str:
        """What is known of the live block in front of an address, in its page."""


class PoolStops:
    """The stops of one kernel's pools.

    Args:
        machine: the machine.
        memory: its address space.
        strict_tags: whether a free with a wrong tag always stops it.

    Attributes:
        strict_tags: as given.
        blocks: what stops say of blocks beside their addresses; None where nobody takes notes.
    """

    __slots__ = (
        "_header_size",
        "_machine",
        "_memory",
        "_unit_shift",
        "blocks",
        "strict_tags",
    )

    def __init__(self, machine: Machine, memory: Memory, *, strict_tags: bool) -> None:
        self._machine = machine
        self._memory = memory
        self._header_size = memory.arch.pool_header.size
        self._unit_shift = memory.arch.pool_header.unit_shift
        self.strict_tags = strict_tags
        self.blocks: KnownBlocks | None = None

    def history(self, address: int) -> str:
        """The end of a sentence: where the block at an address was allocated and freed."""
        known = "" if self.blocks is None else self.blocks.known(address)
        return f"; {known}" if known else ""

    def in_front(self, header: int) -> str:
        """Another end: the block whose overrun reaches a header first."""
        known = "" if self.blocks is None else self.blocks.known_before(header)
        return f"; in front of it lies {known}" if known else ""

    def refuse_allocate(self, pool_type: int, size: int, tag: int) -> NoReturn:
        """Stop the machine for a request that must not be made; which check comes first."""
        machine = self._machine
        machine.check_running()
        shown = f"{size} bytes of pool type {pool_type:#x}, tag {PoolTag(tag)!s}"
        if not tag:
            parameters, why = (_NO_TAG, pool_type, size, 0), "without a tag"
        elif tag == BIG_TAG:
            parameters, why = (_TAG_BIG, pool_type, size, 0), "with the tag 'BIG '"
        elif pool_type & MUST_SUCCEED_BIT:
            parameters, why = (_MUST_SUCCEED, pool_type, size, tag), "from must-succeed pool"
        else:
            parameters = (_ALLOCATE_IRQL, machine.gate, pool_type, size)
            why = f"at IRQL {machine.gate}"
        machine.stop(BugCheckCode.BAD_POOL_CALLER, parameters, f"asked for {shown}, {why}")

    def freed_header_changed(self, header: int) -> NoReturn:
        """Choice: of the subcodes for a changed header of a freed block, 0xE."""
        self._machine.stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_FREED_HEADER_CHANGED, header, self.ulong1(header), 0),
            f"the header of the free block at {header:#x} was changed after it was freed"
            f"{self.history(header + self._header_size)}{self.in_front(header)}",
        )

    def check_tag(self, address: int, owner: int, tag: int) -> None:
        """Stop the machine when a free names another tag than the block's and it matters.

        Choice, where sources disagree: only PROTECTED_POOL makes it matter, unless the
        kernel was made strict. Tag 0 asks for no check, which a protected block refuses.
        """
        if tag == owner:
            return
        if owner & PROTECTED_POOL or (self.strict_tags and tag):
            self._machine.stop(
                BugCheckCode.BAD_POOL_CALLER,
                (_WRONG_TAG, address, owner, tag),
                f"the block at {address:#x} has the tag {_shown(owner)} and was freed"
                f" {f'with {_shown(tag)}' if tag else 'without a tag'}{self.history(address)}",
            )

    def ulong1(self, header: int) -> int:
        """The first 32 bits of a header, wherever it is; faults where nothing is mapped."""
        header &= (1 << self._memory.arch.address_bits) - 1  # below NULL is the top of memory
        return int.from_bytes(self._memory.read(header, 4), "little")

    def refuse_free_irql(self, address: int, block_type: int) -> NoReturn:
        """Stop for a free at an IRQL at which the block's pool must not be touched."""
        machine = self._machine
        machine.check_running()
        machine.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_FREE_IRQL, machine.gate, block_type & PAGED_BIT, address),
            f"the block at {address:#x} was freed at IRQL {machine.gate}{self.history(address)}",
        )

    def already_freed(self, address: int) -> NoReturn:
        """Stop for a free of a block whose header does not say that it is in use."""
        self._machine.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_ALREADY_FREED, 0, self.ulong1(address - self._header_size), address),
            f"the block at {address:#x} is already free, or its header is overwritten"
            f"{self.history(address)}",
        )

    def sizes_disagree(self, address: int, units: int) -> NoReturn:
        """Stop for a block whose size the header behind it does not confirm."""
        entry = address - self._header_size
        length = units << self._unit_shift
        self._machine.stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_SIZES_DISAGREE, entry, entry + length, self.ulong1(entry)),
            f"the header at {entry + length:#x}, behind the block at {address:#x}, does not"
            " agree on that block's size: one of the two headers was overwritten"
            f"{self.history(address)}{self.in_front(entry)}",
        )

    def previous_size(self, address: int, previous: int) -> NoReturn:
        """Stop for a header that puts the block before it in another page."""
        entry = address - self._header_size
        self._machine.stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_PREVIOUS_SIZE_TOO_LARGE, entry - previous, 0, entry),
            f"the header at {entry:#x} puts the block before it in another page"
            f"{self.history(address)}{self.in_front(entry)}",
        )

    def user_address(self, address: int) -> NoReturn:
        """Stop for a free of pages that lie below system space."""
        self._machine.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_USER_ADDRESS, address, self._memory.arch.system_start, 0),
            f"{address:#x} was freed, which lies in the user half of the address space",
        )

    def invalid_address(self, address: int) -> NoReturn:
        """Stop for a free of what no pool allocates."""
        self._machine.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_INVALID_ADDRESS, address, 0, 0),
            f"{address:#x} was freed, which is no address that a pool allocates",
        )

    def not_tracked(self, pool_name: str, address: int) -> NoReturn:
        """Stop for a page of a pool that nobody allocated."""
        self._machine.stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_NOT_TRACKED, address, 0, 0),
            f"no allocation of {pool_name} starts at the page {address:#x}{self.history(address)}",
        )

    def extended_parameters(self, address: int) -> NoReturn:
        """Stop for a free with parameters that do not fit the block."""
        self._machine.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_INVALID_PARAMETERS, address, 0, 0),
            f"{address:#x} was freed with extended parameters, which no block here has",
        )
