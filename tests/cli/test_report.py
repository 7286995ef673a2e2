"""``lookaside-sim report``: scripts, saved runs and traces become pages."""

from __future__ import annotations

import gzip
from pathlib import Path

from lookaside_sim import Kernel
from lookaside_sim.run import record
from tests.cli.helpers import LIST_TRACE, Command, write

SCRIPT = (
    "import sys",
    "from lookaside_sim import Kernel",
    "kernel = Kernel()",
    "requests = kernel.lookaside_list(sys.argv[1])",
    "requests.initialize(size=64, tag=b'Rqst')",
    "requests.free(requests.allocate())",
    "print('done')",
    "kernel.pool.free(0x1000)",
)


def test_a_script_is_run_and_shown(command: Command, tmp_path: Path) -> None:
    script = write(tmp_path / "late.py", *SCRIPT)
    page = tmp_path / "out.html"
    code, out, err = command(
        "report", str(script), "-o", str(page), "--story", "Why?", "--argument", "mine"
    )
    assert (code, err) == (0, "done\n")
    assert out == f"4 steps of {script}: {page}, {page.stat().st_size:,} bytes\n"
    text = page.read_text("utf-8")
    assert "<title>late.py</title>" in text
    assert '<p class="story">Why?</p>' in text
    assert '"step":4' in text  # at the stop


def test_a_saved_run_is_shown(command: Command, tmp_path: Path) -> None:
    kernel = Kernel()
    with record(kernel, "saved") as run:
        kernel.pool.free(kernel.pool.allocate(0, 8, b"Some"))
    run.save(tmp_path / "some.lkrun")
    code, out, err = command(
        "report", str(tmp_path / "some.lkrun"), "--step", "1", "--title", "T"
    )
    assert (code, err) == (0, "")
    text = (tmp_path / "some.lkrun.html").read_text("utf-8")
    assert "<title>T</title>" in text
    assert '"step":1' in text
    assert out.startswith("2 steps of ")


def test_a_trace_is_shown(command: Command, tmp_path: Path) -> None:
    trace = tmp_path / "test.jsonl.gz"
    trace.write_bytes(gzip.compress("".join(f"{line}\n" for line in LIST_TRACE).encode()))
    code, out, _ = command("report", str(trace), "--lookaside", "100")
    assert code == 0
    assert out.startswith("1")
    assert (tmp_path / "test.jsonl.gz.html").exists()


def test_what_cannot_be_shown_is_said_in_one_line(command: Command, tmp_path: Path) -> None:
    none = write(tmp_path / "none.py", "pass")
    broken = write(tmp_path / "broken.lkrun", "LKRUN")
    for path, said in (
        (none, "made no Kernel"),
        (broken, "broken.lkrun"),
        (tmp_path / "missing.py", "No such file"),
    ):
        code, out, err = command("report", str(path))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
    script = write(tmp_path / "fine.py", *SCRIPT[1:3], "kernel.tick()")
    code, _, err = command("report", str(script), "--step", "7", "--argument", "x")
    assert (code, err) == (2, "lookaside-sim: step 7: give 0 to 1, or -1 for the end\n")


def test_the_page_of_a_trace_with_advice(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    page = path.with_name("page.html")
    assert command("report", path, "-o", page)[0] == 0
    assert 'aria-label="Advice"' not in page.read_text("utf-8")
    code, output, errors = command("report", path, "-o", page, "--advise")
    assert (code, errors) == (0, "")
    assert "page.html" in output
    text = page.read_text("utf-8")
    assert "<th>20 bytes, tsLL</th><td>5</td><td>3 (60.0%)</td>" in text


def test_advice_from_another_trace(path: Path, command: Command) -> None:
    script = path.with_name("script.py")
    script.write_text("from lookaside_sim import Kernel\n\nKernel().tick()\n")
    write(path, *LIST_TRACE)
    page = path.with_name("page.html")
    assert command("report", script, "-o", page, "--advise", path)[0] == 0
    assert "<th>20 bytes, tsLL</th>" in page.read_text("utf-8")
    assert command("report", script, "-o", page, "--advise", path.with_name("none"))[0] == 2
