from __future__ import annotations

import gc
import gzip
import json
import sys
import tracemalloc
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import PoolTag, PoolType, TraceError
from lookaside_sim.trace import Event, Header, load, save
from lookaside_sim.trace.format import parse

HEADER = {
    "format": "lookaside-trace",
    "version": 1,
    "time_unit": "us",
    "source": "a test",
}
HEADER_LINE = json.dumps(HEADER)
GOOD = '{"t":5,"op":"alloc","id":1,"size":8}'
NONE = PoolTag(b"None")
NONPAGED = PoolType.NonPagedPool

# Each op with every field it has, and those it cannot do without.
FULL: dict[str, dict[str, object]] = {
    "init": {
        "t": 7,
        "op": "init",
        "list": "a",
        "size": 24,
        "tag": "tsLL",
        "pool": "PagedPool",
        "flags": 1,
        "depth": 300,
    },
    "alloc": {
        "t": 7,
        "op": "alloc",
        "id": 2,
        "size": 24,
        "tag": "tsLL",
        "pool": "PagedPool",
    },
    "alloc from a list": {"t": 7, "op": "alloc", "id": 2, "list": "a"},
    "free": {"t": 7, "op": "free", "id": 1},
    "flush": {"t": 7, "op": "flush", "list": "a"},
    "delete": {"t": 7, "op": "delete", "list": "a"},
    "irql": {"t": 7, "op": "irql", "level": 2},
}
REQUIRED = {
    "init": ("list", "size"),
    "alloc": ("id", "size"),
    "alloc from a list": ("id",),
    "free": ("id",),
    "flush": ("list",),
    "delete": ("list",),
    "irql": ("level",),
}
NOT_INTEGERS: tuple[object, ...] = (True, 1.0, 1.5, "1", None, [], {})
NOT_COUNTS: tuple[object, ...] = (*NOT_INTEGERS, -1)
WRONG: dict[str, tuple[object, ...]] = {
    "t": (*NOT_COUNTS, 4, float("nan"), float("inf")),
    "id": NOT_INTEGERS,
    "size": NOT_COUNTS,
    "flags": NOT_COUNTS,
    "depth": NOT_COUNTS,
    "level": NOT_COUNTS,
    "list": ("", None, 1, True, ["a"], {}),
    "tag": ("", "abc", "abcde", "abc\u20ac", "\ud800abc", 7, None, ["a"]),
    "pool": ("", "Pool", "pagedpool", "PagedPool|", "PagedPool | NonPagedPool", 1, None, []),
}


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def error_of(path: Path) -> TraceError:
    with pytest.raises(TraceError) as caught:
        list(load(path))
    return caught.value


def third_line_error(path: Path, line: str) -> TraceError:
    """The error of a file whose third line is at fault; checks all that is always so."""
    error = error_of(write(path, HEADER_LINE, GOOD, line, GOOD))
    assert (error.file, error.line) == (str(path), 3)
    where = f"{path}, line 3" + ("" if error.field is None else f", field {error.field!r}")
    assert str(error) == f"{where}: {error.problem}"
    assert "\n" not in str(error)
    return error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.jsonl"


# --- malformed events --------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "{",
        "alloc",
        '{"t":5,"op":"alloc","id":1,"size":8',
        '{"t":5 "op":"free"}',
        "{'op': 'free', 'id': 1}",
        '{"op":"free","id":1}x',
        '{"op":"free","id":1}}',
        '{"op":"free","id":1} {"op":"free","id":1}',
        '{"op":"free","id":01}',
        '{"op":"free","id":' + "1" * 5000 + "}",
        "[]",
        '["op", "free"]',
        '"op"',
        "1",
        "null",
        "true",
        "[" * 100_000,
        '{"op":' + "[" * 100_000,
    ],
    ids=lambda line: repr(line[:40]),
)
def test_a_line_that_is_no_json_object(path: Path, line: str) -> None:
    error = third_line_error(path, line)
    assert error.field is None
    assert error.problem.startswith("not a JSON object: ")


