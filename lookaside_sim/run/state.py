"""What a view shows of a machine: its lists, its live blocks, where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import attrs

from lookaside_sim.errors import BugCheck
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.fields import ListFields
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.run.rows import Key

HELD: Final = "ListHead.Depth"
GETTERS: Final = {
    HELD: "current_depth",
    "Depth": "depth",
    "MaximumDepth": "maximum_depth",
    "TotalAllocates": "total_allocates",
    "AllocateMisses": "allocate_misses",
    "TotalFrees": "total_frees",
    "FreeMisses": "free_misses",
    "Type": "type",
    "Tag": "tag",
    "Size": "size",
    "LastTotalAllocates": "last_total_allocates",
    "LastAllocateMisses": "last_allocate_misses",
    "AllocateEx": "allocate_ex",
    "FreeEx": "free_ex",
}
"""How a list's fields are read, by NT's names."""
FIELDS: Final = tuple(GETTERS)
"""The fields that a state has of a list, by NT's names."""
COUNTERS: Final = (HELD, "TotalAllocates", "AllocateMisses", "TotalFrees", "FreeMisses")
"""Those that count; nothing else changes by a hit or a plain miss."""
MACHINE_FIELDS: Final = ("Seconds", "Irql", "Processor")
_LONGEST: Final = 0x20000
"""Entries of a chain that are followed."""


@attrs.define
class ListState:
    """A list, as it lies in memory.

    Attributes:
        address: where it lies.
        name: symbol at its address.
        fields: by NT's names, see `FIELDS`; ``ListHead.Depth`` is how many entries it says it
            holds.
        entries: its chain, newest first, as the links lead: up to an entry that is not mapped,
            which is the last one, or to one that was there before, which is then both.
    """

    address: int
    name: str
    fields: dict[str, int]
    entries: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of an entry."""
        return self.fields["Size"]

    @property
    def tag(self) -> PoolTag:
        """Tag of the entries."""
        return PoolTag(self.fields["Tag"])

    @property
    def pool_type(self) -> PoolType:
        """The pool type with the flags' bits merged in."""
        return PoolType(self.fields["Type"])

    @property
    def pool(self) -> PoolType:
        """The pool type, by the name it has in documents."""
        return self.pool_type

    def copy(self) -> ListState:
        """One that changes by itself."""
        return ListState(self.address, self.name, dict(self.fields), self.entries)


@attrs.frozen
class Block:
    """A live block.

    Attributes:
        size: bytes asked for.
        tag: its tag, as it was asked for.
        pool_type: the type that was asked for, modifier bits included; of a block older than
            the run what its header keeps of it.
        step: number of the step that made it; None for one older than the run.
    """

    size: int
    tag: PoolTag
    pool_type: PoolType
    step: int | None = None


@attrs.frozen
class Stopped:
    """A stop.

    Attributes:
        code: the stop code.
        parameters: its four.
        text: what happened.
    """

    code: int
    parameters: tuple[int, ...]
    text: str

    @classmethod
    def of(cls, stop: BugCheck) -> Stopped:
        """What a state keeps of a stop."""
        return cls(int(stop.code), tuple(stop.parameters), stop.message)


@attrs.define
class State:
    """What views show.

    Attributes:
        lists: the active lists, by address.
        blocks: the live blocks, by address.
        machine: seconds, IRQL and processor, by the names in `MACHINE_FIELDS`.
        stop: what stopped it, or None.
    """

    lists: dict[int, ListState] = attrs.field(factory=dict)
    blocks: dict[int, Block] = attrs.field(factory=dict)
    machine: dict[str, int] = attrs.field(factory=dict)
    stop: Stopped | None = None

    @property
    def seconds(self) -> int:
        """Seconds simulated so far."""
        return self.machine["Seconds"]

    @property
    def irql(self) -> int:
        """The IRQL of the processor that runs."""
        return self.machine["Irql"]

    @property
    def processor(self) -> int:
        """Number of the processor that runs."""
        return self.machine["Processor"]

    def copy(self) -> State:
        """One that changes by itself."""
        lists = {address: each.copy() for address, each in self.lists.items()}
        return State(lists, dict(self.blocks), dict(self.machine), self.stop)


# --- looking at a machine ------------------------------------------------------------------------


def look(kernel: Kernel, block: Callable[[int], Block]) -> State:
    """See the state of a machine; nothing stops or changes.

    Args:
        kernel: the machine.
        block: what is known of the live block at an address.
    """
    lists = {each.address: each for each in map(look_at, active(kernel)) if each is not None}
    blocks = {address: block(address) for address in live_blocks(kernel)}
    stop = kernel.bugcheck
    return State(
        lists, blocks, machine_fields(kernel), None if stop is None else Stopped.of(stop)
    )


def active(kernel: Kernel) -> Iterator[LookasideList]:
    """The lists that were initialized and not deleted, by nothing in particular."""
    for each in kernel.registry.all():
        if isinstance(each, LookasideList):
            yield each


def look_at(lookaside: LookasideList) -> ListState | None:
    """See a list; None where its memory is gone."""
    fields = lookaside.peek()
    if fields is None:
        return None
    chain = chain_from(lookaside, fields.first)
    return ListState(lookaside.address, lookaside.name, fields_of(fields), chain)


def fields_of(seen: ListFields) -> dict[str, int]:
    """The fields of a list by NT's names."""
    return {name: int(getattr(seen, getter)) for name, getter in GETTERS.items()}


def counters_of(seen: ListFields) -> dict[str, int]:
    """The counters of a list by NT's names."""
    return {
        HELD: seen.current_depth,
        "TotalAllocates": seen.total_allocates,
        "AllocateMisses": seen.allocate_misses,
        "TotalFrees": seen.total_frees,
        "FreeMisses": seen.free_misses,
    }


def chain_from(lookaside: LookasideList, entry: int) -> tuple[int, ...]:
    """The entries from one on, as `ListState.entries` has them."""
    peek = lookaside.machine.memory.peek_pointer
    lost = lookaside.arch.next_entry_lost_bits
    chain: dict[int, None] = {}
    while entry and len(chain) < _LONGEST:
        if entry in chain:
            return (*chain, entry)
        chain[entry] = None
        link = peek(entry)
        entry = 0 if link is None else link & ~lost
    return tuple(chain)


def live_blocks(kernel: Kernel) -> Iterable[int]:
    """Addresses of the live blocks, special pool too."""
    yield from kernel.pool.live_blocks()
    verification = kernel.verification
    special = None if verification is None else verification.special_pool
    if special is not None:
        yield from special.blocks


def block_at(kernel: Kernel, address: int, step: int | None) -> Block:
    """What there is to say of a live block."""
    found = kernel.pool.find(address)
    if found is None or found.address != address:  # its header was overwritten
        return Block(0, PoolTag(0), PoolType(0), step)
    return Block(found.size, found.tag, found.pool_type, step)


def machine_fields(kernel: Kernel) -> dict[str, int]:
    """Where a machine stands, by the names in `MACHINE_FIELDS`."""
    return {
        "Seconds": kernel.seconds,
        "Irql": int(kernel.irql),
        "Processor": kernel.processor,
    }


def block_of_list(lookaside: LookasideList, step: int) -> Block:
    """The block that a list is about to ask for."""
    seen = lookaside.peek()
    if seen is None:
        return Block(0, PoolTag(0), PoolType(0), step)
    return Block(seen.size, seen.tag, seen.type, step)


def block_of_request(key: Key, step: int) -> Block:
    """The block that a pool call asks for, by the call's key."""
    return Block(key[1], PoolTag(key[2]), PoolType(key[0]), step)
