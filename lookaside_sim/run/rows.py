"""Rows: the steps of a run in columns, a few bytes each.

A row is one call. What calls have in common, such as the routine, the list, how it ended, and
whose code ran, is its *shape*; shapes are kept once and numbered. What is a row's own, such as
an address, is its *words*: numbers of 64 bits, as many as its shape says. Where it was made is
its *stack*, numbered too. The rare rest hangs beside the columns:

* the *errors* that calls raised, numbered;
* the *blobs*: bytes too long for a word, numbered;
* what happened *inside* a row, as a tree, since the program's own routines make calls too;
* what was *done between* the calls without one, such as placing a list that nobody has used yet.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

_STRIDE: Final = 64
"""Rows between two that know where their words begin."""

Key: TypeAlias = tuple[Any, ...]
"""What is the same for every row of a shape: numbers, texts, None, and tuples of them."""


class Shape(NamedTuple):
    """What many rows have in common.

    Attributes:
        kind: name of the call's class.
        context: number of the context it was made in.
        key: see `Key`.
        branch: which way a list's routine went, "" for no choice.
        error: number of what it raised; -1 for nothing.
        words: how many words a row has.
    """

    kind: str
    context: int
    key: Key
    branch: str
    error: int
    words: int


class Context(NamedTuple):
    """Whose code ran.

    Attributes:
        images: base addresses of the images, innermost last.
        dpcs: the processor of each DPC routine, innermost last.
    """

    images: tuple[int, ...] = ()
    dpcs: tuple[int, ...] = ()


class Failure(NamedTuple):
    """What a call raised.

    Attributes:
        kind: name of the class.
        text: as it prints.
        values: a stop's code and parameters, a status, a report's address.
    """

    kind: str
    text: str
    values: tuple[int, ...] = ()


class Row(NamedTuple):
    """One call, out of the columns.

    Attributes:
        shape: what it has in common with others.
        words: what is its own: operands, then the result where there is one.
        stack: number of its stack, 0 for none.
        inside: what happened in the middle of it.
    """

    shape: Shape
    words: tuple[int, ...]
    stack: int
    inside: tuple[Node, ...] = ()


class Ran(NamedTuple):
    """Code of the program that ran in the middle of a call.

    Attributes:
        address: of the routine, 0 for an unload routine.
        result: what it returned, as a number; 0 for nothing.
        error: number of what it raised; -1 for nothing.
        inside: what happened in it.
    """

    address: int
    result: int
    error: int
    inside: tuple[Node, ...]


class Refused(NamedTuple):
    """A request for pool was let fail in the middle of a call."""


class Done(NamedTuple):
    """Something was done without a call; see `lookaside_sim.run.between`.

    Attributes:
        what: a word for it.
        context: number of the context it was done in.
        values: what it needs.
    """

    what: str
    context: int
    values: Key


Node: TypeAlias = Row | Ran | Refused | Done


class Rows:
    """The columns.

    Attributes:
        shapes: by number.
        contexts: by number; the first is that of code outside any image.
        errors: by number.
        blobs: by number.
        inside: what happened in the middle of a row, by its number.
        between: what was done before a row without a call, by its number.
        seconds: at which rows the machine's clock was another one: their numbers, and what it
            said then.
        times: microseconds of each row, where they come from a trace; empty else.
    """

    __slots__ = (
        "_error_numbers",
        "_offsets",
        "_shape_numbers",
        "_shape_of",
        "_stack_of",
        "_words",
        "between",
        "blobs",
        "contexts",
        "errors",
        "inside",
        "seconds",
        "shapes",
        "times",
    )

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.contexts: list[Context] = [Context()]
        self.errors: list[Failure] = []
        self.blobs: list[bytes] = []
        self.inside: dict[int, tuple[Node, ...]] = {}
        self.between: dict[int, tuple[Done, ...]] = {}
        self.seconds: tuple[array[int], array[int]] = array("Q", [0]), array("Q", [0])
        self.times: array[int] = array("Q")
        self._shape_numbers: dict[Shape, int] = {}
        self._error_numbers: dict[Failure, int] = {}
        self._shape_of: array[int] = array("I")
        self._stack_of: array[int] = array("I")
        self._words: array[int] = array("Q")
        self._offsets: array[int] = array("Q")

    def __len__(self) -> int:
        return len(self._shape_of)

    # --- writing ---------------------------------------------------------------------------

    def shape_number(self, shape: Shape) -> int:
        """The number of a shape; a new one for a new shape."""
        number = self._shape_numbers.get(shape)
        if number is None:
            number = self._shape_numbers[shape] = len(self.shapes)
            self.shapes.append(shape)
        return number

    def error_number(self, failure: Failure) -> int:
        """The number of an error; a new one for a new error."""
        number = self._error_numbers.get(failure)
        if number is None:
            number = self._error_numbers[failure] = len(self.errors)
            self.errors.append(failure)
        return number

    def context_number(self, context: Context) -> int:
        """The number of a context; a new one for a new context."""
        try:
            return self.contexts.index(context)
        except ValueError:
            self.contexts.append(context)
            return len(self.contexts) - 1

    def blob_number(self, data: bytes) -> int:
        """The number of some bytes."""
        self.blobs.append(data)
        return len(self.blobs) - 1

    def append(self, shape: int, words: tuple[int, ...], stack: int) -> None:
        """Add a row.

        Args:
            shape: its number.
            words: as many as the shape says.
            stack: number of its stack.
        """
        shapes = self._shape_of
        if not len(shapes) % _STRIDE:
            self._offsets.append(len(self._words))
        shapes.append(shape)
        self._stack_of.append(stack)
        self._words.extend(words)

    def tell_seconds(self, seconds: int) -> None:
        """The clock says this from the next row on."""
        at, values = self.seconds
        if values[-1] != seconds:
            at.append(len(self))
            values.append(seconds)

    def lists_made(self) -> list[int]:
        """The addresses of the lists that the program made, by their numbers."""
        return [address for address, _ in self.names_made()]

    def list_address(self, number: int) -> int:
        """The address of a list that the program made, by the list's number."""
        found: dict[int, tuple[int, str]] = {}
        for each in (*self.between.values(), *self.inside.values()):
            _find_lists(each, found)
        return found[number][0]

    def names_made(self) -> list[tuple[int, str]]:
        """The addresses and names of the lists that the program made, by their numbers."""
        found: dict[int, tuple[int, str]] = {}
        _find_lists([node for each in self.between.values() for node in each], found)
        _find_lists([node for each in self.inside.values() for node in each], found)
        return [found[number] for number in sorted(found)]

    # --- reading ---------------------------------------------------------------------------

    def shape_of(self, number: int) -> int:
        """The number of a row's shape."""
        return self._shape_of[number]

    def stack_of(self, number: int) -> int:
        """The number of a row's stack."""
        return self._stack_of[number]

    def words_at(self, number: int) -> int:
        """Where a row's words begin."""
        start = number - number % _STRIDE
        at = self._offsets[number // _STRIDE]
        shapes, shape_of = self.shapes, self._shape_of
        for each in range(start, number):
            at += shapes[shape_of[each]].words
        return at

    def row(self, number: int) -> Row:
        """A row by its number."""
        shape = self.shapes[self._shape_of[number]]
        at = self.words_at(number)
        words = tuple(self._words[at : at + shape.words])
        return Row(shape, words, self._stack_of[number], self.inside.get(number, ()))

    def walk(self, start: int, end: int) -> Iterator[tuple[int, Row]]:
        """The rows of a range with their numbers; cheaper than one by one."""
        if start >= end:
            return
        at = self.words_at(start)
        shapes, shape_of, stack_of = self.shapes, self._shape_of, self._stack_of
        words, inside = self._words, self.inside
        for number in range(start, end):
            shape = shapes[shape_of[number]]
            behind = at + shape.words
            yield (
                number,
                Row(shape, tuple(words[at:behind]), stack_of[number], inside.get(number, ())),
            )
            at = behind

    def seconds_at(self, number: int) -> int:
        """What the machine's clock said when a row began."""
        at, values = self.seconds
        return values[bisect_right(at, number) - 1]

    def time_of(self, number: int) -> float:
        """When a row began, in seconds."""
        if self.times:
            return self.times[number] / 1_000_000
        return self.seconds_at(number)

    # --- for files -------------------------------------------------------------------------

    def columns(self) -> tuple[array[int], array[int], array[int]]:
        """Shape numbers, stack numbers, words."""
        return self._shape_of, self._stack_of, self._words

    def set_columns(
        self, shape_of: array[int], stack_of: array[int], words: array[int]
    ) -> None:
        """Take over columns whose numbers fit each other."""
        self._shape_of, self._stack_of, self._words = shape_of, stack_of, words
        counts = [shape.words for shape in self.shapes]
        self._shape_numbers = {shape: number for number, shape in enumerate(self.shapes)}
        self._error_numbers = {error: number for number, error in enumerate(self.errors)}
        at = 0
        self._offsets = array("Q")
        for number, shape in enumerate(shape_of):
            if not number % _STRIDE:
                self._offsets.append(at)
            at += counts[shape]


def _find_lists(nodes: Iterable[Node], found: dict[int, tuple[int, str]]) -> None:
    """Find the addresses of lists that were made, by their numbers."""
    for node in nodes:
        if isinstance(node, Done):
            if node.what == "list":
                found[node.values[0]] = node.values[1], node.values[2]
        elif isinstance(node, (Row, Ran)):
            _find_lists(node.inside, found)


def rows_in(row: Row) -> Iterator[Row]:
    """The rows inside a row, then it itself: the order in which they were over."""
    for node in row.inside:
        yield from _rows_of(node)
    yield row


def _rows_of(node: Node) -> Iterator[Row]:
    if isinstance(node, Row):
        yield from rows_in(node)
    elif isinstance(node, Ran):
        for each in node.inside:
            yield from _rows_of(each)
