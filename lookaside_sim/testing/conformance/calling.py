"""Calls of somebody's code: what they raise and what they touch is looked at afterwards."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

from lookaside_sim.testing.conformance.backend import Backend
from lookaside_sim.testing.conformance.differences import Broken
from lookaside_sim.testing.conformance.overtime import Overtime

__all__ = ["Calls"]


class Calls:
    """What calls an allocator, and finds the contract broken when a call goes wrong.

    Args:
        backend: the allocator's memory.

    Attributes:
        calls: how many were begun.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.calls = 0

    def begin(self) -> None:
        """Note that a call begins."""
        self.calls += 1
        self.backend.uses = 0

    def _call(self, name: str, routine: Callable[..., Any], *arguments: object) -> Any:
        self.begin()
        try:
            result = routine(*arguments)
        except (Exception, Overtime) as error:
            self._fail_raised(name, error)
        if self.backend.violation is not None:
            self._fail_violation(name)
        return result

    def _fail_raised(self, name: str, error: BaseException) -> NoReturn:
        if self.backend.violation is not None:
            self._fail_violation(name)  # it came first
        if isinstance(error, Overtime):
            raise Broken(
                f"{name} does not return", {name: "a result"}, {name: "none in time"}
            ) from error  # it tells where it was
        raise Broken(
            f"{name} raised {type(error).__name__}: {error}",
            {name: "no exception"},
            {name: repr(error)},
        ) from error

    def _fail_violation(self, name: str) -> NoReturn:
        violation = self.backend.violation or ""
        raise Broken(
            f"during {name} the allocator {violation}",
            {name: "only memory of its own is touched"},
            {name: violation},
        )

    @staticmethod
    def _address(call: str, entry: object) -> int | None:
        if entry is None or type(entry) is int:
            return entry
        if not isinstance(entry, bool):
            value: Any = getattr(entry, "value", entry)  # of ctypes' numbers
            try:
                return None if value is None else operator.index(value)
            except TypeError:
                pass
        raise Broken(
            f"{call} returned {entry!r}, which is neither an int nor None",
            {call: "int | None"},
            {call: entry},
        )
