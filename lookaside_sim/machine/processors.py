"""Which processor runs, and the IRQL of each.

One thread of control runs the whole machine; `Processors.on` says on which processor. Each
has an IRQL of its own.

Source:
    [doc] KeRaiseIrql, KeLowerIrql; bug checks 0xA and 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from lookaside_sim.machine.calls import IrqlChange, LowerIrql, RaiseIrql, SwitchProcessor
from lookaside_sim.machine.gate import Gate
from lookaside_sim.machine.order import Order
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, X86Irql

MOST_PROCESSORS: Final = 64
_X64_IRQL_BITS: Final = 4


class IrqlScope:
    """Restores an IRQL when left; what `Kernel.raise_irql` returns.

    Args:
        processors: whose IRQL.
        previous: the IRQL before it was raised.
    """

    __slots__ = ("_processors", "previous")

    def __init__(self, processors: Processors, previous: int) -> None:
        self._processors = processors
        self.previous = previous

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._processors.lower_unless_stopped(self.previous)


class ProcessorScope:
    """Runs what is inside on a processor; what `Kernel.on_processor` returns.

    Args:
        processors: of the machine.
        number: which one.
    """

    __slots__ = ("_number", "_order", "_processors")

    def __init__(self, processors: Processors, number: int) -> None:
        self._processors = processors
        self._number = number
        self._order: Order[int] = Order("the block on a processor")

    def __enter__(self) -> int:
        processors = self._processors
        before = processors.current
        processors.switch_to(self._number)
        self._order.enter(processors.scopes, before)
        return self._number

    def __exit__(self, *exception: object) -> None:
        self._processors.switch_to(self._order.leave(self._processors.scopes))


class Processors:
    """The processors of one machine.

    Args:
        gate: the machine's.
        count: how many, 1 to 64.
        irql_bits: of an IRQL: 4 on x64, 5 on x86.

    Attributes:
        count: as given.
        current: number of the processor that runs.
        irql_bits: as given.
        scopes: which one each block that was entered goes back to, innermost last.
        dpcs: a processor for each DPC routine that runs on it, innermost last.
    """

    __slots__ = (
        "_gate",
        "_irql",
        "_irqls",
        "count",
        "current",
        "dpcs",
        "irql_bits",
        "scopes",
    )

    def __init__(self, gate: Gate, count: int, *, irql_bits: int) -> None:
        count = unsigned("processors", count, 16)
        if not 1 <= count <= MOST_PROCESSORS:
            raise ValueError(f"processors {count}: give 1 to {MOST_PROCESSORS}")
        self._gate = gate
        self.count = count
        self.current = 0
        self.irql_bits = irql_bits
        self.scopes: list[int] = []
        self._irql = 0
        self._irqls = [0] * count
        self.dpcs: list[int] = []

    @property
    def irql(self) -> Irql | X86Irql | int:
        """The current IRQL, as an `Irql` where the level has a name, or as an `X86Irql`."""
        return self.irql_of(self.current)

    def irql_of(self, number: int) -> Irql | X86Irql | int:
        """The IRQL of a processor, likewise.

        Args:
            number: 0 to count - 1.
        """
        level = self._irql if number == self.current else self._irqls[number]
        above = self.irql_bits > _X64_IRQL_BITS and level > Irql.DISPATCH_LEVEL
        try:
            return (X86Irql if above else Irql)(level)
        except ValueError:
            return level

    # --- IRQL ------------------------------------------------------------------------------

    def raise_irql(self, level: int) -> IrqlScope:
        """Raise the IRQL; see `Kernel.raise_irql`."""
        self._gate.check_running()
        level = unsigned("IRQL", level, self.irql_bits)
        previous = self._gate.hooks.run(RaiseIrql(level), self._raise, level)
        return IrqlScope(self, previous)

    def _raise(self, level: int) -> int:
        previous = self._irql
        if level < previous:
            self._gate.stop(
                BugCheckCode.IRQL_NOT_GREATER_OR_EQUAL,
                (previous, level, 0, 0),
                f"the IRQL was to be raised from {previous} to {level}",
            )
        self.change_irql(level)
        return previous

    def lower_irql(self, level: int) -> None:
        """Lower the IRQL; see `Kernel.lower_irql`."""
        self._gate.check_running()
        level = unsigned("IRQL", level, self.irql_bits)
        self._gate.hooks.run(LowerIrql(level), self.lower_to, level)

    def lower_to(self, level: int) -> None:
        """Lower the IRQL as part of another call."""
        if level > self._irql:
            self._gate.stop(
                BugCheckCode.IRQL_NOT_LESS_OR_EQUAL,
                (self._irql, level, 0, 0),
                f"the IRQL was to be lowered from {self._irql} to {level}",
            )
        self.change_irql(level)

    def lower_unless_stopped(self, level: int) -> None:
        """Lower the IRQL at the end of a block that the stop may be on its way out of."""
        if self._gate.bugcheck is None:
            self.lower_irql(level)

    def change_irql(self, level: int, *, by_spin_lock: bool = False) -> None:
        """Set the IRQL; nothing is checked."""
        previous = self._irql
        self._set(level)
        self._gate.hooks.happened(IrqlChange(previous, level, by_spin_lock))

    def _set(self, level: int) -> None:
        self._irql = level
        if self._gate.bugcheck is None:
            self._gate.gate = level

    # --- DPC routines ------------------------------------------------------------------------

    @property
    def in_dpc(self) -> bool:
        """Whether a DPC routine runs on the current processor."""
        return self.current in self.dpcs

    @contextmanager
    def dpc(self) -> Iterator[None]:
        """Run what is inside as a DPC routine: at DISPATCH_LEVEL, in no process of its own.

        Source:
            [doc] KDEFERRED_ROUTINE. Choice: nothing queues DPCs here; the program says where one
            runs.
        """
        with self.raise_irql(Irql.DISPATCH_LEVEL):
            processor = self.current
            self.dpcs.append(processor)
            try:
                yield
            finally:
                self.dpcs.remove(processor)

    # --- which one runs ----------------------------------------------------------------------

    def on(self, number: int) -> ProcessorScope:
        """Run what is inside on a processor; see `Kernel.on_processor`."""
        number = unsigned("processor", number, 16)
        if number >= self.count:
            raise ValueError(f"processor {number}: give 0 to {self.count - 1}")
        return ProcessorScope(self, number)

    def switch_to(self, number: int) -> None:
        """Run on another processor from now on; `on` knows the way back."""
        self._gate.hooks.run(SwitchProcessor(number), self._switch_to, number)

    def _switch_to(self, number: int) -> None:
        self._irqls[self.current] = self._irql
        self.current = number
        if self._irqls[number] != self._irql:
            self._set(self._irqls[number])
