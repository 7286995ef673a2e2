"""What a failing test says of its run: the last steps, and where to look."""

from __future__ import annotations

from typing import Final

from lookaside_sim.run import Run, Step
from lookaside_sim.run.culprits import Culprit, culprit, stop_of

_LAST: Final = 5
"""Steps that are shown."""


def last_steps(run: Run, who: Culprit | None = None) -> str:
    """The last steps of a run as text, and the one that led to its stop.

    Args:
        run: the run.
        who: the culprit, if the caller knows it.

    Returns:
        Lines without a final newline.
    """
    count = len(run)
    stop = stop_of(run)
    who = culprit(run, stop) if who is None else who
    lines = [_line(run[number]) for number in range(max(0, count - _LAST), count)]
    if count > _LAST:
        lines.insert(0, f"the last {_LAST} of {count} steps:")
    if stop is not None:
        lines.append(f"   *** {stop.text}")
    if who is not None:
        lines += [f"look at step {who.step.number + 1}: {who.why}", _line(who.step)]
    return "\n".join(lines)


def _line(step: Step) -> str:
    site = f"   {step.site}" if step.site is not None else ""
    return f"{step.number + 1:6}  {step}{site}"
