from __future__ import annotations

from pathlib import Path

from tests.cli.helpers import LIST_TRACE, Command, write


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
