from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lookaside_sim import PoolTag, PoolType, TraceError
from lookaside_sim.trace import Event, lines, load
from lookaside_sim.trace.columns import Columns, decode, objects
from tests.trace.damage import HEADER, LINES, difference, singly, told

GOOD = '{"t":5,"op":"alloc","id":1,"size":8}'
FREE = '{"t":5,"op":"free","id":1}'


def test_damaged_files_are_read_as_by_a_reader_of_single_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1500)
    found = [difference(tmp_path, seed) for seed in range(300)]
    assert [each for each in found if each is not None] == []


@pytest.mark.parametrize("first", LINES)
@pytest.mark.parametrize("second", LINES)
def test_two_faults_cannot_make_up_for_each_other(
    tmp_path: Path, first: bytes, second: bytes
) -> None:
    path = tmp_path / "two.jsonl"
    good = GOOD.encode()
    path.write_bytes(b"\n".join([HEADER, good, first, good, second, good]))
    assert told(load(path)) == told(singly(path))
    path.write_bytes(b"\n".join([HEADER, good, first, second, good]))
    assert told(load(path)) == told(singly(path))


@pytest.mark.parametrize(
    "text",
    [
        f"{GOOD}{FREE}\n",
        f"{GOOD},{FREE}\n\n",
        f"{GOOD}\n\n{FREE}\n",
        f" {GOOD}\n",
        '{"t":[1\n{"op":1}],"op":"free"},5\n',
        '{"t":[{}\n{}],"t":5,"op":"free","id":1}\n' + f"{GOOD},{FREE}\n",
        '{"list":"a\n{"}\n',
        "{\n}\n",
    ],
)
def test_lines_that_may_not_hold_one_object_each(text: str) -> None:
    assert objects(text) is None


@pytest.mark.parametrize(
    "line",
    [
        '{"op":"free","id":1}',
        '{"t":4,"op":"free","id":1}',
        '{"t":5.0,"op":"free","id":1}',
        '{"t":5,"op":"free","id":true}',
        '{"t":5,"op":"free","size":1}',
        '{"t":5,"op":"free","id":1,"size":1}',
        '{"t":5,"op":"alloc","id":1}',
        '{"t":5,"op":"alloc","id":1,"size":-1}',
        '{"t":5,"op":"alloc","id":1,"size":null}',
        '{"t":5,"op":"alloc","id":1,"size":"8"}',
        '{"t":5,"op":"alloc","id":1,"list":"a"}',
        '{"t":5,"op":"alloc","id":1,"size":8,"tag":"abcd"}',
        '{"t":5,"op":"flush","list":"a"}',
        '{"t":5,"op":["alloc"],"id":1,"size":8}',
        '{"t":5,"op":7,"id":1}',
    ],
)
def test_objects_that_are_not_plain_events_of_a_heap_trace(line: str) -> None:
    found = objects(f"{GOOD}\n{line}\n")
    assert found is not None
    assert decode(found, 2, 0) is None


def test_columns_hold_what_the_events_say() -> None:
    found = objects(f"{GOOD}\n{FREE}")
    assert found is not None
    columns = decode(found, 7, 5)
    assert columns == Columns(7, ["alloc", "free"], [5, 5], [1, 1], [8, None])
    assert columns is not None
    assert list(columns.events()) == [
        Event("alloc", 5, 1, 8, PoolTag(b"None"), PoolType.NonPagedPool, line=7),
        Event("free", 5, 1, line=8),
    ]
    assert decode(found, 7, 6) is None


def test_tagged_events_do_not_make_the_rest_of_a_chunk_slow(tmp_path: Path) -> None:
    path = tmp_path / "tagged.jsonl"
    tagged = '{"t":5,"op":"alloc","id":2,"size":8,"tag":"abcd","site":"main"}'
    path.write_text(f"{HEADER.decode()}\n{GOOD}\n{tagged}\n{FREE}\n")
    (chunk,) = load(path).chunks()
    assert isinstance(chunk, list)
    assert [event.site for event in chunk] == [None, "main", None]
    assert chunk == list(singly(path))


@pytest.mark.parametrize("name", ["long.jsonl", "long.jsonl.gz"])
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_that_is_too_long(tmp_path: Path, name: str, end: str) -> None:
    path = tmp_path / name
    for size, refused in ((lines.LINE_BYTES - 1, False), (lines.LINE_BYTES + 1, True)):
        line = GOOD + " " * (size - len(GOOD)) + end
        data = f"{HEADER.decode()}\n{GOOD}\n{line}".encode()
        path.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
        events, error = told(load(path))
        assert len(events) == (1 if refused else 2)
        if refused:
            assert error == (f"{path}, line 3: longer than 1,048,576 bytes", 3, None)


def test_a_header_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(HEADER + b" " * lines.LINE_BYTES)
    with pytest.raises(TraceError, match="line 1: longer than"):
        load(path)


@pytest.mark.parametrize(
    ("line", "field", "problem"),
    [
        ('{"t":1,"t":2,"op":"free","id":1}', "t", "is there twice"),
        ('{"t":1,"op":"free","op":"free","id":1}', "op", "is there twice"),
        ('{"t":1,"op" :"free","id":1,"id":1}', "id", "is there twice"),
        (
            '{"t":1,"op":"alloc","id":1,"size":8,"site":"a:b:c","size":8}',
            "size",
            "is there twice",
        ),
        ('{"t":1,"op":"' + "y" * 500 + '"}', "op", "'" + "y" * 76 + "...: give one of"),
        ('{"t":1,"op":"free","id":"' + "y" * 500 + '"}', "id", "'" + "y" * 76 + "...: give an"),
        ('{"t":1,"op":"free","id":1,"' + "y" * 500 + '":1}', "y" * 500, "unknown for 'free'"),
    ],
)
def test_a_line_that_is_refused_in_few_words(
    tmp_path: Path, line: str, field: str, problem: str
) -> None:
    path = tmp_path / "doubled.jsonl"
    header = '{"format":"lookaside-trace","version":1,"time_unit":"us"}'
    path.write_text(f'{header}\n{{"t":0,"op":"alloc","id":1,"size":8}}\n{line}\n')
    with pytest.raises(TraceError) as caught:
        list(load(path))
    assert (caught.value.line, caught.value.field) == (3, field)
    assert caught.value.problem.startswith(problem)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_colons_in_texts_are_no_fields(tmp_path: Path) -> None:
    path = tmp_path / "sites.jsonl"
    header = '{"format":"lookaside-trace","version":1,"time_unit":"us","source":"a:b"}'
    line = '{"t":0,"op":"alloc","id":1,"size":8,"site":"main.c:12"}'
    path.write_text(f"{header}\n{line}\n")
    assert [event.site for event in load(path)] == ["main.c:12"]


def test_a_header_has_known_fields_only(tmp_path: Path) -> None:
    path = tmp_path / "header.jsonl"
    path.write_text('{"format":"lookaside-trace","version":1,"time_unit":"us","unit":"s"}\n')
    with pytest.raises(TraceError, match="field 'unit': unknown in the header: it has format"):
        load(path)
