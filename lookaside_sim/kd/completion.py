"""What could be typed next: commands first, then symbols, routines and structures."""

from __future__ import annotations

from lookaside_sim.kd.search import known_routines
from lookaside_sim.kd.session import Session
from lookaside_sim.kd.structures import STRUCTURE_NAMES
from lookaside_sim.kd.symbols import NT
from lookaside_sim.kd.table import NAMES

BREAKS = ' \t;,()+-*/"`'
"""Where a word ends that is completed. A hyphen ends none at the start of a command."""


def completions(session: Session, before: str) -> tuple[str, list[str]]:
    """The words that a line could go on with.

    Args:
        session: whose names are known.
        before: the line up to the cursor.

    Returns:
        The word that has been begun, and what it could become, in order.
    """
    command = before.rpartition(";")[2].lstrip()
    if not any(each in command for each in " \t"):
        return command, [each for each in NAMES if each.startswith(command.lower())]
    at = len(command)
    while at and command[at - 1] not in BREAKS:
        at -= 1
    word = command[at:]
    folded = word.lower()
    known = {each.name for each in session.shell.symbols.all()}
    known |= {f"{NT}!{each}" for each in (*known_routines(), *STRUCTURE_NAMES)}
    found = [each for each in known if each.lower().startswith(folded)]
    # Without its module a name is found too.
    found += [
        behind
        for each in known
        if (behind := each.partition("!")[2]).lower().startswith(folded) and behind and word
    ]
    return word, sorted(set(found))
