"""The debugger's text in the page is the text of the simulator's own views."""

from __future__ import annotations

from lookaside_sim import windbg
from tests.page.in_node import ask, needs_node
from tests.page.runs import double_free, lifo, overrun, use_after_free

RUNS = (lifo, use_after_free, double_free, overrun)


@needs_node
def test_lists_are_printed_as_the_debugger_prints_them() -> None:
    asked = [(make(), range(len(make()) + 1), "lists") for make in RUNS]
    for (run, positions, _), shown in zip(asked, ask(asked), strict=True):
        for at, seen in zip(positions, shown, strict=True):
            machine = run.machine(at)
            for address, text in seen.items():
                if text is not None:
                    assert text == windbg.lookaside(machine.list_at(int(address, 16)))


@needs_node
def test_pages_are_printed_as_the_debugger_prints_them() -> None:
    asked = [
        (make(), range(0, len(make()) + 1, 5 if len(make()) > 20 else 1), "pages")
        for make in RUNS
    ]
    for (run, positions, _), shown in zip(asked, ask(asked), strict=True):
        for at, seen in zip(positions, shown, strict=True):
            machine = run.machine(at)
            for address, text in seen.items():
                whole = windbg.pool(machine, int(address, 16)).splitlines()
                rows = [line for line in whole if not line.startswith("\t")]
                assert [_known(row) for row in text.splitlines()] == [
                    _known(row) for row in rows
                ]


def _known(row: str) -> str:
    """A row without the tag of a free block: the fold does not know what was left there."""
    return row.partition("(Free)")[0]
