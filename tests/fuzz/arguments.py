"""Every public call with wrong arguments: refused by name, and nothing changed.

python -m tests.fuzz.arguments        # a minute or two; prints what it finds
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from lookaside_sim import BugCheck, LookasideSimError, NtStatusError, SanitizerError
from tests.fuzz.doors import DOORS, Door, Index, World, impossible_integers, wrong_values
from tests.same import written

DOCUMENTED = (BugCheck, NtStatusError, LookasideSimError, SanitizerError)
"""What a call with arguments that a C caller could pass may raise."""


def state_of(world: World) -> bytes:
    """All there is of a machine, to be compared."""
    return written(world.kernel)[0]


def _call(world: World, door: Door, arguments: tuple[object, ...]) -> tuple[object, ...]:
    with world.kernel:
        try:
            result = door.call(world)(*arguments)
        except Exception as error:
            return type(error), str(error), getattr(error, "parameters", None)
    return ("returned", str(result) if isinstance(result, (int, bytes)) else type(result))


def _with(right: tuple[Any, ...], at: int, value: object) -> tuple[Any, ...]:
    return (*right[:at], value, *right[at + 1 :])


class Campaign:
    """Tries one door after the other.

    Args:
        arch: which machine.
        sanitizer: whether its lists are sanitized.
    """

    def __init__(self, arch: str, *, sanitizer: bool = False) -> None:
        self._arch, self._sanitizer = arch, sanitizer
        self._renew()

    def _renew(self) -> None:
        self._world = World(self._arch, sanitizer=self._sanitizer)
        self._state = state_of(self._world)

    def _changed(self) -> bool:
        """Whether the world is another one; the next is as it was."""
        if state_of(self._world) == self._state:
            return False
        self._renew()
        return True

    def wrong_types(self, door: Door) -> Iterator[str]:
        """Give each argument what it can never be."""
        right = door.arguments(self._world)
        for at, kind in enumerate(door.kinds):
            for value in wrong_values(kind, right[at]):
                given = _with(door.arguments(self._world), at, value)
                outcome = _call(self._world, door, given)
                changed = self._changed()
                where = f"{door.name}, argument {at + 1} ({kind}) = {value!r}: {outcome}"
                if outcome[0] not in (TypeError, ValueError):
                    yield f"taken: {where}"
                elif changed:
                    yield f"half done: {where}"
                elif "give" not in str(outcome[1]):
                    yield f"says little: {where}"

    def impossible(self, door: Door) -> Iterator[str]:
        """Give each integer what its C type cannot hold."""
        for at, kind in enumerate(door.kinds):
            for value in impossible_integers(kind):
                given = _with(door.arguments(self._world), at, value)
                outcome = _call(self._world, door, given)
                changed = self._changed()
                where = f"{door.name}, argument {at + 1} ({kind}) = {value!r}: {outcome}"
                if outcome[0] in (TypeError, ValueError):
                    if changed:
                        yield f"half done: {where}"
                elif outcome[0] in DOCUMENTED and outcome[0] is not BugCheck:
                    continue
                elif outcome[0] is BugCheck:
                    yield from self._parameters(where, outcome[2])
                elif outcome[0] != "returned":
                    yield f"taken: {where}"

    def _parameters(self, where: str, parameters: Any) -> Iterator[str]:
        bits = self._world.kernel.arch.address_bits
        if not all(0 <= each < 1 << bits for each in parameters):
            yield f"fits no pointer: {where}"

    def indexes(self, door: Door) -> Iterator[str]:
        """Give integers of another kind: the same must come of it."""
        for at, kind in enumerate(door.kinds):
            right = door.arguments(self._world)
            if kind not in ("int", "pointer", "freed", "entry", "out"):
                continue
            if type(right[at]) is not int and not isinstance(right[at], int):
                continue
            plain = _call(self._world, door, right)
            state = state_of(self._world)
            self._renew()
            given = door.arguments(self._world)
            other = _call(self._world, door, _with(given, at, Index(int(given[at]))))
            same = state_of(self._world) == state
            self._renew()
            if other != plain or not same:
                yield f"not as an int: {door.name}, argument {at + 1}: {other}, not {plain}"

    def all(self, doors: Iterable[Door] = DOORS) -> Iterator[str]:
        """Everything, of some doors."""
        for door in doors:
            for kind in (self.wrong_types, self.impossible, self.indexes):
                yield from kind(door)


def main() -> None:
    """Print what is found."""
    found = 0
    for arch in ("x64", "x86"):
        for sanitizer in (False, True):
            for each in Campaign(arch, sanitizer=sanitizer).all():
                found += 1
                print(arch, "sanitizer" if sanitizer else "plain", each, flush=True)
    print(f"{found} findings")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
