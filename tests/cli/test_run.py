"""The result of a trace, and bad input as one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.cli.helpers import HEADER, LIST_OUTPUT, LIST_TRACE, Command, write

HEAP_TRACE = (
    HEADER,
    *(f'{{"t":{t},"op":"alloc","id":{t},"size":24}}' for t in range(1, 7)),
    *(f'{{"t":{t + 6},"op":"free","id":{t}}}' for t in range(1, 7)),
    '{"t":13,"op":"alloc","id":1,"size":24}',
    '{"t":14,"op":"alloc","id":2,"size":5000}',
    '{"t":15,"op":"alloc","id":3,"size":24,"pool":"PagedPool"}',
    '{"t":16,"op":"alloc","id":4,"size":10}',
    '{"t":17,"op":"free","id":4}',
)


HEAP_OUTPUT = """\
Lookaside "heap-24" @ 0xfffff80a1d253000  Tag(hex): 0x6b6f6f4c "Look"
    Type           =       0000  NonPagedPool
    Current Depth  =          3  Max Depth  =          4
    Size           =         24  Max Alloc  =         96
    AllocateMisses =          6  FreeMisses =          2
    TotalAllocates =          7  TotalFrees =          6
    Hit Rate       =         14% Hit Rate   =         66%

Lookaside "heap-100" @ 0xfffff80a1d253060  Tag(hex): 0x6b6f6f4c "Look"
    Type           =       0000  NonPagedPool
    Current Depth  =          0  Max Depth  =          4
    Size           =        100  Max Alloc  =        400
    AllocateMisses =          0  FreeMisses =          0
    TotalAllocates =          0  TotalFrees =          0
    Hit Rate       =        100% Hit Rate   =        100%

Total NonPaged currently allocated for above lists =       72
Total NonPaged potential for above lists           =      496
Total Paged currently allocated for above lists    =        0
Total Paged potential for above lists              =        0

Trace          test.jsonl: a test
Events         17 in 0 s of balance set manager ticks
Allocate hits  1 of 7 list allocates (14%)
Free hits      4 of 6 list frees (66%)
Pool calls     12 made, 5 saved by the lists (29%)
Held by lists  72 bytes in 3 free entries
Still live     3 allocations; 0 failed

 Tag  Type      Allocs      Frees      Diff       Bytes  Per Alloc
 Look Nonp           6          2         4         192         48
 None Nonp           2          1         1        5000       5000
 None Paged          1          0         1          48         48
"""


HEAP_WITHOUT_LISTS = """\
Trace          test.jsonl: a test
Events         17 in 0 s of balance set manager ticks
Allocate hits  0 of 0 list allocates (none)
Free hits      0 of 0 list frees (none)
Pool calls     17 made, 0 saved by the lists (0%)
Held by lists  0 bytes in 0 free entries
Still live     3 allocations; 0 failed

 Tag  Type      Allocs      Frees      Diff       Bytes  Per Alloc
 None Nonp           9          7         2        5048       2524
 None Paged          1          0         1          48         48
