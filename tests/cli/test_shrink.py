"""The commands ``shrink`` and ``pin``, and the check of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim.cli import main
from lookaside_sim.trace import Event, load, save
from tests.testing.helpers import SECOND, noisy_trace, run_source


@pytest.fixture
def trace_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "noisy.jsonl.gz"
    save(path, noisy_trace())
    (tmp_path / "my_trace_checks.py").write_text(
        "from lookaside_sim.trace import replay\n"
        "def few(events):\n"
        "    assert replay(events).pool_calls < 3\n",
        encoding="utf-8",
    )
    return path


def test_the_command_shrinks_and_pins(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(trace_file), "--check", "my_trace_checks:few"]) == 0
    assert "events reduced to 3:" in capsys.readouterr().out
    reduced = trace_file.with_name("noisy.min.jsonl")
    assert [event.op for event in load(reduced)] == ["alloc", "alloc", "free"]
    assert main(["pin", str(reduced), "-o", "test_kept.py"]) == 0
    run_source(trace_file.with_name("test_kept.py").read_text("utf-8"))
    capsys.readouterr()
    assert main(["pin", str(reduced), "--check", "my_trace_checks:few"]) == 0
    source = capsys.readouterr().out
    with pytest.raises(AssertionError):
        run_source(source)


def test_by_default_a_stop_is_shrunk(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stops = [*noisy_trace(), Event("delete", 99 * SECOND, list="b")]
    stops.append(stops[-1])
    save(trace_file, stops)
    output = trace_file.with_name("out.jsonl")
    assert main(["shrink", str(trace_file), "-o", str(output)]) == 0
    assert [event.op for event in load(output)] == ["init", "delete", "delete"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        ("few", "give MODULE:FUNCTION"),
        ("no_such_module_here:few", "No module named"),
        ("my_trace_checks:many", "no attribute 'many'"),
    ],
)
def test_a_check_that_is_not_there_is_named(
    trace_file: Path, capsys: pytest.CaptureFixture[str], check: str, complaint: str
) -> None:
    assert main(["shrink", str(trace_file), "--check", check]) == 2
    assert complaint in capsys.readouterr().err
