"""What a step is called on the page: which routine, which sentence, which words for its values."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from lookaside_sim.nt.types import NtStatus, PoolTag, PoolType
from lookaside_sim.page.routines import SENTENCES
from lookaside_sim.run import Chain, Edit, Step, Stop
from lookaside_sim.windbg.lookaside import pool_type_name

_LEAST_ADDRESS: Final = 0x1_0000
"""Numbers from here on are shown as addresses."""
_ADDRESSES: Final = frozenset({"Entry", "P", "Address", "ListHead", "ListEntry", "Irp", "Mdl"})
"""Arguments that are addresses, however small."""


def kind_of(
    step: Step, edits: Sequence[Edit], *, on_list: bool, tuned: bool
) -> tuple[str, str]:
    """Which routine's lines are shown with a step, and which sentence.

    Args:
        step: the step.
        edits: what it changed.
        on_list: whether it is a call on a list.
        tuned: whether a scan sampled a list.

    Returns:
        Keys of `ROUTINES` and `SENTENCES`.
    """
    base = f"list {step.word}" if on_list else step.word
    branch = "" if step.branch is None else step.branch.value
    if step.outcome.value == "stopped" or any(isinstance(each, Stop) for each in edits):
        return base, "stopped"
    if step.word == "tick":
        return "tick", "tick tuned" if tuned else "tick"
    if step.outcome.value == "raised":
        return base, "raised"
    if step.word == "write" and any(isinstance(each, Chain) for each in edits):
        return base, "forged write"
    for each in (f"{base} {step.outcome.value}", f"{base} {branch}", base):
        if each in SENTENCES:
            return base, each
    return base, ""


def is_address(name: str, value: int) -> bool:
    """Whether an argument or result is shown as an address."""
    return value >= _LEAST_ADDRESS or value < 0 or name in _ADDRESSES


def result_of(step: Step) -> Any:
    """What a step returned, as it is said: a status by its name."""
    result = step.result
    if step.word == "init" and isinstance(result, int):
        return NtStatus(result).name if result in NtStatus._value2member_map_ else result
    return result


def said(name: str, value: Any) -> str:
    """A value that is no plain number, as C and the debugger write it."""
    if value is None:
        return "NULL" if name else ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, PoolTag):
        return f"'{value!s}'"
    if isinstance(value, PoolType):
        return pool_type_name(int(value))
    if isinstance(value, Enum):
        return str(value.name)
    named = getattr(value, "name", None)
    return str(named if named is not None else value)