@pytest.mark.parametrize("garbage", ["x", "}", ",", "0", "]"])
def test_garbage_behind_the_last_line(path: Path, garbage: str) -> None:
    path.write_text(f'{HEADER_LINE}\n{GOOD}\n{{"op":"free","id":1}}{garbage}', "utf-8")
    error = error_of(path)
    assert (error.line, error.field) == (3, None)


@pytest.mark.parametrize(
    "op", ["", "malloc", "Alloc", None, 1, True, ["alloc"], {"alloc": 1}], ids=repr
)
def test_an_unknown_op(path: Path, op: object) -> None:
    error = third_line_error(path, json.dumps({"t": 5, "op": op, "id": 2, "size": 8}))
    assert error.field == "op"
    assert error.problem == (f"{op!r}: give one of init, alloc, free, flush, delete, irql")


def test_a_missing_op(path: Path) -> None:
    error = third_line_error(path, '{"t":5,"id":2,"size":8}')
    assert error.field == "op"
    assert error.problem.startswith("missing: give one of ")


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in REQUIRED.items() for field in fields]
)
def test_a_missing_field(path: Path, kind: str, field: str) -> None:
    found = {name: value for name, value in FULL[kind].items() if name != field}
    error = third_line_error(path, json.dumps(found))
    assert error.field == field
    assert error.problem == f"missing: {FULL[kind]['op']!r} needs it"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (kind, field)
        for kind, full in FULL.items()
        for field in (*WRONG, "line", "Size", "")
        if field not in full and (full["op"] != "alloc" or field not in FULL["alloc"])
        if (kind, field) != ("alloc", "list")
    ],
)
def test_an_unknown_field(path: Path, kind: str, field: str) -> None:
    error = third_line_error(path, json.dumps(FULL[kind] | {field: 1}))
    assert error.field == field
    assert error.problem.startswith(f"unknown for {FULL[kind]['op']!r}: it has ")


@pytest.mark.parametrize("field", ["size", "tag", "pool"])
def test_an_alloc_from_a_list_takes_what_the_list_says(path: Path, field: str) -> None:
    value = FULL["alloc"][field]
    error = third_line_error(path, json.dumps(FULL["alloc from a list"] | {field: value}))
    assert error.field == field
    assert error.problem == f"{value!r}: an alloc from a list takes the list's"


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (kind, field, value)
        for kind, full in FULL.items()
        for field in full
        if field != "op"
        for value in WRONG[field]
    ],
    ids=repr,
)
def test_a_value_of_the_wrong_kind(path: Path, kind: str, field: str, value: object) -> None:
    error = third_line_error(path, json.dumps(FULL[kind] | {field: value}))
    assert error.field == field
    assert error.problem.startswith(f"{value!r}: give ")


@pytest.mark.parametrize("id_", [0, -1, 2**64])
def test_an_id_is_any_integer(path: Path, id_: int) -> None:
    write(path, HEADER_LINE, json.dumps({"op": "alloc", "id": id_, "size": 0}))
    assert [event.id for event in load(path)] == [id_]


@pytest.mark.parametrize("op", FULL)
def test_time_never_decreases(path: Path, op: str) -> None:
    error = third_line_error(path, json.dumps(FULL[op] | {"t": 4}))
    assert error.field == "t"
    assert error.problem == "4: give whole microseconds, not before 5"


# --- malformed headers and files ---------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "lookaside"),
        ("format", None),
        ("format", 1),
        ("version", 2),
        ("version", 0),
        ("version", "1"),
        ("version", True),
        ("version", None),
        ("time_unit", "ms"),
        ("time_unit", None),
        ("source", 1),
        ("source", None),
        ("source", ["a"]),
    ],
)
def test_a_wrong_header_is_found_by_load(path: Path, field: str, value: object) -> None:
    write(path, json.dumps(HEADER | {field: value}), GOOD)
    with pytest.raises(TraceError) as caught:
        load(path)
    error = caught.value
    assert (error.file, error.line, error.field) == (str(path), 1, field)
    assert error.problem.startswith(repr(value))


