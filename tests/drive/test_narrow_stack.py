"""Stacks of x86 code: what is told of what looks like a return."""

from __future__ import annotations

import pytest

from lookaside_sim.drive.narrow_stack import Return, _chain
from lookaside_sim.machine.calls import Call
from lookaside_sim.pool.calls import AllocateBlock
from tests.drive.helpers import line_of, loaded, needs_engine
from tests.helpers import stop_of

ENTRY, MIDDLE, LEAF, OTHER = 0x1000, 0x2000, 0x3000, 0x4000


def calls(function: int, called: int | None, at: int = 4) -> Return:
    return Return(function + at, function, called)


@pytest.mark.parametrize(
    ("found", "inner", "kept"),
    [
        ([calls(MIDDLE, LEAF), calls(ENTRY, MIDDLE)], LEAF, [0, 1]),
        # What calls that are over left behind: of another function, of an import.
        ([calls(OTHER, MIDDLE), calls(ENTRY, None), calls(ENTRY, LEAF)], LEAF, [2]),
        # Through a pointer anybody may have been called, but whoever says so goes before.
        ([calls(OTHER, 0), calls(ENTRY, LEAF)], LEAF, [1]),
        ([calls(MIDDLE, 0), calls(ENTRY, MIDDLE)], LEAF, [0, 1]),
        # An import returns to the innermost word.
        ([calls(LEAF, None), calls(OTHER, None), calls(ENTRY, LEAF)], 0, [0, 2]),
        # A function that calls itself.
        ([calls(ENTRY, ENTRY), calls(ENTRY, ENTRY)], ENTRY, [0, 1]),
        ([calls(ENTRY, None)], ENTRY, []),
        # It ended by jumping into another one, so nobody says that he called that.
        ([calls(ENTRY, MIDDLE)], LEAF, None),
        ([], 0, None),
    ],
)
def test_frames_lead_out_to_what_was_called_from_outside(
    found: list[Return], inner: int, kept: list[int] | None
) -> None:
    expected = None if kept is None else [found[at] for at in kept]
    assert _chain(found, inner, ENTRY) == expected


@needs_engine
def test_a_call_that_is_over_is_no_frame() -> None:
    """Fill was called before, from the line in front, and its return address is still there."""
    _, driver = loaded("mistakes", "x86")
    driver.start()
    stop = stop_of(lambda: driver.call("Overrun"))
    assert [(each.function, each.line) for each in stop.stack] == [
        ("mistakes-x86!Overrun", line_of("mistakes.c", "allocated") + 3)
    ]


@needs_engine
def test_frames_of_calls_inside_calls_are_told_too() -> None:
    """Compiled code calls a list, Python's list its allocate routine, which is compiled code."""
    kernel, driver = loaded("families", "x86")
    driver.start()
    stacks: list[list[str]] = []

    def hear(call: Call) -> None:
        if isinstance(call, AllocateBlock):
            stack = kernel.machine.program.calling_stack()
            stacks.append([each.function.partition("!")[2] for each in stack])

    kernel.listen(hear)
    assert driver.call("TakeRecord") != 0
    assert stacks[0] == ["AllocateRecord", "TakeRecord"]
