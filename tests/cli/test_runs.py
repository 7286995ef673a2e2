"""Scripts become runs, runs become files of other tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookaside_sim.run import Run
from tests.cli.helpers import Command

SCRIPT = """
import sys
from lookaside_sim import Kernel
kernel = Kernel()
block = kernel.pool.allocate(0, int(sys.argv[1]), b"tseT")
print("printed")
kernel.pool.free(block + 8)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, "utf-8")
    return path


def test_a_script_is_recorded_up_to_its_stop(script: Path, command: Command) -> None:
    code, output, errors = command("record-run", script, "40")
    assert code == 0
    assert output.startswith(
        f"script.lkrun: 2 steps of {script}, the last one a stop: BugCheck: "
    )
    assert errors == "printed\n"
    run = Run.load("script.lkrun")
    assert run[0].arguments["NumberOfBytes"] == 40
    assert run.stop == run[1]


def test_a_run_a_script_and_a_trace_are_exported(script: Path, command: Command) -> None:
    assert command("record-run", "-o", "a.lkrun", "--", script, "40")[0] == 0
    code, output, errors = command("export", "a.lkrun", "--to", "perfetto")
    assert (code, errors) == (0, "")
    assert output == "a.perfetto.json: 2 steps of a.lkrun\n"
    assert json.loads(Path("a.perfetto.json").read_text("utf-8"))["traceEvents"]
    trace = Path("b.jsonl")
    trace.write_text(
        '{"format": "lookaside-trace", "version": 1, "time_unit": "us"}\n'
        '{"t": 1, "op": "alloc", "id": 1, "size": 24}\n',
        "utf-8",
    )
    assert command("export", trace, "--to", "csv", "--lookaside", "24")[0] == 0
    assert "heap-24" in Path("b.csv").read_text("utf-8")
    assert command("export", trace, "--to", "json", "-o", "out")[0] == 0
    assert json.loads(Path("out").read_text("utf-8"))["steps"]


def test_bad_input_is_one_line(script: Path, command: Command) -> None:
    Path("bad.lkrun").write_bytes(b"LKRUN\x01rubbish")
    code, output, errors = command("export", "bad.lkrun", "--to", "csv")
    assert (code, output) == (2, "")
    assert (
        errors
        == "lookaside-sim: bad.lkrun, position 6: the file ends in the head of a section\n"
    )
    none = Path("none.py")
    none.write_text("x = 1\n", "utf-8")
    assert (
        command("record-run", none)[2] == "lookaside-sim: none.py: the script made no Kernel\n"
    )
    assert command("record-run", "missing.py")[0] == 2
