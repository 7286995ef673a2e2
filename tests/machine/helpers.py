"""A listener that keeps what it is told."""

from __future__ import annotations

from lookaside_sim import Kernel
from lookaside_sim.machine.calls import Call


class Heard:
    """Listens to a machine from now on.

    Attributes:
        told: each telling, in order: whether the call was over, and the call.
        stop: ends it.
    """

    def __init__(self, kernel: Kernel, *, reads: bool = False) -> None:
        self.told: list[tuple[bool, Call]] = []
        self.stop = kernel.listen(self._hear, reads=reads)

    def _hear(self, call: Call) -> None:
        self.told.append((call.is_over, call))

    @property
    def calls(self) -> list[Call]:
        """The calls that began, in that order."""
        return [call for is_over, call in self.told if not is_over]

    @property
    def kinds(self) -> list[type[Call]]:
        """What the program's own calls were: those in no other call, as they ended."""
        return [type(call) for is_over, call in self.told if is_over and call.outer is None]

    def last(self) -> Call:
        """The call that ended last."""
        is_over, call = self.told[-1]
        assert is_over
        return call

    def forget(self) -> None:
        """Forget what was told so far."""
        self.told.clear()