"""


# --- results -----------------------------------------------------------------------------


def test_a_list_trace(path: Path, command: Command) -> None:
    assert command("run", write(path, *LIST_TRACE)) == (0, LIST_OUTPUT, "")


def test_a_packed_trace_is_no_different(path: Path, command: Command) -> None:
    packed = path.with_name("test.jsonl.gz")
    packed.write_bytes(gzip.compress("\n".join(LIST_TRACE).encode()))
    expected = LIST_OUTPUT.replace("test.jsonl:", "test.jsonl.gz:")
    assert command("run", packed) == (0, expected, "")


def test_a_heap_trace_with_lists_for_two_sizes(path: Path, command: Command) -> None:
    write(path, *HEAP_TRACE)
    found = command("run", path, "--lookaside", "24", "--lookaside", "0x64")
    assert found == (0, HEAP_OUTPUT, "")


def test_a_size_given_twice_is_given_once(path: Path, command: Command) -> None:
    write(path, *HEAP_TRACE)
    sizes = ("--lookaside=24", "--lookaside=100", "--lookaside=24")
    assert command("run", path, *sizes) == (0, HEAP_OUTPUT, "")


def test_a_heap_trace_without_lists(path: Path, command: Command) -> None:
    assert command("run", write(path, *HEAP_TRACE)) == (0, HEAP_WITHOUT_LISTS, "")


def test_a_trace_of_nothing(path: Path, command: Command) -> None:
    write(path, '{"format":"lookaside-trace","version":1,"time_unit":"us"}')
    code, output, errors = command("run", path)
    assert (code, errors) == (0, "")
    assert output == (
        "Trace          test.jsonl: no source given\n"
        "Events         0 in 0 s of balance set manager ticks\n"
        "Allocate hits  0 of 0 list allocates (none)\n"
        "Free hits      0 of 0 list frees (none)\n"
        "Pool calls     0 made, 0 saved by the lists (none)\n"
        "Held by lists  0 bytes in 0 free entries\n"
        "Still live     0 allocations; 0 failed\n"
        "\n"
        " Tag  Type      Allocs      Frees      Diff       Bytes  Per Alloc\n"
    )


def test_the_depth_that_the_debugger_prints(path: Path, command: Command) -> None:
    expected = LIST_OUTPUT.replace("Current Depth  =          1", "Current Depth  =          0")
    for size in ("      20", "     200"):
        expected = expected.replace(
            f"allocated for above lists = {size}", "allocated for above lists =        0"
        ).replace(
            f"allocated for above lists    = {size}", "allocated for above lists    =        0"
        )
    assert expected.count("=        0\n") == 2
    assert command("run", "--debugger-depth", write(path, *LIST_TRACE)) == (0, expected, "")


def test_an_x86_machine(path: Path, command: Command) -> None:
    expected = (
        LIST_OUTPUT.replace("0xfffff80a1d253000", "0x8c253000")
        .replace("0xfffff80a1d253060", "0x8c253048")
        .replace("96         48\n", "64         32\n")
        .replace("224        224\n", "208        208\n")
    )
    assert command("run", write(path, *LIST_TRACE), "--arch", "x86") == (0, expected, "")


def test_exhausted_nonpaged_pool(path: Path, command: Command) -> None:
    write(
        path,
        HEADER,
        '{"op":"init","list":"a","size":3000}',
        '{"op":"alloc","id":1,"list":"a"}',
        '{"op":"alloc","id":2,"list":"a"}',
        '{"op":"alloc","id":3,"size":3000}',
        '{"op":"alloc","id":4,"size":3000,"pool":"PagedPool"}',
        '{"op":"free","id":2}',
        '{"op":"free","id":3}',
    )
    code, output, errors = command("run", path, "--nonpaged-bytes", "8191")
    assert (code, errors) == (0, "")
    assert "Still live     2 allocations; 2 failed\n" in output
    assert "Pool calls     4 made, 0 saved by the lists (0%)\n" in output
    code, output, errors = command("run", path, "--paged-bytes", "0")
    assert (code, errors) == (0, "")
    assert "Still live     1 allocations; 1 failed\n" in output


def test_the_seed_does_not_change_the_result(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    assert command("run", path, "--seed", "99") == (0, LIST_OUTPUT, "")


def test_a_trace_that_stops_the_machine(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE, '{"op":"irql","level":2}', '{"op":"alloc","id":9,"list":"paged"}')
    code, output, errors = command("run", path)
    assert code == 0  # the list had an entry: nothing asked the pool

    write(path, *LIST_TRACE, '{"op":"irql","level":3}', '{"op":"alloc","id":9,"size":8}')
    code, output, errors = command("run", path)
    assert (code, errors) == (1, "")
    assert output == (
        "*** STOP: BAD_POOL_CALLER (0xc2) (0x8, 0x3, 0x0, 0x8):"
        " asked for 8 bytes of pool type 0x0, tag None, at IRQL 3\n"
    )


# --- bad input ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], "lookaside-sim: the following arguments are required: COMMAND"),
        (["walk"], "lookaside-sim: argument COMMAND: invalid choice: 'walk'"),
        (["--nope"], "lookaside-sim: the following arguments are required: COMMAND"),
        (["run"], "lookaside-sim run: the following arguments are required: FILE"),
        (["run", "FILE", "--nope"], "lookaside-sim: unrecognized arguments: --nope"),
        (["run", "FILE", "FILE"], "lookaside-sim: unrecognized arguments: "),
        (["run", "FILE", "--a\nb"], "lookaside-sim: unrecognized arguments: --a b"),
        (["run", "FILE", "--seed"], "argument --seed: expected one argument"),
        (["run", "FILE", "--seed", "x"], "argument --seed: 'x': give a whole number"),
        (["run", "FILE", "--seed", "-1"], "argument --seed: '-1': give a whole number"),
        (["run", "FILE", "--seed", "1.5"], "argument --seed: '1.5': give a whole number"),
        (["run", "FILE", "--seed", ""], "argument --seed: '': give a whole number"),
        (["run", "FILE", "--lookaside", "-8"], "argument --lookaside: '-8': give a whole"),
        (["run", "FILE", "--lookaside", "a\nb"], "argument --lookaside: 'a\\nb': give a"),
        (["run", "FILE", "--arch", "arm64"], "argument --arch: invalid choice: 'arm64'"),
        (["run", "FILE", "--nonpaged-bytes", "1k"], "argument --nonpaged-bytes: '1k': give"),
        (["run", "FILE", "--paged-bytes", "-1"], "argument --paged-bytes: '-1': give"),
        (["run", "FILE", "--paged-bytes", str(1 << 70)], "lookaside-sim: paged_pool_bytes"),
        (
            ["run", "FILE", "--nonpaged-bytes", str(1 << 70)],
            "lookaside-sim: nonpaged_pool_bytes",
        ),
        (["run", "FILE", "--lookaside", str(1 << 64)], f"size {1 << 64}: give 0 to "),
        (["run", "none.jsonl"], "lookaside-sim: none.jsonl: No such file or directory"),
        (["run", "no\nne.jsonl"], "lookaside-sim: no ne.jsonl: No such file or directory"),
        (["run", "no\0ne.jsonl"], "lookaside-sim: embedded null byte"),
        (["run", "DIRECTORY"], ": Is a directory"),
    ],
    ids=lambda value: None if isinstance(value, str) else ascii(" ".join(value)),
)
def test_bad_arguments_are_one_line(
    path: Path, command: Command, arguments: list[str], shown: str
) -> None:
    write(path, *LIST_TRACE)
    places = {"FILE": str(path), "DIRECTORY": str(path.parent)}
    code, output, errors = command(*(places.get(each, each) for each in arguments))
    assert (code, output) == (2, "")
    assert shown in errors
    assert errors.startswith("lookaside-sim")
    assert errors.endswith("\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([], "line 1: not a JSON object"),
        (["nonsense"], "line 1: not a JSON object"),
        (['{"format":"other"}'], "line 1, field 'format': 'other' in the header: give"),
        ([HEADER, "{"], "line 2: not a JSON object"),
        ([HEADER, "[" * 100_000], "line 2: not a JSON object"),
        ([HEADER, '{"op":"alloc","id":1}'], "line 2, field 'size': missing: 'alloc' needs it"),
        ([HEADER, '{"op":"alloc","id":1,"size":-1}'], "line 2, field 'size': -1: give"),
        (
            [HEADER, '{"op":"alloc","id":1,"size":1,"a\\nb":1}'],
            "line 2, field 'a\\nb': unknown",
        ),
        ([HEADER, '{"op":"free","id":1}'], "line 2, field 'id': 1 is not live"),
        ([HEADER, '{"op":"flush","list":"a"}'], "line 2, field 'list': 'a' was never"),
        ([HEADER, '{"op":"irql","level":16}'], "line 2, field 'level': 16: give 0 to 15"),
        (
            [HEADER, '{"op":"init","list":"a","size":8,"depth":1}'],
            "line 2, field 'depth': 1 is refused: STATUS_INVALID_PARAMETER_8",
        ),
        ([*LIST_TRACE, '{"t":1,"op":"free","id":5}'], "line 13, field 't': 1: give whole"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_malformed_trace_is_one_line(
    path: Path, command: Command, lines: list[str], shown: str
) -> None:
    code, output, errors = command("run", write(path, *lines))
    assert (code, output) == (2, "")
    assert errors.startswith(f"lookaside-sim: {path}, {shown}")
    assert errors.endswith("\n")
    assert errors.count("\n") == 1


def test_a_ring_of_lists_is_one_line(path: Path, command: Command) -> None:
    again = '{"op":"init","list":"a","size":8}'
    write(path, HEADER, again, again, '{"t":1000000,"op":"irql","level":0}')
    code, output, errors = command("run", path)
    assert (code, output) == (2, "")
    assert errors.startswith("lookaside-sim: the system-wide list at ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "data", "shown"),
    [
        ("bad.jsonl", f"{HEADER}\n".encode() + b"\xff\n", "line 2: not UTF-8"),
        ("bad.jsonl.gz", b"garbage", "line 1: damaged gzip file"),
        (
            "bad.jsonl.gz",
            gzip.compress(f"{HEADER}\n".encode())[:-3],
            "line 2: damaged gzip file",
        ),
        ("bad.jsonl.gz", b"", "line 1: not a JSON object"),
    ],
    ids=["not UTF-8", "no gzip", "cut", "empty"],
)
def test_a_damaged_file_is_one_line(
    tmp_path: Path, command: Command, name: str, data: bytes, shown: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    code, output, errors = command("run", path)
    assert (code, output) == (2, "")
    assert errors.startswith(f"lookaside-sim: {path}, {shown}")
    assert errors.count("\n") == 1
