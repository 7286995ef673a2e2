"""The fields of a LOOKASIDE_LIST_EX, and the bytes they are.

GENERAL_LOOKASIDE_POOL, of which the system's own lists are made, has the same fields.

Source:
    docs/sources.md, lists section 1.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from lookaside_sim.lookaside.slist_header import SEQUENCE_MASK, of_words, to_words
from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import ULONG_MASK, USHORT_MASK, PoolTag, PoolType


class ListFields:
    """The fields of one structure as plain attributes.

    Counters only grow here; they are cut to 32 bits where they are read. How Next is kept is
    up to who extends this: as a number (`PlainFields`), or as the slot at that address.

    What a call counts, it counts once, so that a hit and a miss have one store each: an entry
    taken off or put on, an allocation or a free that missed. The fields follow from these::

        total allocates = pops + allocate misses + a base
        total frees     = pops + current depth + free misses + a base
        sequence        = pops + current depth + a base

    The bases take up what is set in another way, such as by a program that overwrites the
    structure: setting one field leaves the others as they are. What is put on needs no counter
    of its own, and the current depth is a small number, of which Python makes no new object.

    Args:
        arch: whose layout it has.
    """

    __slots__ = (
        "_allocate_ex",
        "_allocates_base",
        "_blink",
        "_depth",
        "_flink",
        "_free_ex",
        "_frees_base",
        "_future",
        "_held",
        "_last_allocate_misses",
        "_last_total_allocates",
        "_maximum_depth",
        "_missed_allocates",
        "_missed_frees",
        "_pops",
        "_reserved",
        "_scanned_pops",
        "_sequence_base",
        "_size",
        "_tag",
        "_type",
        "arch",
    )

    arch: Architecture
    _held: int
    _pops: int
    _missed_allocates: int
    _missed_frees: int
    _allocates_base: int
    _frees_base: int
    _sequence_base: int
    _reserved: int
    _depth: int
    _maximum_depth: int
    _type: int
    _tag: int
    _size: int
    _allocate_ex: int
    _free_ex: int
    _flink: int
    _blink: int
    _last_total_allocates: int
    _last_allocate_misses: int
    _scanned_pops: int
    """Pops when TotalAllocates last was LastTotalAllocates; -1 when that cannot be told by pops."""
    _future: tuple[int, ...]

    def __init__(self, arch: Architecture) -> None:
        self.arch = arch
        self.set_fields(bytes(arch.lookaside_size))

    @property
    @abstractmethod
    def _first(self) -> int:
        """Next: address of the newest free entry, 0 for none."""

    @_first.setter
    @abstractmethod
    def _first(self, address: int) -> None: ...

    # --- as bytes ------------------------------------------------------------------------

    @property
    def image_size(self) -> int:
        """Bytes of the structure."""
        return self.arch.lookaside_size

    def store_image(self) -> bytes:
        """Render the structure's bytes."""
        return self.store_fields()

    def store_fields(self) -> bytes:
        """Render the fields as bytes."""
        arch = self.arch
        rest = arch.lookaside_list.pack(
            self._depth,
            self._maximum_depth,
            self._total_allocates & ULONG_MASK,
            self._allocate_misses & ULONG_MASK,
            self._total_frees & ULONG_MASK,
            self._free_misses & ULONG_MASK,
            self._type,
            self._tag,
            self._size,
            self._allocate_ex,
            self._free_ex,
            self._flink,
            self._blink,
            self._last_total_allocates & ULONG_MASK,
            self._last_allocate_misses & ULONG_MASK,
            *self._future,
        )
        head = self.store_head()
        return head + rest[len(head) - arch.slist_header_size :]

    def set_fields(self, image: bytes) -> None:
        """Take every field from the structure's bytes."""
        (
            *_,
            self._type,
            self._tag,
            self._size,
            self._allocate_ex,
            self._free_ex,
            self._flink,
            self._blink,
            self._last_total_allocates,
            self._last_allocate_misses,
            future,
            future_2,
        ) = self.arch.lookaside_list.unpack_from(image, self.arch.slist_header_size)
        self._future = future, future_2
        self.set_head(image)

    def store_head(self) -> bytes:
        """Render the fields that a hit touches: the structure's first bytes."""
        arch = self.arch
        sequence = (
            self._sequence_base + self._pops + self._held & SEQUENCE_MASK[arch.pointer_size]
        )
        return arch.lookaside_head.pack(
            *to_words(arch, self._first, self._held, sequence, self._reserved),
            self._depth,
            self._maximum_depth,
            self._total_allocates & ULONG_MASK,
            self._allocate_misses & ULONG_MASK,
            self._total_frees & ULONG_MASK,
            self._free_misses & ULONG_MASK,
        )

    def set_head(self, image: bytes) -> None:
        """Take the fields that a hit touches from the structure's first bytes."""
        arch = self.arch
        (
            *words,
            self._depth,
            self._maximum_depth,
            total_allocates,
            self._missed_allocates,
            total_frees,
            self._missed_frees,
        ) = arch.lookaside_head.unpack_from(image)
        self._first, held, sequence, self._reserved = of_words(arch, words)
        self._pops, self._held = 0, held
        self._allocates_base = total_allocates - self._missed_allocates
        self._frees_base = total_frees - self._missed_frees - held
        self._sequence_base = sequence - held
        self._scanned_pops = -1

    # --- one field at a time -----------------------------------------------------------------

    def _set_held(self, held: int) -> None:
        """Set ListHead.Depth alone."""
        less = self._held - held
        self._held = held
        self._frees_base += less
        self._sequence_base += less

    @property
    def _total_allocates(self) -> int:
        return self._pops + self._missed_allocates + self._allocates_base

    @_total_allocates.setter
    def _total_allocates(self, count: int) -> None:
        self._allocates_base = count - self._pops - self._missed_allocates
        self._scanned_pops = -1

    @property
    def _allocate_misses(self) -> int:
        return self._missed_allocates

    @_allocate_misses.setter
    def _allocate_misses(self, count: int) -> None:
        self._allocates_base += self._missed_allocates - count
        self._missed_allocates = count
        self._scanned_pops = -1

    @property
    def _total_frees(self) -> int:
        return self._pops + self._held + self._missed_frees + self._frees_base

    @_total_frees.setter
    def _total_frees(self, count: int) -> None:
        self._frees_base = count - self._pops - self._held - self._missed_frees

    @property
    def _free_misses(self) -> int:
        return self._missed_frees

    @_free_misses.setter
    def _free_misses(self, count: int) -> None:
        self._frees_base += self._missed_frees - count
        self._missed_frees = count

    def _count_pop(self) -> None:
        """An entry is off: one less is held, and nothing else changes."""
        self._set_held(self._held - 1 & USHORT_MASK)

    def _count_push(self) -> None:
        """An entry is on: one more is held, and Sequence grows."""
        self._set_held(self._held + 1 & USHORT_MASK)
        self._sequence_base += 1

    # --- as values -----------------------------------------------------------------------

    def _now(self) -> ListFields:
        """The fields as they are now, wherever they lie."""
        return self

    @property
    def total_allocates(self) -> int:
        """TotalAllocates: allocate calls, as a ULONG."""
        return self._now()._total_allocates & ULONG_MASK

    @property
    def allocate_misses(self) -> int:
        """AllocateMisses: allocate calls that found the list empty, as a ULONG."""
        return self._now()._allocate_misses & ULONG_MASK

    @property
    def total_frees(self) -> int:
        """TotalFrees: free calls, as a ULONG."""
        return self._now()._total_frees & ULONG_MASK

    @property
    def free_misses(self) -> int:
        """FreeMisses: free calls that found the list full, as a ULONG."""
        return self._now()._free_misses & ULONG_MASK

    @property
    def last_total_allocates(self) -> int:
        """LastTotalAllocates: TotalAllocates at the last depth scan."""
        return self._now()._last_total_allocates & ULONG_MASK

    @property
    def last_allocate_misses(self) -> int:
        """LastAllocateMisses: AllocateMisses at the last depth scan."""
        return self._now()._last_allocate_misses & ULONG_MASK

    @property
    def depth(self) -> int:
        """Depth: entries the list may hold now."""
        return self._now()._depth

    @property
    def maximum_depth(self) -> int:
        """MaximumDepth: ceiling of the depth; 0xFFFF marks a disabled list."""
        return self._now()._maximum_depth

    @property
    def current_depth(self) -> int:
        """ListHead.Depth: entries on the list now."""
        return self._now()._held

    @property
    def first(self) -> int:
        """ListHead.Next: address of the newest free entry, 0 for none."""
        return self._now()._first

    @property
    def size(self) -> int:
        """Size: bytes of an entry, the minimum applied."""
        return self._now()._size

    @property
    def tag(self) -> PoolTag:
        """Tag of the entries."""
        return PoolTag(self._now()._tag)

    @property
    def type(self) -> PoolType:
        """Type: the pool type with the flags' bits merged in."""
        return PoolType(self._now()._type)

    @property
    def allocate_ex(self) -> int:
        """AllocateEx: address of the allocate routine."""
        return self._now()._allocate_ex

    @property
    def free_ex(self) -> int:
        """FreeEx: address of the free routine."""
        return self._now()._free_ex


class PlainFields(ListFields):
    """The fields with Next as a number."""

    __slots__ = ("_first",)

    _first: int

    @classmethod
    def of_image(cls, arch: Architecture, image: bytes) -> Self:
        """The fields that some bytes are."""
        found = cls(arch)
        found.set_fields(image)
        return found
