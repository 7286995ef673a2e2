"""Charts of how depths moved."""

from __future__ import annotations

from pathlib import Path

from lookaside_sim import Kernel
from lookaside_sim.cli.chart import Depths, chart
from tests.cli.helpers import HEADER, Command, write


def test_a_second_is_some_columns_and_the_rows_are_between_the_depths() -> None:
    assert chart("a", 2, [4, 9, 6]).splitlines() == [
        "Depth of a: 4 at 2 s, 6 at 4 s",
        "9 |   ###",
        "8 |   ###",
        "7 |   ###",
        "6 |   ######",
        "5 |   ######",
        "4 |#########",
        "  +---------",
        "   2 s   4 s",
    ]


def test_where_there_are_more_seconds_than_columns_the_largest_depth_shows() -> None:
    depths = [4] * 300
    depths[150] = 50
    lines = chart("", 0, depths).splitlines()
    assert lines[0] == "Depth of list: 4 at 0 s, 4 at 299 s"
    assert lines[1] == "50 |" + " " * 30 + "#"
    assert max(map(len, lines)) == len("50 |") + 60


def test_depths_are_those_of_each_second_also_where_many_pass_at_once() -> None:
    kernel = Kernel()
    depths = Depths(kernel)
    kernel.tick(2)
    busy, idle = kernel.lookaside_list("busy"), kernel.lookaside_list("idle")
    for each in (busy, idle):
        each.initialize(size=32, tag=b"tseT")
    for _ in range(200):
        busy.allocate()
    kernel.tick(5)
    kernel.tick(1000)
    seen = depths.by_list[busy.address]
    assert len(seen) == 1006
    assert seen[0] == 4
    assert max(seen) == 34
    assert seen[-1] == busy.depth
    (only,) = depths.charts([busy, idle])
    assert only.startswith("Depth of busy: 4 at 2 s, ")


def test_the_command_charts_the_lists_whose_depth_moved(path: Path, command: Command) -> None:
    allocs = [f'{{"t":{t},"op":"alloc","id":{t},"size":24}}' for t in range(1, 200)]
    last = '{"t":4000000,"op":"free","id":1}'
    code, output, _ = command(
        "run", write(path, HEADER, *allocs, last), "--lookaside", "24", "--lookaside", "99"
    )
    assert code == 0
    assert "Depth of heap-24: 4 at 0 s, 24 at 4 s\n" in output
    assert "Depth of heap-99" not in output
