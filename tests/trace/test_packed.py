from __future__ import annotations

import json
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import PoolTag, PoolType, TraceError
from lookaside_sim.errors import TraceEndError
from lookaside_sim.trace import Event, Header, Trace, load, pack, save, sections
from lookaside_sim.trace.columns import Columns
from lookaside_sim.trace.packed import Block
from tests.trace.damage import HEADER, good_lines, told
from tests.trace.test_format import traces

NONE = PoolTag(b"None")
SMALL = [
    Event("alloc", 5, 1, 24, NONE, PoolType.NonPagedPool, line=2),
    Event("alloc", 2_000_005, 2, 24, NONE, PoolType.NonPagedPool, line=3),
    Event("free", 2_000_006, 1, line=4),
    Event("alloc", 9_000_000, 1, 8, NONE, PoolType.NonPagedPool, line=5),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.lkt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packed")


def heap(folder: Path, count: int, seed: int = 0) -> list[Event]:
    """Events of a heap trace, as read from its text."""
    path = folder / "heap.jsonl"
    path.write_bytes(
        b"\n".join([HEADER, b'{"op":"alloc","id":0,"size":3}'])
        + b"\n"
        + b"\n".join(good_lines(random.Random(seed), count))
        + b"\n"
    )
    return list(load(path))


@given(events=traces(), source=st.text(max_size=20))
def test_any_trace_is_read_back(folder: Path, events: list[Event], source: str) -> None:
    first, second = folder / "first.lkt", folder / "second.lkt"
    save(first, events, source)
    trace = load(first)
    assert trace.header == Header(source)
    found = list(trace)
    assert [event._replace(line=0) for event in found] == events
    assert [event.line for event in found] == list(range(2, len(events) + 2))
    save(second, found, source)
    assert first.read_bytes() == second.read_bytes()


def test_a_heap_trace_is_read_as_columns_in_a_tenth_of_the_bytes(path: Path) -> None:
    events = heap(path.parent, 3000)
    save(path, events)
    (columns,) = load(path).chunks()
    assert isinstance(columns, Columns)
    assert list(columns.events()) == events
    save(path.parent / "test.jsonl.gz", events)
    assert path.stat().st_size * 2 < (path.parent / "test.jsonl.gz").stat().st_size


def test_long_traces_take_several_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "MOST_EVENTS", 100)
    events = heap(path.parent, 950)
    save(path, events)
    blocks = list(load(path).stored())
    assert len(blocks) == 10
    assert list(load(path)) == events


def test_more_kinds_than_a_byte_can_tell(path: Path) -> None:
    events = [Event("alloc", n, n, n % 500, NONE, PoolType.NonPagedPool) for n in range(2000)]
    events += [Event("free", 3_000_000, n) for n in range(2000)]
    save(path, events)
    assert [event._replace(line=0) for event in load(path)] == events
    (block,) = load(path).stored()
    assert isinstance(block, Block)
    assert block.codes.count(255) == len(block.rare) == 4 * 2 * (500 - 127)
    assert block.marks == [[2000, 3]]


def test_a_block_that_would_be_too_long_is_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "MOST_BYTES", 2000)
    draw = random.Random(1)
    events = [Event("free", 0, draw.getrandbits(900)) for _ in range(100)]
    save(path, events)
    assert len(list(load(path).stored())) == 8
    assert [event._replace(line=0) for event in load(path)] == events


def test_what_a_replay_refuses_is_kept(path: Path) -> None:
    events = [SMALL[0], SMALL[0]._replace(line=3), Event("free", 5, 9, line=4)]
    save(path, events)
    assert list(load(path)) == events
    (block,) = load(path).stored()
    assert isinstance(block, Block)
    assert [kind.is_still_live for kind in block.kinds] == [False, True, False]


def test_a_call_site_is_kept(path: Path) -> None:
    events = [SMALL[0]._replace(site=site, id=n) for n, site in enumerate(("f", "g", "f"))]
    save(path, events)
    assert [event.site for event in load(path)] == ["f", "g", "f"]


def test_time_that_runs_back_is_not_written(path: Path) -> None:
    with pytest.raises(ValueError, match="event 1: time 4 is before 5"):
        save(path, [SMALL[0], SMALL[2]._replace(time=4)])


def test_too_many_kinds_are_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "MOST_KINDS", 1)
    with pytest.raises(ValueError, match="more than 1 kinds"):
        save(path, SMALL)


