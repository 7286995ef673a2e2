from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim import BugCheck, PoolTag, PoolType
from lookaside_sim.cli import main
from lookaside_sim.testing.reduce.traces import pin_trace, shrink_trace
from lookaside_sim.trace import Event, load, replay, save

SECOND = 1_000_000


def held(events: list[Event]) -> None:
    """Fails when a list holds four entries or more; a module-level check, as users write."""
    done = replay(events)
    if any(each.current_depth >= 4 for each in done.lists.values()):
        raise AssertionError("four entries held")


def noisy_trace() -> list[Event]:
    events = [Event("init", 0, size=32, list="a"), Event("init", 5, size=64, list="b")]
    time = 5
    for number in range(1, 60):
        time += SECOND // 2
        name = "a" if number % 3 else "b"
        events.append(Event("alloc", time, number, list=name))
        events.append(
            Event("alloc", time, 1000 + number, 48, PoolTag(b"Nois"), PoolType.PagedPool)
        )
        if number % 4 == 0:
            events.append(Event("flush", time, list="b"))
    for number in range(1, 60):
        events.append(Event("free", time, 1000 + number))
        if number % 2:
            events.append(Event("free", time, number))
    return events


def test_a_trace_is_reduced_to_what_its_failure_needs() -> None:
    reduced = shrink_trace(noisy_trace(), held)
    assert [event.op for event in reduced] == ["init", *["alloc"] * 4, *["free"] * 4]
    assert {event.time for event in reduced} == {0}
    with pytest.raises(AssertionError):
        held(reduced)


def test_time_that_matters_stays() -> None:
    def ticked(events: list[Event]) -> None:
        if replay(events).ticks >= 2:
            raise RuntimeError("two seconds passed")

    reduced = shrink_trace(noisy_trace(), ticked)
    assert len(reduced) <= 3
    assert reduced[-1].time == 2 * SECOND


def test_only_the_same_failure_counts() -> None:
    def confused(events: list[Event]) -> None:
        if len(events) < 5:
            raise KeyError("something else")
        raise ValueError("what was asked for")

    assert len(shrink_trace(noisy_trace(), confused)) == 5


def test_a_trace_that_does_not_fail_is_refused() -> None:
    with pytest.raises(ValueError, match="raises nothing"):
        shrink_trace(noisy_trace()[:3], held)


def run_source(source: str) -> None:
    names: dict[str, object] = {}
    exec(compile(source, "pinned", "exec"), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    assert callable(test)
    test()


def test_a_pinned_trace_asserts_what_the_replay_does() -> None:
    source = pin_trace(noisy_trace(), "noisy")
    run_source(source)
    assert "def test_noisy() -> None:" in source
    changed = source.replace("kept.current_depth) == (4,", "kept.current_depth) == (5,")
    assert changed != source
    with pytest.raises(AssertionError):
        run_source(changed)


def test_a_pinned_stop_is_asserted() -> None:
    events = [Event("init", 0, size=8, list="a"), Event("delete", 0, list="a")]
    events.append(events[-1])
    with pytest.raises(BugCheck):
        replay(events)
    source = pin_trace(events, "twice")
    run_source(source)
    assert "BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE" in source


def test_a_pinned_check_fails_as_long_as_the_check_does() -> None:
    source = pin_trace(
        shrink_trace(noisy_trace(), held), "held", "tests.testing.test_traces:held"
    )
    assert "from tests.testing.test_traces import held" in source
    with pytest.raises(AssertionError, match="four entries held"):
        run_source(source)


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
