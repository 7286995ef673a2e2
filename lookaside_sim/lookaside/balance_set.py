"""The balance set manager: each second it scans one set of lists and sets their depths.

Nonpaged general lists, then paged ones, then one set of NT's own lists: those of a processor,
or the shared ones after the last processor.

Source:
    docs/sources.md, lists section 6.
"""

from __future__ import annotations

from typing import Protocol, cast

from lookaside_sim.lookaside.on_memory import ListOnMemory, adjust_depths
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.lookaside.tuning import SCAN_PERIOD
from lookaside_sim.machine.calls import Tick
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.arguments import unsigned


class BuiltInLists(Protocol):
    """Lists of NT's own that are scanned by processor."""

    def scan(self, processor: int | None, period: int) -> bool:
        """Adjust the depth of the lists of a processor, or of the shared ones for None.

        Returns:
            Whether anything changed.
        """


class BalanceSet:
    """The balance set manager of one machine.

    Args:
        machine: the machine.
        lists: what its lists share.

    Attributes:
        built_in: NT's own lists.
    """

    __slots__ = ("_lists", "_machine", "_phase", "_set", "built_in")

    def __init__(self, machine: Machine, lists: Shared) -> None:
        self._machine = machine
        self._lists = lists
        self._phase = 0
        self._set = 0
        self.built_in: list[BuiltInLists] = []

    def tick(self, seconds: int) -> None:
        """Let seconds pass, with one scan in each; see `Kernel.tick`."""
        self._machine.check_running()
        seconds = unsigned("seconds", seconds, 64)
        self._machine.hooks.run(Tick(seconds), self._pass, seconds)

    def _pass(self, seconds: int) -> None:
        with self._machine.system_thread():
            self._let_pass(seconds)

    def _let_pass(self, seconds: int) -> None:
        machine = self._machine
        # One round scans every set of lists once. A round that changes nothing is what every
        # later one is as well: nobody runs meanwhile.
        round_seconds = SCAN_PERIOD * (machine.processors.count + 1)
        left, quiet = seconds, 0
        while left:
            quiet = 0 if self._scan() else quiet + 1
            left -= 1
            if quiet == round_seconds:
                rounds = left // round_seconds
                machine.seconds += rounds * round_seconds
                left -= rounds * round_seconds
                quiet = 0
            machine.seconds += 1
            for alarm in machine.each_second:
                alarm()

    def _scan(self) -> bool:
        registry = self._lists.registry
        if self._phase == SCAN_PERIOD - 1:
            changed = self._scan_built_in()
        else:
            minimum = self._lists.minimum_depth
            self._machine.locked = True
            try:
                # All links first: a ring must not leave the lists before it tuned.
                lists = registry.walk(registry.paged if self._phase else registry.nonpaged)
                changed = adjust_depths(cast("tuple[ListOnMemory, ...]", tuple(lists)), minimum)
            finally:
                self._machine.locked = False
        self._phase = (self._phase + 1) % SCAN_PERIOD
        return changed

    def _scan_built_in(self) -> bool:
        processors = self._machine.processors.count
        scanned = self._set
        self._set = (scanned + 1) % (processors + 1)
        processor = None if scanned == processors else scanned
        changed = False
        for each in self.built_in:
            changed |= each.scan(processor, SCAN_PERIOD * processors)
        return changed
