"""Read packed traces: blocks of events in columns, a tenth of what compressed JSON Lines take.

A *kind* of event is all it says but its time and id: an allocation of 24 bytes, an init of a
list. The file numbers kinds as they come up. A free is of the kind of the allocation it ends, with
its lowest bit set: so a reader that counts calls by kind needs no memory of who is live.

A block's most frequent kinds have codes of one byte; the others stand in a column of their own.
Ids and times are columns of differences, which who counts calls passes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from functools import partial
from itertools import accumulate, count
from pathlib import Path
from typing import Any, Final, NamedTuple

from lookaside_sim.errors import TraceError
from lookaside_sim.nt.arguments import shown
from lookaside_sim.nt.types import NONE_TAG, PoolType
from lookaside_sim.trace.columns import Columns
from lookaside_sim.trace.event import Event, Header
from lookaside_sim.trace.sections import END, EVENTS, HEAD, KINDS, MAGIC, Section, sections
from lookaside_sim.trace.text import event_of

VERSION: Final = 1
SUFFIX: Final = ".lkt"
MICROSECONDS: Final = 1_000_000
MOST_EVENTS: Final = 1 << 16
"""Events of a block."""
MOST_KINDS: Final = 1 << 20
FREQUENT: Final = 127
"""Kinds that have codes of one byte in a block."""
RARE: Final = 255
"""The code of an event whose kind stands in the column of rare ones."""
STILL_LIVE: Final = "again"
"""Marks the kind of an allocation whose id is live already: a replay refuses it."""

_EVENT: Final = partial(tuple.__new__, Event)
_FREE: Final = Event("free")


class Kind(NamedTuple):
    """All that an event says but its time and id."""

    event: Event
    """The event at time 0, without id."""
    is_still_live: bool
    """Whether it allocates an id that is live already."""

    @property
    def is_heap(self) -> bool:
        """Whether it is an allocation as heap traces have it."""
        event = self.event
        return (
            event.op == "alloc"
            and event.list is None
            and event.tag == NONE_TAG
            and event.pool == PoolType.NonPagedPool
            and event.site is None
        )


class Block:
    """Consecutive events of a packed trace.

    Args:
        section: the section, whose first part was read as ``head``.
        head: what that part says.
        kinds: the kinds known so far.
        no_frees: twice the number, plus 1, of each kind that is no allocation.

    Attributes:
        line: line that the first event would have as JSON.
        count: of its events.
        kinds: the file's kinds by number.
        frequent: numbers of the kinds with codes of one byte.
        marks: position and second of each event that is the first of a second.
        codes: of each event, one byte: twice the place among the frequent kinds, plus 1 for a
            free; or `RARE`.
        rare: twice the number of the kind, plus 1 for a free, of each rare event.
    """

    __slots__ = (
        "_ids",
        "_no_frees",
        "_section",
        "_times",
        "codes",
        "count",
        "frequent",
        "kinds",
        "line",
        "marks",
        "rare",
    )

    def __init__(
        self, section: Section, head: Any, kinds: list[Kind], no_frees: Set[int]
    ) -> None:
        self._section = section
        self._no_frees = no_frees
        self.line = section.line
        self.kinds = kinds
        try:
            self.count, times, ids, self.frequent, self.marks = head
            self._times = _integers(times, 2)
            self._ids = _integers(ids, 2)
            _integers([self.count], 1)
            _integers(self.frequent, None)
            for mark in self.marks:
                _integers(mark, 2)
        except (TypeError, ValueError):
            section.refuse(f"not the head of a block: {str(head)[:40]}")
        if not 0 < self.count <= MOST_EVENTS:
            section.refuse(f"{self.count} events in a block: give 1 to {MOST_EVENTS}")
        positions = [position for position, _ in self.marks]
        seconds = [self._times[0] // MICROSECONDS, *(second for _, second in self.marks)]
        if (
            sorted(set(positions)) != positions
            or sorted(set(seconds)) != seconds
            or (positions and not 0 <= positions[0] <= positions[-1] < self.count)
            or seconds[-1] != self._times[1] // MICROSECONDS
        ):
            section.refuse("its seconds do not pass one after the other")
        self.codes = section.part()
        self.rare = section.column()
        if len(self.codes) != self.count or self.codes.count(RARE) != len(self.rare):
            section.refuse(f"not as many codes as its {self.count} events")
        if len(self.frequent) > FREQUENT or not all(
            0 <= number < len(kinds) for number in self.frequent
        ):
            section.refuse("a frequent kind that the file does not have")
        if self.codes.translate(None, bytes([*range(2 * len(self.frequent)), RARE])):
            section.refuse("a code that no frequent kind has")
        if max(self.rare, default=0) >= 2 * len(kinds):
            section.refuse("a rare kind that the file does not have")
        self._check_frees()

    @property
    def times(self) -> tuple[int, int]:
        """Time of the event before it, and of its last, in microseconds."""
        return self._times[0], self._times[1]

    @property
    def ids(self) -> tuple[int, int]:
        """Id of the last allocation before it, and of its last."""
        return self._ids[0], self._ids[1]

    def chunk(self) -> Columns | list[Event]:
        """Decode its events."""
        codes = self.full_codes()
        kinds = self.kinds
        used = set(codes)
        ends: list[Event | None] = [None] * (max(used) + 1)
        for code in used:
            ends[code] = _FREE if code & 1 else kinds[code >> 1].event
        times = self._decoded_times()
        ids = self._decoded_ids(codes)
        templates = list(map(ends.__getitem__, codes))
        if all(kinds[code >> 1].is_heap for code in used):
            ops = [each.op for each in templates if each is not None]
            sizes = [each.size for each in templates if each is not None]
            return Columns(self.line, ops, times, ids, sizes)  # type: ignore[arg-type]
        return [
            _EVENT((each[0], time, identity, *each[3:10], line, each[11]))
            for each, time, identity, line in zip(
                templates, times, ids, count(self.line), strict=False
            )
            if each is not None
        ]

    def full_codes(self) -> list[int]:
        """Twice the number of the kind, plus 1 for a free, of each event."""
        table = [2 * number + free for number in self.frequent for free in (0, 1)]
        if not self.rare:
            return list(map(table.__getitem__, self.codes))
        rare = iter(self.rare)
        table += [0] * (RARE - len(table))
        return [table[code] if code != RARE else next(rare) for code in self.codes]

    def _check_frees(self) -> None:
        """Refuse a free of what is no allocation."""
        kinds = self.kinds
        freed = {
            number
            for place, number in enumerate(self.frequent)
            if kinds[number].event.op != "alloc" and 2 * place + 1 in self.codes
        }
        if freed or (self._no_frees and not self._no_frees.isdisjoint(self.rare)):
            self._section.refuse("a free of what is no allocation")

    def _decoded_times(self) -> list[int]:
        before, last = self._times
        steps = self._section.column()
        times = list(accumulate(steps, initial=before))[1:]
        if len(times) != self.count or times[-1] != last:
            self._section.refuse("its times do not end where its head says")
        marks = []
        if times[-1] // MICROSECONDS != before // MICROSECONDS:
            second = before // MICROSECONDS
            for position, time in enumerate(times):
                if time // MICROSECONDS != second:
                    second = time // MICROSECONDS
                    marks.append([position, second])
        if marks != self.marks:
            self._section.refuse("its seconds are not those of its times")
        return times

    def _decoded_ids(self, codes: Sequence[int]) -> list[int | None]:
        steps, backs = iter(self._section.column()), iter(self._section.column())
        self._section.end()
        kinds = self.kinds
        has_id = {code for code in set(codes) if kinds[code >> 1].event.op in ("alloc", "free")}
        last = self._ids[0]
        ids: list[int | None] = []
        add = ids.append
        try:
            for code in codes:
                if code & 1 or kinds[code >> 1].event.op == "free":
                    back = next(backs)
                    add(last - (back >> 1 if not back & 1 else ~(back >> 1)))
                elif code in has_id:
                    step = next(steps)
                    last += 1 + (step >> 1 if not step & 1 else ~(step >> 1))
                    add(last)
                else:
                    add(None)
        except StopIteration:
            self._section.refuse("fewer ids than events")
        if next(steps, None) is not None or next(backs, None) is not None:
            self._section.refuse("more ids than events")
        if last != self._ids[1]:
            self._section.refuse("its ids do not end where its head says")
        return ids


def _integers(values: Any, length: int | None) -> list[int]:
    """Check that something decoded is a list of so many integers."""
    if (
        type(values) is not list
        or (length is not None and len(values) != length)
        or not all(type(value) is int for value in values)
    ):
        raise ValueError(values)
    return values


def is_packed(path: Path) -> bool:
    """Whether a file begins as packed traces do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_header(path: Path, name: str) -> Header:
    """Read what a packed trace says of itself.

    Args:
        path: the file.
        name: what errors call it.

    Returns:
        Its header.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it is damaged.
    """
    with path.open("rb") as file:
        return _header(sections(file, name))