@pytest.mark.parametrize("field", ["format", "version", "time_unit"])
def test_a_header_without_one_of_its_fields(path: Path, field: str) -> None:
    write(path, json.dumps({key: HEADER[key] for key in HEADER if key != field}), GOOD)
    with pytest.raises(TraceError) as caught:
        load(path)
    assert (caught.value.line, caught.value.field) == (1, field)


@pytest.mark.parametrize(
    "text", ["", "\n", "{", "[]", "1", GOOD, "\ufeff" + HEADER_LINE, "[" * 100_000]
)
def test_a_file_that_begins_with_no_header(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    with pytest.raises(TraceError) as caught:
        load(path)
    assert caught.value.line == 1
    assert caught.value.field == ("format" if text == GOOD else None)


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    error = error_of(path)
    assert (error.file, error.line, error.field) == (str(path), 1, None)


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz"])
@pytest.mark.parametrize("line", [1, 3, 4])
def test_bytes_that_are_not_utf_8(tmp_path: Path, name: str, line: int) -> None:
    lines = [HEADER_LINE.encode(), *[GOOD.encode()] * 4]
    lines[line - 1] = b'{"op":"flush","list":"\xff"}'
    data = b"".join(each + b"\n" for each in lines)
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    error = error_of(path)
    assert (error.file, error.line, error.field) == (str(path), line, None)
    assert error.problem.startswith("not UTF-8")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"not gzip", id="garbage"),
        pytest.param(lambda data: data[:5], id="cut in its header"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut in its data"),
        pytest.param(lambda data: data[:-4], id="cut in its trailer"),
        pytest.param(lambda data: data[:-8] + b"12345678", id="wrong checksum"),
        pytest.param(lambda data: data[:20] + b"\xff" * 9 + data[29:], id="bad data"),
        pytest.param(lambda data: data + b"garbage", id="garbage behind"),
    ],
)
def test_a_damaged_gzip_file(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    lines = "".join(f'{{"t":{t},"op":"alloc","id":{t},"size":{t % 977}}}\n' for t in range(999))
    path = tmp_path / "test.jsonl.gz"
    path.write_bytes(damage(gzip.compress(f"{HEADER_LINE}\n{lines}".encode())))
    error = error_of(path)
    assert error.file == str(path)
    assert 1 <= error.line <= 1001
    assert error.field is None
    assert error.problem.startswith("damaged gzip file: ")


def test_a_gzip_file_damaged_at_its_end_is_read_until_there(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl.gz"
    path.write_bytes(gzip.compress(f"{HEADER_LINE}\n{GOOD}\n".encode())[:-1])
    events = iter(load(path))
    assert next(events).line == 2
    with pytest.raises(TraceError, match="line 3: damaged gzip file"):
        next(events)


@pytest.mark.parametrize("name", ["none.jsonl", "none.jsonl.gz", "."])
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"No such file|Is a directory") as caught:
        load(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)


# --- streaming ---------------------------------------------------------------------------


def test_no_line_is_read_before_its_event_is_asked_for() -> None:
    read: list[int] = []

    def lines() -> Iterator[tuple[int, str]]:
        number = 1
        while True:
            number += 1
            read.append(number)
            yield number, GOOD

    events = parse(lines(), "endless")
    assert read == []
    assert next(events).line == 2
    assert read == [2]
    assert next(events).line == 3
    assert read == [2, 3]


@pytest.mark.parametrize("bad", ["not json", '{"op":"free","id":1.5}', GOOD[:-1]])
def test_events_come_before_a_bad_later_line(path: Path, bad: str) -> None:
    write(path, HEADER_LINE, GOOD, GOOD, bad, GOOD)
    events = iter(load(path))
    assert [next(events).line, next(events).line] == [2, 3]
    with pytest.raises(TraceError, match="line 4"):
        next(events)


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    count = 10_000
    save(path, (Event("alloc", t, t, 8) for t in range(count)))
    trace = load(path)
    tracemalloc.start()
    try:
        found = sum(1 for _ in trace)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == count
    assert peak < 300_000  # the events alone would take 2 MB


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz"])
def test_a_left_iteration_leaves_nothing_behind(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    save(path, [Event("alloc", t, t, 8) for t in range(1000)])
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: left.append(str(what.exc_value)))
    events = iter(load(path))
    assert next(events).id == 0
    del events
    gc.collect()
    assert left == []


def test_a_malformed_line_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: left.append(str(what.exc_value)))
    third_line_error(path, "bad")
    gc.collect()
    assert left == []