# --- files that were damaged, or made to harm ---------------------------------------------


def test_a_file_that_ends_anywhere(path: Path) -> None:
    save(path, SMALL, "source")
    data = path.read_bytes()
    for length in range(8, len(data)):
        path.write_bytes(data[:length])
        try:
            events, error = told(load(path))
        except TraceEndError:
            continue  # in its header
        assert events in ([], SMALL)
        assert error is not None
        trace = Trace(path, partial=True)
        assert list(trace) == events
        assert isinstance(trace.ended, TraceEndError)
        assert str(trace.ended) == error[0]


def test_a_byte_that_changed_is_found(path: Path) -> None:
    save(path, SMALL, "source")
    data = path.read_bytes()
    for at in range(8, len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        with pytest.raises(TraceError, match=r"byte \d+"):
            list(load(path))
    path.write_bytes(data + b"x")
    with pytest.raises(TraceError, match=f"byte {len(data)}: bytes behind the end"):
        list(load(path))


def parts_of(data: bytes) -> list[tuple[bytes, list[bytes]]]:
    """Take a packed file apart: the kind and the decompressed parts of each section."""
    found, at = [], 8
    while at < len(data):
        kind, length, _ = struct.unpack_from("<4sII", data, at)
        at += 12
        body, parts, position = data[at : at + length], [], 0
        while position < length:
            (stored,) = struct.unpack_from("<I", body, position + 4)
            parts.append(zlib.decompress(body[position + 8 : position + 8 + stored]))
            position += 8 + stored
        found.append((kind, parts))
        at += length
    return found


def put_together(path: Path, found: Sequence[tuple[bytes, list[bytes]]]) -> None:
    """Write a packed file with right lengths and checksums."""
    with path.open("wb") as file:
        file.write(sections.MAGIC)
        for kind, parts in found:
            sections.write_section(file, kind, [sections.packed(part) for part in parts])


def refused(path: Path, change: Callable[[list[tuple[bytes, list[bytes]]]], object]) -> str:
    """Change the parts of a good file; the one line that says why it is refused."""
    save(path, SMALL, "source")
    found = parts_of(path.read_bytes())
    put_together(path, found)
    assert list(load(path)) == SMALL
    change(found)
    put_together(path, found)
    with pytest.raises(TraceError) as caught:
        list(load(path))
    assert "\n" not in str(caught.value)
    return caught.value.problem


def head(**changes: Any) -> Callable[[list[tuple[bytes, list[bytes]]]], None]:
    names = ("count", "times", "ids", "frequent", "marks")

    def change(found: list[tuple[bytes, list[bytes]]]) -> None:
        old = dict(zip(names, json.loads(found[2][1][0]), strict=True))
        found[2][1][0] = json.dumps(list((old | changes).values())).encode()

    return change


def part(section: int, number: int, data: bytes) -> Callable[..., None]:
    def change(found: list[tuple[bytes, list[bytes]]]) -> None:
        found[section][1][number] = data

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (part(0, 0, b'{"version":2}'), "not version 1"),
        (part(0, 0, b"[]"), "not version 1"),
        (part(0, 0, b'{"version":1,"source":7}'), "7: give a text"),
        (part(0, 0, b"{"), "not JSON"),
        (part(0, 0, b"[" * 100_000), "not JSON"),
        (part(0, 0, b"\xff"), "not JSON"),
        (lambda found: found.pop(0), "begins with b'HEAD'"),
        (lambda found: found.insert(1, (b"EVIL", [])), "unknown kind b'EVIL'"),
        (lambda found: found[0][1].append(b""), "bytes behind its last part"),
        (lambda found: found[1][1].append(b""), "bytes behind its last part"),
        (lambda found: found[2][1].append(b""), "bytes behind its last part"),
        (lambda found: found[2][1].pop(), "a part is missing"),
        (part(1, 0, b"{}"), "no list of kinds"),
        (part(1, 0, b"[7]"), "no kind of event: 7"),
        (part(1, 0, b'[{"op":"evil"}]'), "no kind of event"),
        (part(1, 0, b'[{"op":"alloc","size":-1}]'), "field|no kind of event"),
        (part(1, 0, b'[{"op":"alloc","size":1,"t":7}]'), "no kind of event"),
        (part(1, 0, b'[{"op":"alloc","size":1,"id":7}]'), "no kind of event"),
        (part(1, 0, b'[{"op":"alloc","size":1,"again":7}]'), "no kind of event"),
        (part(1, 0, b'[{"op":"alloc","size":1}]'), "frequent kind that the file does not have"),
        (part(1, 0, b'[{"op":"flush","list":"a"},{"op":"free"}]'), "free of what is no"),
        (head(count=0), "0 events in a block"),
        (head(count=10**9), "1000000000 events in a block"),
        (head(count=5), "not as many codes"),
        (head(count=True), "not the head of a block"),
        (head(count="4"), "not the head of a block"),
        (part(2, 0, b"{}"), "not the head of a block"),
        (part(2, 0, b"[1,2,3]"), "not the head of a block"),
        (head(times=[1, 9_000_000]), "does not follow the block before"),
        (head(times=[0, 9_000_001]), "times do not end"),
        (head(times=[0]), "not the head of a block"),
        (head(ids=[7, 1]), "does not follow the block before"),
        (head(ids=[0, 2]), "ids do not end"),
        (head(frequent=[0]), "a code that no frequent kind has"),
        (head(frequent=[0, 2]), "frequent kind that the file does not have"),
        (head(frequent=[0, -1]), "frequent kind that the file does not have"),
        (head(frequent=[0, 1.0]), "not the head of a block"),
        (head(marks=[]), "seconds do not pass"),
        (head(marks=[[1, 2], [0, 9]]), "seconds do not pass"),
        (head(marks=[[1, 9], [3, 9]]), "seconds do not pass"),
        (head(marks=[[1, 2], [4, 9]]), "seconds do not pass"),
        (head(marks=[[1, 3], [3, 9]]), "seconds are not those of its times"),
        (head(marks=[[1, 2, 3]]), "not the head of a block"),
        (part(2, 1, b"\0\0\1\xff"), "not as many codes"),
        (part(2, 1, b"\0\0\1\x0f"), "a code that no frequent kind has"),
        (part(2, 2, b""), "a column of 0 bytes"),
        (part(2, 2, b"\x03abc"), "a column of 4 bytes, 3 a number"),
        (part(2, 2, b"\x02abc"), "a column of 4 bytes, 2 a number"),
        (part(2, 2, b"\0[1.5]"), "something else than numbers"),
        (part(2, 2, b"\0[-1]"), "something else than numbers"),
        (part(2, 2, b"\0{"), "not JSON"),
        (part(2, 3, b"\1\0\0\0"), "times do not end"),
        (part(2, 4, b"\1\0"), "fewer ids"),
        (part(2, 4, b"\1\0\0\0\0"), "more ids"),
        (part(2, 5, b"\1"), "fewer ids"),
        (part(2, 5, b"\1\2\2"), "more ids"),
        (part(3, 0, b"[5]"), "4 events came before it"),
        (lambda found: found.insert(2, found[2]), "does not follow the block before"),
    ],
)
def test_a_file_with_right_checksums_that_says_nonsense(
    path: Path, change: Callable[..., object], why: str
) -> None:
    problem = refused(path, change)
    assert problem.startswith("section at byte ")
    assert any(each in problem for each in why.split("|")), problem


