"""Blocks that are left in the reverse order of entering them, as ``with`` statements are."""

from __future__ import annotations

from typing import Generic, TypeVar

from lookaside_sim.errors import LookasideSimError

T = TypeVar("T")


class Order(Generic[T]):
    """What one block knows of its place among those that were entered.

    The blocks of one kind share a list of what each goes back to; a block is the innermost one
    while that list is as long as it left it.

    Args:
        what: names the block in messages.
    """

    __slots__ = ("_places", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._places: list[int] = []

    def enter(self, entered: list[T], before: T) -> None:
        """The block was entered.

        Args:
            entered: what the blocks of its kind go back to, innermost last.
            before: what this one goes back to.
        """
        entered.append(before)
        self._places.append(len(entered))

    def leave(self, entered: list[T]) -> T:
        """The block is left.

        Args:
            entered: as for `enter`.

        Returns:
            What it goes back to.

        Raises:
            LookasideSimError: it was not entered, or another one is to be left first; nothing
                has changed.
        """
        if not self._places:
            raise LookasideSimError(f"{self._what} is left and was not entered")
        if self._places[-1] != len(entered):
            raise LookasideSimError(
                f"{self._what} is left before one that was entered after it: leave them in the"
                " reverse order"
            )
        self._places.pop()
        return entered.pop()
