"""How a test may not end: at a raised IRQL, with a lock held, a handle open, work waiting to run."""

from __future__ import annotations

from lookaside_sim.kernel import Kernel


class Ends:
    """What a machine was like when somebody began to look.

    Args:
        kernel: the machine.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._before = {what for what, _ in self._found()}
        processors = kernel.machine.processors
        self._irqls = [int(processors.irql_of(number)) for number in range(processors.count)]

    def left(self) -> list[tuple[str, str]]:
        """What is left over now and was not then: in words, and the line that took it."""
        kernel = self._kernel
        processors = kernel.machine.processors
        found = [
            (f"the IRQL of processor {number} was left at {now}, and was {before}", "")
            for number, before in enumerate(self._irqls)
            if (now := int(processors.irql_of(number))) != before
        ]
        found += [each for each in self._found() if each[0] not in self._before]
        return found

    def _found(self) -> list[tuple[str, str]]:
        kernel = self._kernel
        locks = kernel.spin_locks
        found = [
            (f"the spin lock {locks.described(each)} is held", "") for each in locks.held()
        ]
        found += [
            (f"the {each.kind} at {each.address:#x} was not released", each.where)
            for each in kernel.threads.held()
        ]
        found += [
            (f"thread {thread:#x} is in {count} critical or guarded regions", "")
            for thread, count in kernel.threads.regions().items()
        ]
        found += [
            (f"handle {each.value:#x} to {each.object} was not closed", each.where)
            for each in kernel.references.handles()
        ]
        found += [
            (f"a reference to {each} was not given back", where)
            for each, where in kernel.references.taken()
        ]
        found += [
            (f"the {each.kind} at {each.address:#x} was queued and did not run", each.where)
            for each in kernel.queues.waiting
        ]
        return found