def test_a_rare_kind_that_the_file_does_not_have(path: Path) -> None:
    def change(found: list[tuple[bytes, list[bytes]]]) -> None:
        found[2][1][1] = b"\0\0\1\xff"
        found[2][1][2] = b"\1\x04"

    assert "rare kind that the file does not have" in refused(path, change)


def test_nothing_is_decompressed_past_what_was_promised(path: Path) -> None:
    bomb = zlib.compress(bytes(1 << 26), 9)
    for length in (10, 1 << 24, 1 << 31):
        body = struct.pack("<II", length, len(bomb)) + bomb
        frame = struct.pack("<4sII", b"HEAD", len(body), zlib.crc32(body))
        path.write_bytes(sections.MAGIC + frame + body)
        tracemalloc.start()
        try:
            with pytest.raises(TraceError, match=r"decompress to its|too long"):
                load(path)
            assert tracemalloc.get_traced_memory()[1] < 3 * sections.MOST_BYTES
        finally:
            tracemalloc.stop()


def test_a_part_that_is_no_compressed_data(path: Path) -> None:
    body = struct.pack("<II", 10, 4) + b"abcd"
    frame = struct.pack("<4sII", b"HEAD", len(body), zlib.crc32(body))
    path.write_bytes(sections.MAGIC + frame + body)
    with pytest.raises(TraceError, match="section at byte 8: Error -3"):
        load(path)


