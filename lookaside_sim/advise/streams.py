"""The calls of a trace, apart by the list that would serve them, second by second."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from lookaside_sim.advise.sorting import WORTH, by_kind, sorter
from lookaside_sim.advise.words import ALLOCATE, FREE
from lookaside_sim.errors import TraceError
from lookaside_sim.nt.types import NONE_TAG, PoolTag, PoolType
from lookaside_sim.trace.columns import Columns
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.format import Trace
from lookaside_sim.trace.packed import MICROSECONDS, RARE, Block

_BATCH: Final = 1000
_AT_ONCE: Final = 1 << 22
"""Calls that are held back at most, about, before a second is over."""
_SHARE: Final = 96
"""A kind with this part of a block's calls is taken out of it in one step, not call by call."""
_FEW: Final = 40
"""So few kinds are taken out in one step each, whatever their part is."""
_CALLS: Final = [
    bytes(code & 1 ^ ALLOCATE if code >> 1 == place else 0 for code in range(256))
    for place in range(_SHARE)
]
_OTHERS: Final = [
    bytes(code for code in range(256) if code >> 1 != place) for place in range(_SHARE)
]
"""For `bytes.translate`: the calls of the kind at a place, and the codes of all others."""


class Key(NamedTuple):
    """What calls must have in common to be served by one list."""

    pool: int
    """The pool type with its modifier bits."""
    size: int
    """Bytes."""
    tag: PoolTag | None
    """The pool tag; None where lists serve all tags."""
    site: str | None
    """The call site; None where lists serve all sites."""

    @property
    def paged(self) -> bool:
        """Whether the list would be a paged one."""
        return bool(self.pool & PoolType.PagedPool)


Taken = tuple[int, dict[Key, bytes]]
"""A second, and the calls in it for each list that has any: 1 allocates, 0 frees."""
Apart = Callable[[int, int, PoolTag, "str | None"], "Key | None"]
"""Chooses the list for a pool type, size, tag and site; None for none."""


def by_tag(pool: int, size: int, tag: PoolTag, site: str | None) -> Key:
    """A list for each pool type, size and tag."""
    return Key(pool, size, tag, None)


def by_size(pool: int, size: int, tag: PoolTag, site: str | None) -> Key:
    """A list for each pool type and size."""
    return Key(pool, size, None, None)


def by_site(pool: int, size: int, tag: PoolTag, site: str | None) -> Key:
    """A list for each pool type, size, tag and call site."""
    return Key(pool, size, tag, site)


def _uncounted(call: int) -> None:
    """Add a call of a kind that no list is asked for."""


