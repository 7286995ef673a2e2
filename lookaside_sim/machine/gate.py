"""The gate and the stop: whether anything may run, and at which IRQL it runs.

Source:
    [doc] KeBugCheckEx.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from lookaside_sim.errors import BugCheck, LeakedBlock
from lookaside_sim.machine.calls import Hooks
from lookaside_sim.nt.bugchecks import BugCheckCode

_STOPPED: Final = 0xFF  # a gate above every IRQL


class Gate:
    """Base of a `Machine`: what can be asked before anything else is known of it.

    Attributes:
        gate: the current IRQL, or a value above every IRQL once the machine has stopped: one
            compare on the pool's paths answers both questions.
        bugcheck: None, or the stop that ended it.
        hooks: who looks on at calls.
        is_plain: whether it runs and nobody listens or steps through routines: lists may take
            their hot paths.
    """

    __slots__ = ("bugcheck", "gate", "hooks", "is_plain")

    def __init__(self) -> None:
        self.gate = 0
        self.bugcheck: BugCheck | None = None
        self.is_plain = True
        self.hooks = Hooks(self._look_again)

    def stop(
        self,
        code: BugCheckCode,
        parameters: tuple[int, int, int, int],
        message: str,
        leaks: Sequence[LeakedBlock] = (),
    ) -> NoReturn:
        """KeBugCheckEx: stop the machine for good.

        Args:
            code: the stop code.
            parameters: its four parameters.
            message: one sentence on what happened.
            leaks: the blocks an unloaded driver left behind.

        Raises:
            BugCheck: always.
        """
        self.check_running()
        self.bugcheck = BugCheck(code, parameters, message, leaks)
        self.gate = _STOPPED
        self._look_again()
        raise self.bugcheck

    def check_running(self) -> None:
        """Raise the stop again if the machine has stopped."""
        if self.bugcheck is not None:
            raise self.bugcheck.with_traceback(None)

    def _look_again(self) -> None:
        """It stopped, or the first listener came, or the last one went."""
        self.is_plain = self.bugcheck is None and not self.hooks.listening