def blocks(path: Path, name: str) -> Iterator[Block]:
    """Read the blocks of a packed trace.

    Args:
        path: the file.
        name: what errors call it.

    Yields:
        Each block. One that is decoded must be before the next is asked for.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it is damaged; `TraceEndError` where it ends in the middle.
    """
    with path.open("rb") as file:
        found = sections(file, name)
        _header(found)
        kinds: list[Kind] = []
        no_frees: set[int] = set()
        line, time, identity = 2, 0, 0
        for section in found:
            section.line = line
            if section.kind == KINDS:
                known = len(kinds)
                _add_kinds(section, kinds)
                no_frees.update(
                    2 * number + 1
                    for number in range(known, len(kinds))
                    if kinds[number].event.op != "alloc"
                )
            elif section.kind == EVENTS:
                block = Block(section, section.json(), kinds, no_frees)
                if (block.times[0], block.ids[0]) != (time, identity):
                    section.refuse("does not follow the block before it")
                time, identity = block.times[1], block.ids[1]
                yield block
                line += block.count
                section.line = line
            elif section.kind == END:
                if section.json() != [line - 2]:
                    section.refuse(f"{line - 2} events came before it")
                section.end()
            else:
                section.refuse(f"of the unknown kind {section.kind!r}")


def names_lists(path: Path, name: str) -> bool:
    """Whether a packed trace has events of lists; no block is decoded for that.

    Args:
        path: the file.
        name: what errors call it.

    Returns:
        Whether any is found, or may be, before its end or before damage.
    """
    with path.open("rb") as file:
        try:
            for section in sections(file, name, without=EVENTS):
                # A text of that very name may be something else: then nothing is lost but time.
                if section.kind == KINDS and b'"list"' in section.part():
                    return True
        except TraceError:
            pass  # told by who reads the events
    return False


