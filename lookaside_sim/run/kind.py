"""What a run has to know of one kind of call: how it is written down, made again, and shown.

To a kind belong

* its *key*, what many calls have in common, and its *operands*, what is each call's own;
* *play*, which makes the call again on another machine;
* *arguments*, what a reader is shown.

See `lookaside_sim.run.kinds` for the table of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.machine.calls import Call
from lookaside_sim.run.rows import Key
from lookaside_sim.system.drivers import Driver


class Notebook(Protocol):
    """Whoever writes calls down, as the kinds see it."""

    def list_number(self, lookaside: Any) -> int:
        """The number of a list, which is known from now on."""

    def routine_numbers(self, lookaside: Any) -> tuple[int, int]:
        """The addresses of a list's own routines, 0 for a default."""

    def code_address(self, code: Any) -> int:
        """The address of a routine of the program's; 0 where it has none."""

    def blob(self, data: bytes) -> int:
        """The number of some bytes."""


class Stage(Protocol):
    """Where calls are made again, as the kinds see it."""

    @property
    def kernel(self) -> Kernel:
        """The machine."""

    def list(self, number: int) -> LookasideList:
        """A list by its number."""

    def allocate_routine(self, address: int) -> Any:
        """What plays the allocate routine at an address; None for 0."""

    def free_routine(self, address: int) -> Any:
        """What plays the free routine at an address; None for 0."""

    def code(self, address: int) -> Any:
        """What plays the routine of the program's at an address; at 0 the next one."""

    def unload_routine(self, driver: Driver) -> None:
        """Have the driver's unload play what it did, if it did anything."""

    def driver(self, base: int) -> Driver:
        """A driver by the base of its image."""

    def blob(self, number: int) -> bytes:
        """Some bytes by their number."""

    def refused_parameters(self, address: int) -> None:
        """Free a block with extended parameters."""


def no_key(book: Notebook, call: Any) -> Key:
    """Every call of the kind is alike."""
    return ()


def no_operands(book: Notebook, call: Any) -> tuple[int, ...]:
    """Nothing is the call's own."""
    return ()


def as_number(book: Notebook, result: Any) -> int:
    """A result as a number."""
    return number_of(result)


def number_of(result: Any) -> int:
    """A result as a number: 0 for None, the address of what has one."""
    if result is None:
        return 0
    if isinstance(result, int):
        return int(result)
    base = getattr(result, "image_base", None)
    return int(result.address if base is None else base)


def is_number(stage: Stage, word: int, result: Any) -> bool:
    """Whether a result is the number that was written down."""
    return number_of(result) == word


def no_arguments(key: Key, words: tuple[int, ...]) -> dict[str, Any]:
    """The routine takes none."""
    return {}


@attrs.frozen
class Kind:
    """How calls of one class are written down, made again and shown.

    Attributes:
        call: the class.
        routine: documented name of the routine, or what the program does.
        play: makes the call on a stage, from key and words; gives the result as it comes.
        key: see the module.
        operands: see the module.
        has_result: whether a result is written behind the operands.
        result: the result as a word.
        is_same: whether a result is what the word says.
        arguments: what the routine takes, by documented names, from key and words.
        on_list: whether the first value of the key is the number of a list.
        makes_blocks: whether the result may be the address of a new block.
        reuses_blocks: whether it may be that of an older one as well.
        takes: the types of the key's values; ``(tuple,)`` alone for pairs of names and values.
        operand_count: how many operands there are.
    """

    call: type[Call]
    routine: str
    play: Callable[[Stage, Key, tuple[int, ...]], Any]
    key: Callable[[Notebook, Any], Key] = no_key
    operands: Callable[[Notebook, Any], tuple[int, ...]] = no_operands
    has_result: bool = False
    result: Callable[[Notebook, Any], int] = as_number
    is_same: Callable[[Stage, int, Any], bool] = is_number
    arguments: Callable[[Key, tuple[int, ...]], dict[str, Any]] = no_arguments
    on_list: bool = False
    makes_blocks: bool = False
    reuses_blocks: bool = False
    takes: tuple[type, ...] = ()
    operand_count: int = 0

    def check(self, key: Key, words: int, *, raised: bool) -> None:
        """Check a key and a number of words that come from a file.

        Raises:
            ValueError: no call of the kind has them.
        """
        name = self.call.__name__
        if words != self.operand_count + (self.has_result and not raised):
            raise ValueError(f"{name} with {words} words")
        if self.takes == (tuple,):
            self.arguments(key, (0,) * words)
        elif len(key) != len(self.takes) or any(
            type(each) is not kind for each, kind in zip(key, self.takes, strict=True)
        ):
            raise ValueError(f"{name} with {key!r}")
        self.arguments(key, (0,) * self.operand_count)
