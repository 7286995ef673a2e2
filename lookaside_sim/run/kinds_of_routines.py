"""The kind of calls of NT's routines that are told by their names; see `lookaside_sim.run.kinds`.

What such a routine does is done again by calling it. Calls that it makes itself are told as
inside it; the replay leaves them to it. A routine of the program's that it is given is played.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lookaside_sim import ddi
from lookaside_sim.ddi.routine import ROUTINES
from lookaside_sim.run.kind import Kind, Notebook, Stage
from lookaside_sim.run.rows import Key
from lookaside_sim.system import calls as system

_WORD_MASK: Final = (1 << 64) - 1
_ARGUMENTS: Final = ("bytes", "out", "code")
"""What a pair says that stands for an argument: bytes by number, a variable of the program's
with what it holds, a routine by address."""


def _key(book: Notebook, call: system.CallRoutine) -> Key:
    return call.name, tuple(_encoded(book, each) for each in call.arguments)


def _encoded(book: Notebook, value: Any) -> Any:
    """An argument of a routine as a value of a key: itself, or a pair."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return "bytes", book.blob(value)
    if isinstance(value, ddi.Ref):
        return "out", value.value if isinstance(value.value, int) else 0
    return "code", book.code_address(value)


def _decoded(stage: Stage, value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    what, number = value
    if what == "bytes":
        return stage.blob(number)
    return ddi.Ref(number) if what == "out" else stage.code(number)


def _call_routine(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    name, arguments = key
    with stage.kernel:
        return _routine_named(name)(*(_decoded(stage, each) for each in arguments))


def _result(result: Any) -> int:
    """A result as a word; what is no number is none."""
    return int(result) & _WORD_MASK if isinstance(result, int) else 0


def _is_same(stage: Stage, word: int, result: Any) -> bool:
    return _result(result) == word


def _arguments(key: Key, words: tuple[int, ...]) -> dict[str, Any]:
    name, arguments = key
    _routine_named(name)
    for each in arguments:
        if isinstance(each, tuple) and (
            len(each) != 2 or each[0] not in _ARGUMENTS or type(each[1]) is not int
        ):
            raise ValueError(f"{name} with {each!r}")
    shown = [each[1] if isinstance(each, tuple) else each for each in arguments]
    return {f"Argument{number}": each for number, each in enumerate(shown, 1)}


def _routine_named(name: str) -> Callable[..., Any]:
    """A routine by its documented name.

    Raises:
        ValueError: none has it.
    """
    if not name.startswith("_"):
        getattr(ddi, name, None)  # opens the module that it is in
    found = ROUTINES.get(name)
    if found is None:
        raise ValueError(f"{name!r} is no routine")
    return found


ROUTINE: Final = (
    Kind(
        system.CallRoutine,
        "routine",
        _call_routine,
        _key,
        has_result=True,
        result=lambda book, result: _result(result),
        is_same=_is_same,
        arguments=_arguments,
        takes=(str, tuple),
    ),
)
