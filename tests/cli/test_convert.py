from __future__ import annotations

from pathlib import Path

from lookaside_sim.trace import load
from tests.cli.helpers import HEADER, LIST_TRACE, Command, write


def test_a_trace_goes_to_columns_and_back(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    packed, again = path.with_name("test.lkt"), path.with_name("again.jsonl.gz")
    code, output, errors = command("convert", path, packed)
    assert (code, errors) == (0, "")
    before, after = path.stat().st_size, packed.stat().st_size
    assert output == f"11 events: {packed}, {after:,} bytes ({before:,} before)\n"
    assert command("convert", packed, again)[0] == 0
    assert list(load(again)) == list(load(packed)) == list(load(path))
    assert load(again).header == load(path).header
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "again.jsonl.gz",
        "test.jsonl",
        "test.lkt",
    ]


def test_a_packed_trace_runs_as_any_other(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    packed = path.with_name("test.lkt")
    command("convert", path, packed)
    text, binary = command("run", path), command("run", packed)
    assert binary[1].replace("test.lkt", "test.jsonl") == text[1]


def test_a_file_may_take_its_own_place(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    events = list(load(path))
    assert command("convert", path, path)[0] == 0
    assert list(load(path)) == events


def test_bad_input_leaves_no_output(path: Path, command: Command) -> None:
    write(path, HEADER, "bad")
    output = path.with_name("out.lkt")
    code, _, errors = command("convert", path, output)
    assert code == 2
    assert errors.startswith(f"lookaside-sim: {path}, line 2: not a JSON object")
    assert errors.count("\n") == 1
    assert [each.name for each in path.parent.iterdir()] == ["test.jsonl"]


def test_a_damaged_packed_trace(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    packed = path.with_name("test.lkt")
    command("convert", path, packed)
    packed.write_bytes(packed.read_bytes()[:-9])
    for arguments in (("convert", packed, path), ("run", packed)):
        code, _, errors = command(*arguments)
        assert code == 2
        assert errors.startswith(f"lookaside-sim: {packed}, line ")
        assert "ends at byte" in errors


def test_a_trace_that_ends_in_the_middle_is_used_on_request(
    path: Path, command: Command
) -> None:
    path.write_text(f'{HEADER}\n{{"op":"alloc","id":1,"size":8}}\n{{"op":"fr')
    output = path.with_name("out.lkt")
    assert command("convert", path, output)[0] == 2
    code, _, errors = command("convert", path, output, "--partial")
    assert code == 0
    assert errors.startswith(f"lookaside-sim: warning: {path}, line 3: not a JSON object")
    assert errors.endswith("; used until there\n")
    assert len(list(load(output))) == 1
    for name in ("run", "sweep"):
        assert command(name, path)[0] == 2
        code, _, errors = command(name, path, "--partial")
        assert (code, errors.count("used until there")) == (0, 1)


SAMPLES = Path(__file__).parent.parent / "trace" / "foreign" / "samples"


def test_what_another_tool_recorded(path: Path, command: Command) -> None:
    code, output, errors = command("convert", SAMPLES / "ltrace.txt", path)
    assert code == 0
    assert output.startswith("8 events: ")
    assert errors.endswith("1 frees of what was allocated before it; left out\n")
    assert load(path).header.source == "calls of malloc and free, as ltrace prints: ltrace.txt"
    code, _, errors = command("convert", SAMPLES / "ltrace.txt", path, "--from", "wpa")
    assert code == 2
    assert errors.count("\n") == 1
    for name in ("advise", "run", "sweep"):
        code, output, errors = command(name, SAMPLES / "windows.csv")
        assert (code, errors.count("left out")) == (0, 1)
        assert output


def test_a_place_that_is_none(path: Path, command: Command) -> None:
    for output in (path.parent / "none" / "out.lkt", path.parent):
        code, _, errors = command("convert", SAMPLES / "windows.csv", output)
        assert code == 2
        assert errors.startswith(f"lookaside-sim: {output}: ")
        assert errors.count("\n") == 1
    assert list(path.parent.iterdir()) == []