def test_every_iteration_reads_anew(path: Path) -> None:
    trace = load(write(path, HEADER_LINE, GOOD))
    assert list(trace) == list(trace)
    write(path, HEADER_LINE, GOOD, GOOD)
    assert len(list(trace)) == 2


# --- what is read ------------------------------------------------------------------------


def test_the_header_and_the_name(path: Path) -> None:
    trace = load(str(write(path, HEADER_LINE)))
    assert trace.header == Header("a test")
    assert (trace.path, trace.name) == (path, str(path))
    assert list(trace) == []


def test_a_header_without_source(path: Path) -> None:
    write(path, '{"format":"lookaside-trace","version":1,"time_unit":"us"}')
    assert load(path).header == Header("")


def test_absent_fields_have_defaults(path: Path) -> None:
    write(
        path,
        HEADER_LINE,
        '{"op":"init","list":"a","size":8}',
        '{"op":"alloc","id":1,"size":8}',
        '{"t":3,"op":"alloc","id":2,"list":"a"}',
        '{"op":"free","id":1}',
        '{"op":"flush","list":"a"}',
        '{"t":9,"op":"irql","level":2}',
        '{"op":"delete","list":"a"}',
    )
    assert list(load(path)) == [
        Event("init", 0, None, 8, NONE, NONPAGED, "a", 0, 0, line=2),
        Event("alloc", 0, 1, 8, NONE, NONPAGED, line=3),
        Event("alloc", 3, 2, list="a", line=4),
        Event("free", 3, 1, line=5),
        Event("flush", 3, list="a", line=6),
        Event("irql", 9, level=2, line=7),
        Event("delete", 9, list="a", line=8),
    ]


def test_every_field_is_read(path: Path) -> None:
    write(path, HEADER_LINE, *map(json.dumps, FULL.values()))
    tag, paged = PoolTag(b"tsLL"), PoolType.PagedPool
    assert list(load(path)) == [
        Event("init", 7, None, 24, tag, paged, "a", 1, 300, line=2),
        Event("alloc", 7, 2, 24, tag, paged, line=3),
        Event("alloc", 7, 2, list="a", line=4),
        Event("free", 7, 1, line=5),
        Event("flush", 7, list="a", line=6),
        Event("delete", 7, list="a", line=7),
        Event("irql", 7, level=2, line=8),
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER_LINE}\r\n{GOOD}\r\n",
        f"  {HEADER_LINE} \n\t{GOOD}  \n",
        f"{HEADER_LINE}\n{GOOD}",
        f"{HEADER_LINE}\n{json.dumps(json.loads(GOOD))}\n",
        f'{HEADER_LINE}\n{{"size":8,"id":1,"op":"alloc","t":5}}\n',
    ],
    ids=["CRLF", "blanks around", "no final newline", "blanks inside", "another order"],
)
def test_what_json_leaves_open_does_not_matter(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    assert list(load(path)) == [Event("alloc", 5, 1, 8, NONE, NONPAGED, line=2)]


def test_pool_names_can_be_combined(path: Path) -> None:
    write(
        path,
        HEADER_LINE,
        '{"op":"alloc","id":1,"size":8,"pool":"PagedPool|POOL_RAISE_IF_ALLOCATION_FAILURE"}',
    )
    (event,) = load(path)
    assert event.pool == PoolType.PagedPool | PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE


# --- what is written ---------------------------------------------------------------------


def test_the_text_of_a_saved_file(path: Path) -> None:
    events = [
        Event("init", 0, None, 24, PoolTag(b"tsLL"), PoolType.PagedPool, "a", 1, 256),
        Event("init", 0, None, 8, NONE, NONPAGED, "b", 0, 0),
        Event("alloc", 1, 1, 8, NONE, NONPAGED),
        Event("alloc", 1, 2, 8),
        Event("alloc", 2, 3, list="\u00fc"),
        Event("free", 1_000_000, 1),
        Event("flush", 1_000_000, list="a"),
        Event("delete", 1_000_000, list="a"),
        Event("irql", 1_000_000, level=2, line=99),
    ]
    save(path, iter(events), "a \u00fc test")
    assert path.read_bytes().decode("ascii") == (
        '{"format": "lookaside-trace", "version": 1, "time_unit": "us",'
        ' "source": "a \\u00fc test"}\n'
        '{"t":0,"op":"init","size":24,"list":"a","flags":1,"depth":256,'
        '"tag":"tsLL","pool":"PagedPool"}\n'
        '{"t":0,"op":"init","size":8,"list":"b","flags":0,"depth":0}\n'
        '{"t":1,"op":"alloc","id":1,"size":8}\n'
        '{"t":1,"op":"alloc","id":2,"size":8}\n'
        '{"t":2,"op":"alloc","id":3,"list":"\\u00fc"}\n'
        '{"t":1000000,"op":"free","id":1}\n'
        '{"t":1000000,"op":"flush","list":"a"}\n'
        '{"t":1000000,"op":"delete","list":"a"}\n'
        '{"t":1000000,"op":"irql","level":2}\n'
    )


@pytest.mark.parametrize("pool_type", [0x40, 0x80, 0x41, 0x3E5])
def test_a_pool_type_with_bits_without_a_name_is_read_back(path: Path, pool_type: int) -> None:
    event = Event("init", 0, None, 8, NONE, PoolType(pool_type), "a", 0, 0, line=2)
    save(path, [event])
    assert list(load(path)) == [event]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "none" / "test.jsonl", [])