def test_what_begins_as_a_packed_trace_and_is_none(path: Path) -> None:
    with pytest.raises(TraceError, match="no packed trace"), path.open("w+b") as file:
        next(sections.sections(file, "empty"))


def test_a_section_longer_than_any_may_be(path: Path) -> None:
    path.write_bytes(sections.MAGIC + struct.pack("<4sII", b"HEAD", 1 << 31, 0))
    with pytest.raises(TraceError, match="2147483648 bytes: 16777216 at most"):
        load(path)


def test_changed_parts_are_refused_or_read_whatever_they_say(path: Path) -> None:
    draw = random.Random(5)
    save(path, heap(path.parent, 60), "source")
    good = parts_of(path.read_bytes())
    refusals = 0
    for _ in range(1500):
        found = [(kind, list(parts)) for kind, parts in good]
        parts = found[draw.randrange(len(found))][1]
        number = draw.randrange(len(parts))
        data = bytearray(parts[number])
        if data:
            data[draw.randrange(len(data))] = draw.randrange(256)
        parts[number] = bytes(data)
        put_together(path, found)
        try:
            assert len(list(load(path))) == 61
        except TraceError:
            refusals += 1
    assert 1000 < refusals < 1500


# --- files that end in the middle ---------------------------------------------------------


@pytest.mark.parametrize("end", ['{"op":"free","id', '{"op":"free","id":1', "\u00e9"])
def test_a_text_that_ends_in_the_middle_of_a_line(tmp_path: Path, end: str) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(HEADER + b'\n{"op":"alloc","id":1,"size":8}\n' + end.encode()[:-1])
    with pytest.raises(TraceEndError, match="line 3"):
        list(load(path))
    trace = Trace(path, partial=True)
    assert [event.id for event in trace] == [1]
    assert trace.ended is not None
    assert trace.ended.line == 3


def test_a_gzip_file_that_ends_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    save(path, heap(tmp_path, 900))
    path.write_bytes(path.read_bytes()[:-2000])
    trace = Trace(path, partial=True)
    assert len(list(trace)) > 100
    assert isinstance(trace.ended, TraceEndError)


@pytest.mark.parametrize(
    "line", ["bad\n", '{"op":"free","id":1.5}', '{"op":"free","id":1.5}\n']
)
def test_a_wrong_line_is_no_end(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(HEADER + b"\n" + line.encode())
    with pytest.raises(TraceError) as caught:
        list(Trace(path, partial=True))
    assert not isinstance(caught.value, TraceEndError)


def test_what_was_read_whole_has_no_early_end(path: Path) -> None:
    save(path, SMALL)
    trace = Trace(path, partial=True)
    assert list(trace) == SMALL
    assert trace.ended is None


def test_a_trace_is_packed_as_its_events_are(tmp_path: Path) -> None:
    """Many at a time or one by one: the same bytes, whatever chunks they come in."""
    text, one, many = tmp_path / "a.jsonl", tmp_path / "one.lkt", tmp_path / "many.lkt"
    draw = random.Random(3)
    events: list[Event] = []
    live: list[int] = []
    for number in range(70_000):
        time = number * 700 + (number == 69_000) * 9_000_000
        time = max(time, events[-1].time if events else 0)
        choice = draw.random()
        if live and choice < 0.5:
            events.append(Event("free", time, live.pop(draw.randrange(len(live)))))
        elif choice < 0.51:
            events.append(Event("free", time, 10**9 + number))  # never allocated
        elif live and choice < 0.52:
            # An id that is live: wrong, and kept.
            events.append(Event("alloc", time, live[0], 24, NONE, PoolType.NonPagedPool))
        elif choice < 0.53:
            events.append(Event("irql", time, level=2))
        else:
            live.append(number)
            size = draw.randrange(300)
            tag = PoolTag(b"Abcd") if choice > 0.99 else NONE
            events.append(Event("alloc", time, number, size, tag, PoolType.NonPagedPool))
    assert save(text, events) == len(events)
    assert save(one, iter(events)) == len(events)
    assert save(many, load(text)) == len(events)
    assert many.read_bytes() == one.read_bytes()
    assert list(load(many)) == list(load(text))
