"""Which of the next requests for memory are refused."""

from __future__ import annotations

__all__ = ["Refusals"]


class Refusals:
    """A plan for the next requests; what is not planned is granted."""

    def __init__(self) -> None:
        self._plan: list[bool] = []

    def plan(self, count: int, after: int = 0, bursts: int = 1) -> None:
        """Plan anew.

        Args:
            count: requests refused in a row.
            after: requests granted before.
            bursts: how often this is so, one time after the other.
        """
        self._plan = ([True] * count + [False] * after) * bursts

    def clear(self) -> None:
        """Refuse nothing any more."""
        self._plan.clear()

    def next(self) -> bool:
        """Whether the request that comes now is refused."""
        return bool(self._plan) and self._plan.pop()

    @property
    def planned(self) -> int:
        """How many requests will be refused."""
        return sum(self._plan)

    def __bool__(self) -> bool:
        return bool(self._plan)