names = st.text(min_size=1, max_size=8)
counts = st.integers(0, 2**64)
tags = st.one_of(st.just(NONE), st.binary(min_size=4, max_size=4).map(PoolTag))
pool_types = st.lists(st.sampled_from(list(PoolType.__members__.values())), max_size=3).map(
    lambda members: reduce(or_, members, NONPAGED)
)


def init(size: int, tag: PoolTag, pool: PoolType, name: str, flags: int, depth: int) -> Event:
    return Event("init", 0, None, size, tag, pool, name, flags, depth)


def alloc(id_: int, size: int, tag: PoolTag, pool: PoolType) -> Event:
    return Event("alloc", 0, id_, size, tag, pool)


any_event = st.one_of(
    st.builds(init, counts, tags, pool_types, names, counts, counts),
    st.builds(alloc, st.integers(), counts, tags, pool_types),
    st.tuples(st.integers(), names).map(lambda it: Event("alloc", id=it[0], list=it[1])),
    st.integers().map(lambda id_: Event("free", id=id_)),
    st.tuples(st.sampled_from(["flush", "delete"]), names).map(
        lambda it: Event(it[0], list=it[1])
    ),
    counts.map(lambda level: Event("irql", level=level)),
)


@st.composite
def traces(draw: st.DrawFn) -> list[Event]:
    events, time = [], 0
    for event in draw(st.lists(any_event, max_size=12)):
        time += draw(st.one_of(st.just(0), st.integers(0, 10**7)))
        events.append(event._replace(time=time))
    return events


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round-trip")


@settings(derandomize=True, deadline=None, max_examples=50)
@given(events=traces(), source=st.text(max_size=20))
def test_a_saved_trace_is_read_back(folder: Path, events: list[Event], source: str) -> None:
    for suffix in ("jsonl", "jsonl.gz"):
        path, again = folder / f"first.{suffix}", folder / f"second.{suffix}"
        save(path, events, source)
        trace = load(path)
        assert trace.header == Header(source)
        found = list(trace)
        assert [event._replace(line=0) for event in found] == events
        assert [event.line for event in found] == list(range(2, len(events) + 2))
        save(str(again), iter(found), trace.header.source)
        assert again.read_bytes() == path.read_bytes()
    packed = gzip.decompress((folder / "first.jsonl.gz").read_bytes())
    assert packed == (folder / "first.jsonl").read_bytes()
