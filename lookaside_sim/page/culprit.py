"""Who did it: the step that led to a stop, found by what the stop names.

A stop names addresses and words. Whoever wrote such a word, or over the header of such a block, or
gave such a block back before, is where to look; the crash is only where it came out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.run import Born, Died, Edit, Push, Run, Stopped, Write

_LEAST_WORD: Final = 0x1000
"""Parameters below are codes and sizes, no addresses."""
_MOST_STEPS: Final = 20_000
"""How far back is looked."""


@attrs.frozen
class Culprit:
    """The step to look at.

    Attributes:
        step: its number.
        why: what it did, in a few words.
    """

    step: int
    why: str


def stop_of(run: Run) -> Stopped | None:
    """How the machine stopped at the end of a run; None if it did not."""
    return run.state(len(run)).stop if len(run) else None


def culprit(run: Run, stop: Stopped | None = None) -> Culprit | None:
    """Find the step that led to the stop at a run's end.

    Cost: of the last steps, each played again.

    Args:
        run: the run.
        stop: the stop, if the caller knows it.

    Returns:
        The last step that wrote a word which the stop names, else the last that wrote over the
        header of a block it names, else the last that gave such a block back; None if there
        is none, or no stop.
    """
    stop = stop_of(run) if stop is None else stop
    if stop is None:
        return None
    arch = run.machine(0).arch
    named = [each for each in stop.parameters if each >= _LEAST_WORD]
    found: dict[int, Culprit] = {}
    last = len(run) - 1
    for number, edits in run.all_edits(max(0, last - _MOST_STEPS), last):
        for rank, why in _clues(edits, named, arch):
            found[rank] = Culprit(number, why)
    return found[min(found)] if found else None


def _clues(
    edits: tuple[Edit, ...], named: list[int], arch: Architecture
) -> Iterator[tuple[int, str]]:
    """What in a step's edits speaks against it, and how strongly: 0 is the strongest."""
    for edit in edits:
        if isinstance(edit, Write):
            for word in named:
                if word.to_bytes(arch.pointer_size, "little") in edit.new:
                    yield 0, f"it wrote {word:#x} over {edit.address:#x}"
                elif _covers(edit, word, arch):
                    yield 1, f"it wrote over the header of the block at {word:#x}"
        elif isinstance(edit, Push) and edit.entry in named:
            yield 2, f"it put {edit.entry:#x} on a list"
        elif isinstance(edit, Died) and edit.address in named:
            yield 2, f"it freed {edit.address:#x}"
        elif isinstance(edit, Born) and edit.address in named:
            yield 3, f"it allocated {edit.address:#x}"


def _covers(edit: Write, word: int, arch: Architecture) -> bool:
    """Whether a write touches a header: a stop names a block by it, or by what is behind it."""
    header = arch.pool_header.size
    return edit.address < word + header and word - header < edit.address + len(edit.new)
