"""What the shell looks at: a recording, or a live machine.

Position ``n`` of a recording is the moment after its first ``n`` calls: 0 is before the first.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.kd.refusal import Refusal
from lookaside_sim.kd.search import Searches
from lookaside_sim.kernel import Kernel
from lookaside_sim.run.run import Run
from lookaside_sim.run.step import Step

START: Final = "TTD: Start of trace reached."
END: Final = "TTD: End of trace reached."
_NO_RECORDING: Final = (
    "This machine is live: there is no recording to move in. Record it with"
    " lookaside_sim.run.record, or give kd a script or a saved run"
)


class Target:
    """A live machine: there is only now.

    Args:
        kernel: the machine; never changed.

    Attributes:
        position: how many calls have been made, 0 where nobody counted.
    """

    position: int = 0

    def __init__(self, kernel: Kernel | None) -> None:
        self._kernel = kernel

    @property
    def kernel(self) -> Kernel:
        """The machine at the position; only looked at."""
        assert self._kernel is not None
        return self._kernel

    @property
    def run(self) -> Run:
        """The recording.

        Raises:
            Refusal: there is none.
        """
        raise Refusal(_NO_RECORDING)

    @property
    def searches(self) -> Searches:
        """What was looked for in the recording.

        Raises:
            Refusal: there is none.
        """
        raise Refusal(_NO_RECORDING)

    @property
    def step(self) -> Step | None:
        """The call that led to the position; None at the start and on a live machine."""
        return None

    @property
    def list_names(self) -> dict[int, str]:
        """The names that lists have in the recording, by address."""
        return {}

    @property
    def position_text(self) -> str:
        """The position as the shell writes it."""
        return "now"

    def seek(self, position: int) -> None:
        """Go to a position.

        Raises:
            Refusal: there is no recording.
        """
        raise Refusal(_NO_RECORDING)

    @property
    def is_recorded(self) -> bool:
        """Whether there is a recording."""
        return False


class Recorded(Target):
    """A recording, looked at from one of its positions.

    Args:
        run: the recording.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(None)
        self._run = run
        self._searches = Searches(run)
        self._names: dict[int, str] = {}
        self._named = -1  # the length of the recording whose names are known

    @property
    def run(self) -> Run:
        """The recording."""
        return self._run

    @property
    def searches(self) -> Searches:
        """What was looked for in it."""
        return self._searches

    @property
    def kernel(self) -> Kernel:
        """The machine at the position, made when it is first looked at."""
        if self._kernel is None:
            self._kernel = self._run.machine(self.position)
        return self._kernel

    @property
    def step(self) -> Step | None:
        """The call that led to the position."""
        return self._run[self.position - 1] if self.position else None

    @property
    def list_names(self) -> dict[int, str]:
        """The names that lists have in the recording, by address."""
        if len(self._run) != self._named:
            self._names, self._named = self._run.list_names, len(self._run)
        return self._names

    @property
    def position_text(self) -> str:
        """The position in the debugger's form: two hexadecimal numbers."""
        return f"{self.position:X}:0"

    def seek(self, position: int) -> None:
        """Go to a position, the nearest one there is."""
        position = max(0, min(position, len(self._run)))
        if position != self.position:
            self.position = position
            self._kernel = None

    @property
    def is_recorded(self) -> bool:
        """Whether there is a recording."""
        return True
