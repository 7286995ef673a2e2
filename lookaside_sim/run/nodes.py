"""What stands beside the columns of a run, as values for a file, and back, each value checked."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lookaside_sim.run.kinds import KINDS
from lookaside_sim.run.rows import (
    Context,
    Done,
    Failure,
    Key,
    Node,
    Ran,
    Refused,
    Row,
    Rows,
    Shape,
)

_BRANCHES: Final = frozenset({"", "hit", "miss", "full"})
_DONE: Final[Mapping[str, tuple[type, ...]]] = {
    "list": (int, int, str, int, int),
    "word": (int, int),
    "region": (int, int, int, int, int),
    "bytes": (int, int),
    "unmap": (int,),
    "idle": (),
    "io_lists": (),
    "routine": (int,),
    "prevented": (),
}
"""What can be done without a call, and the values it needs."""
_BLOBS: Final[Mapping[str, int]] = {"region": 2, "bytes": 1}
"""Which of them is the number of some bytes."""
_WORD: Final = 1 << 64


def as_values(rows: Rows) -> dict[str, Any]:
    """What stands beside the columns, as values that JSON has."""
    numbers = {shape: number for number, shape in enumerate(rows.shapes)}

    def node(each: Node) -> list[Any]:
        if isinstance(each, Row):
            within = [node(inner) for inner in each.inside]
            return ["row", numbers[each.shape], each.words, each.stack, within]
        if isinstance(each, Ran):
            within = [node(inner) for inner in each.inside]
            return ["ran", each.address, each.result, each.error, within]
        if isinstance(each, Refused):
            return ["refused"]
        return ["done", each.what, each.context, each.values]

    return {
        "shapes": rows.shapes,
        "contexts": rows.contexts,
        "errors": rows.errors,
        "seconds": [list(column) for column in rows.seconds],
        "inside": [(at, [node(each) for each in nodes]) for at, nodes in rows.inside.items()],
        "between": [(at, [node(each) for each in nodes]) for at, nodes in rows.between.items()],
    }


class Reader:
    """Reads such values.

    Args:
        head: the values.
        blobs: bytes by number.

    Raises:
        TypeError, ValueError, LookupError: a value that no run has.
    """

    def __init__(self, head: Mapping[str, Any], blobs: list[bytes]) -> None:
        self._head = head
        self._blobs = blobs
        self._rows = Rows()

    def rows(self) -> Rows:
        """The rows, with nothing in their columns yet."""
        rows, head = self._rows, self._head
        rows.blobs = self._blobs
        rows.contexts = [
            Context(tuple(map(_word, images)), tuple(map(_word, dpcs)))
            for images, dpcs in head["contexts"]
        ]
        if not rows.contexts or rows.contexts[0] != Context():
            raise ValueError("contexts: the first one is empty")
        rows.errors = [
            Failure(_text(kind), _text(text), tuple(map(_word, values)))
            for kind, text, values in head["errors"]
        ]
        rows.shapes = [self._shape(*each) for each in head["shapes"]]
        at, values = (array("Q", map(_word, column)) for column in head["seconds"])
        if len(at) != len(values) or not at or at[0] or list(at) != sorted(at):
            raise ValueError("seconds: give rows in order, from 0, and what the clock said")
        rows.seconds = at, values
        rows.inside = {_word(at): self._nodes(nodes) for at, nodes in head["inside"]}
        for at, nodes in head["between"]:
            done = self._nodes(nodes)
            rows.between[_word(at)] = tuple(each for each in done if isinstance(each, Done))
            if len(rows.between[at]) != len(done):
                raise ValueError("between: what is done there is no call")
        return rows

    def check_rows(self, rows: Rows, stacks: int) -> None:
        """Check what can be checked once the columns are there.

        Raises:
            ValueError: a number of a list, of bytes, of a stack or of a row that is none.
        """
        made = len(rows.lists_made())
        for at in (*rows.inside, *rows.between):
            if at > len(rows):
                raise ValueError(f"something at row {at}, and there are {len(rows)}")
        for shape in rows.shapes:
            if KINDS[shape.kind].on_list and not 0 <= shape.key[0] < made:
                raise ValueError(f"list {shape.key[0]}, and there are {made}")
        blobs = len(rows.blobs)
        wide = {
            number
            for number, shape in enumerate(rows.shapes)
            if shape.kind in ("ReadMemory", "WriteMemory", "PlaceData", "LoadImage")
        }
        shape_of, _, _ = rows.columns()
        if wide.intersection(shape_of):
            for _, row in rows.walk(0, len(rows)):
                self._check_blob(row, blobs)
        for nodes in rows.inside.values():
            self._check_nodes(nodes, blobs, stacks)
        for done in rows.between.values():
            self._check_nodes(done, blobs, stacks)

    def _check_nodes(self, nodes: Sequence[Node], blobs: int, stacks: int) -> None:
        for node in nodes:
            if isinstance(node, Row):
                if node.stack >= stacks:
                    raise ValueError(f"stack {node.stack}, and there are {stacks}")
                self._check_blob(node, blobs)
                self._check_nodes(node.inside, blobs, stacks)
            elif isinstance(node, Ran):
                self._check_nodes(node.inside, blobs, stacks)
            elif isinstance(node, Done):
                number = node.values[_BLOBS[node.what]] if node.what in _BLOBS else 0
                if number and number >= blobs:
                    raise ValueError(f"bytes {number}, and there are {blobs}")

    @staticmethod
    def _check_blob(row: Row, blobs: int) -> None:
        shape, words = row.shape, row.words
        if shape.kind in ("PlaceData", "LoadImage"):
            number: int | None = words[0]
        elif shape.kind in ("ReadMemory", "WriteMemory") and len(words) > 1:
            size = shape.key[0]
            if size <= 8 and words[1] >> 8 * size:
                raise ValueError(f"{size} bytes that are more")
            number = words[1] if size > 8 else None
        else:
            return
        if number is not None and number >= blobs:
            raise ValueError(f"bytes {number}, and there are {blobs}")

    # --- parts -----------------------------------------------------------------------------------

    def _shape(
        self, kind: str, context: int, key: list[Any], branch: str, error: int, words: int
    ) -> Shape:
        if kind not in KINDS:
            raise ValueError(f"shapes: {kind!r} is no kind of call that this version knows")
        if branch not in _BRANCHES:
            raise ValueError(f"shapes: the branch {branch!r}")
        shape = Shape(
            kind, self._context(context), _key(key), branch, self._error(error), words
        )
        KINDS[kind].check(shape.key, shape.words, raised=shape.error >= 0)
        return shape

    def _context(self, number: int) -> int:
        if _word(number) >= len(self._rows.contexts):
            raise ValueError(f"context {number}, and there are {len(self._rows.contexts)}")
        return number

    def _error(self, number: int) -> int:
        if number != -1 and _word(number) >= len(self._rows.errors):
            raise ValueError(f"error {number}, and there are {len(self._rows.errors)}")
        return number

    def _nodes(self, values: Sequence[Any]) -> tuple[Node, ...]:
        return tuple(self._node(*each) for each in values)

    def _node(self, what: str, *values: Any) -> Node:
        if what == "refused":
            return Refused()
        if what == "ran":
            address, result, error, inside = values
            return Ran(_word(address), _word(result), self._error(error), self._nodes(inside))
        if what == "row":
            number, words, stack, inside = values
            shape = self._rows.shapes[_word(number)]
            found = tuple(map(_word, words))
            if len(found) != shape.words:
                raise ValueError(f"{len(found)} words of a {shape.kind}")
            return Row(shape, found, _word(stack), self._nodes(inside))
        if what != "done":
            raise ValueError(f"{what!r} happened inside a call")
        word, context, given = values
        key = _key(given)
        types = _DONE.get(word)
        if types is None or len(types) != len(key):
            raise ValueError(f"{word!r} was done without a call")
        for each, kind in zip(key, types, strict=True):
            if type(each) is not kind:
                raise ValueError(f"{word!r} was done with {each!r}")
        return Done(word, self._context(context), key)


def _word(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _WORD:
        raise ValueError(f"{value!r}: give a number of 64 bits")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r}: give a text")
    return value


def _key(value: Any) -> Key:
    if not isinstance(value, list):
        raise ValueError(f"{value!r}: give a list of values")
    return tuple(_key(each) if isinstance(each, list) else _scalar(each) for each in value)


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    raise ValueError(f"{value!r}: give a number, a text or null")