def _header(found: Iterator[Section]) -> Header:
    section = next(found)
    if section.kind != HEAD:
        section.refuse(f"{section.kind!r}: a packed trace begins with {HEAD!r}")
    head = section.json()
    section.end()
    if type(head) is not dict or head.get("version") != VERSION:
        section.refuse(f"not version {VERSION}: {str(head)[:40]}")
    source = head.get("source", "")
    if not isinstance(source, str):
        section.refuse(f"{shown(source)}: give a text")
    return Header(source)


def _add_kinds(section: Section, kinds: list[Kind]) -> None:
    found = section.json()
    section.end()
    if type(found) is not list or len(kinds) + len(found) > MOST_KINDS:
        section.refuse(f"no list of kinds, or more than {MOST_KINDS:,} in all")
    for each in found:
        if type(each) is not dict:
            section.refuse(f"no kind of event: {str(each)[:40]}")
        fields = dict(each)
        again = fields.pop(STILL_LIVE, False)
        has_id = fields.get("op") in ("alloc", "free")
        try:
            event = event_of({"t": 0} | fields | ({"id": 0} if has_id else {}), 0, "", 0)
        except TraceError as error:
            section.refuse(f"no kind of event: {str(each)[:40]}: {error.problem}")
        if type(again) is not bool or event.time or "id" in each:
            section.refuse(f"no kind of event: {str(each)[:40]}")
        kinds.append(Kind(event._replace(id=None, time=0, line=0), again))