class Streams:
    """Takes a trace's calls apart.

    Args:
        name: what errors call the trace.
        apart: chooses the list for a call.
    """

    __slots__ = (
        "_adds",
        "_apart",
        "_bad",
        "_by_number",
        "_by_size",
        "_counted",
        "_lists",
        "_live",
        "_name",
        "_one_by_one",
        "_streams",
        "_waiting",
        "second",
    )

    def __init__(self, name: str, apart: Apart = by_tag) -> None:
        self._name = name
        self._apart = apart
        self._streams: dict[Key, bytearray] = {}
        # How calls of a size are added, and those of a packed trace's kind by its number.
        self._by_size: dict[int, Callable[[int], None]] = {}
        self._by_number: list[bytearray | None] = []
        self._adds: list[Callable[[int], None] | None] = []
        self._counted: set[int] = set()
        self._one_by_one = 0
        self._bad: set[int] = set()
        self._live: dict[int, Callable[[int], None]] = {}
        self._lists: dict[str, tuple[int, int, PoolTag]] = {}
        self._waiting = 0
        self.second = 0

    def add(self, chunk: Columns | list[Event] | Block) -> Iterator[Taken]:
        """Take events apart, in order of time.

        Args:
            chunk: the next events.

        Yields:
            The calls of each second that is over. One with many calls comes more than once.

        Raises:
            TraceError: an event that cannot follow those before it.
        """
        if isinstance(chunk, Columns):
            yield from self._columns(chunk)
        elif isinstance(chunk, Block):
            yield from self._block(chunk)
        else:
            yield from self._events(chunk)
        self._waiting += _length(chunk)
        if self._waiting > _AT_ONCE:
            yield self.taken()

    def taken(self) -> Taken:
        """The calls of the present second so far, which are forgotten."""
        found = {}
        self._waiting = 0
        for key, stream in self._streams.items():
            if stream:
                found[key] = bytes(stream)
                stream.clear()
        return self.second, found

    def _columns(self, chunk: Columns) -> Iterator[Taken]:
        times = chunk.times
        start, length = 0, len(times)
        while start < length:
            end = length
            if times[-1] >= (self.second + 1) * MICROSECONDS:
                end = bisect_left(times, (self.second + 1) * MICROSECONDS, start)
            self._heap_calls(chunk, start, end)
            if end < length:
                yield self.taken()
                self.second = times[end] // MICROSECONDS
            start = end

    def _heap_calls(self, chunk: Columns, start: int, end: int) -> None:
        by_size, live = self._by_size, self._live
        at = start
        try:
            for at, identity, size in zip(
                range(start, end), chunk.ids[start:end], chunk.sizes[start:end], strict=True
            ):
                if size is None:
                    live.pop(identity)(FREE)
                else:
                    add = by_size.get(size)
                    if add is None:
                        stream = self._stream_of(self._apart(0, size, NONE_TAG, None))
                        add = _uncounted if stream is None else stream.append
                        by_size[size] = add
                    if identity in live:
                        raise self._still_live(identity, chunk.line + at)
                    live[identity] = add
                    add(ALLOCATE)
        except KeyError:
            raise self._not_live(chunk.ids[at], chunk.line + at) from None

    def _events(self, events: list[Event]) -> Iterator[Taken]:
        live = self._live
        for event in events:
            if event.time >= (self.second + 1) * MICROSECONDS:
                yield self.taken()
                self.second = event.time // MICROSECONDS
            identity = event.id
            if event.op == "alloc":
                if identity is None or identity in live:
                    raise self._still_live(identity, event.line)
                stream = self._stream_for(event)
                add = _uncounted if stream is None else stream.append
                live[identity] = add
                add(ALLOCATE)
            elif event.op == "free":
                if identity is None or identity not in live:
                    raise self._not_live(identity, event.line)
                live.pop(identity)(FREE)
            elif event.op == "init":
                self._init(event)

    def _block(self, block: Block) -> Iterator[Taken]:
        self._learn(block)
        by_number = self._by_number
        rare_done = 0
        # Codes are dropped as early as they can be: most of all where few lists are asked for.
        uncounted = bytearray() if self._counted & set(block.rare) else bytearray([RARE])
        wanted: list[tuple[int, bytearray]] = []
        for place, number in enumerate(block.frequent):
            stream = by_number[number]
            if stream is None:
                uncounted += bytes((2 * place, 2 * place + 1))
            elif place < _SHARE:
                wanted.append((place, stream))
        start = 0
        for position, second in [*block.marks, (block.count, None)]:
            codes = block.codes[start:position]
            start = position
            taken = uncounted[:]
            gone = 0
            # The most frequent kinds come first, as far as the writer could know.
            for place, stream in wanted:
                calls = codes.translate(_CALLS[place], _OTHERS[place])
                stream += calls
                taken += bytes((2 * place, 2 * place + 1))
                gone += len(calls)
                if gone > len(codes) // 2:
                    codes, gone = codes.translate(None, taken), 0
                if len(wanted) > _FEW and len(calls) < len(codes) // _SHARE:
                    break
            codes = codes.translate(None, taken)
            if codes:
                rare_end = rare_done + codes.count(RARE)
                self._other_codes(block, codes, block.rare[rare_done:rare_end])
                rare_done = rare_end
            if second is not None:
                yield self.taken()
                self.second = second

    def _other_codes(self, block: Block, codes: bytes, rare: Sequence[int]) -> None:
        np = sorter(self._one_by_one) if len(codes) >= WORTH else None
        if np is not None:
            kinds = [2 * number + free for number in block.frequent for free in (0, 1)]
            for number, calls in by_kind(np, kinds, codes, rare):
                stream = self._by_number[number]
                if stream is not None:
                    stream += calls
            return
        self._one_by_one += len(codes)
        adds = self._adds
        table = [adds[number] for number in block.frequent for _ in range(2)]
        others = iter(rare)
        for code in codes:
            if code == RARE:
                code = next(others)
                add = adds[code >> 1]
            else:
                add = table[code]
            if add is not None:
                add(code & 1 ^ ALLOCATE)

    def _learn(self, block: Block) -> None:
        """Choose lists for the kinds that are new in a block; look for calls that cannot be."""
        by_number = self._by_number
        for kind in block.kinds[len(by_number) :]:
            if kind.is_still_live or kind.event.op == "free":
                self._bad.add(len(by_number))
            is_call = kind.event.op == "alloc"
            stream = self._stream_for(kind.event) if is_call else None
            by_number.append(stream)
            if stream is None:
                self._adds.append(None)
            else:
                self._counted.update((2 * len(self._adds), 2 * len(self._adds) + 1))
                self._adds.append(stream.append)
        if self._bad:
            codes = block.full_codes()
            for at, code in enumerate(codes):
                if code >> 1 in self._bad and not code & 1:
                    event = list(as_events(block))[at]
                    problem = self._not_live if event.op == "free" else self._still_live
                    raise problem(event.id, event.line)

    def _stream_of(self, key: Key | None) -> bytearray | None:
        if key is None:
            return None
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = bytearray()
        return stream

    def _stream_for(self, event: Event) -> bytearray | None:
        if event.list is not None:
            found = self._lists.get(event.list)
            if found is None:
                problem = f"{event.list!r} was never initialized"
                raise TraceError(self._name, event.line, "list", problem)
            return self._stream_of(self._apart(*found, event.site))
        if event.size is None:
            problem = "missing: 'alloc' without a list needs it"
            raise TraceError(self._name, event.line, "size", problem)
        pool = 0 if event.pool is None else int(event.pool)
        tag = NONE_TAG if event.tag is None else event.tag
        return self._stream_of(self._apart(pool, event.size, tag, event.site))

    def _init(self, event: Event) -> None:
        if event.list and event.size is not None:
            pool = 0 if event.pool is None else int(event.pool)
            tag = NONE_TAG if event.tag is None else event.tag
            self._lists[event.list] = (pool, event.size, tag)

    def _still_live(self, identity: int | None, line: int) -> TraceError:
        problem = f"{identity} is still live: free it before"
        return TraceError(self._name, line, "id", problem)

    def _not_live(self, identity: int | None, line: int) -> TraceError:
        problem = f"{identity} is not live: allocate it before"
        return TraceError(self._name, line, "id", problem)


def _length(chunk: Columns | list[Event] | Block) -> int:
    if isinstance(chunk, Block):
        count: int = chunk.count
        return count
    return len(chunk.ops if isinstance(chunk, Columns) else chunk)


def as_events(chunk: Columns | list[Event] | Block) -> Iterable[Event]:
    """The events of a chunk, one by one."""
    decoded = chunk.chunk() if isinstance(chunk, Block) else chunk
    return decoded.events() if isinstance(decoded, Columns) else decoded


def chunks_of(trace: Trace | Iterable[Event]) -> Iterable[Columns | list[Event] | Block]:
    """The events of a trace in the cheapest form that says all that `Streams` needs.

    A packed trace's kinds do not: an allocation from a list is of the kind of that list's name,
    and a name may be given to another list.
    """
    if not isinstance(trace, Trace):
        return _batches(iter(trace))
    return trace.chunks() if trace.names_lists() else trace.stored()


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH)):
        yield batch
