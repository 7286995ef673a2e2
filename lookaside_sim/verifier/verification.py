"""Driver Verifier at work on one kernel.

What happens when it is switched on, at boot or later: the minimum depth of lookaside lists
becomes 0 and every list gets Depth 0 and MaximumDepth 0xFFFF, so that each free goes to the
pool and each allocation comes from it. Layers over the pool (`layers`) check its requests, rules
(`rules`) the other calls; here is what they share.

Whose code is watched: the drivers that the settings name; all, and the code outside any
driver, when they name none. A free is also watched when the block was allocated under watch.

Source:
    docs/sources.md, pool sections 6 and 7, docs/sources.md, lists section 9. Choice: Depth 0 extends to all
    lists, whoever they belong to, as NT's routine walks the system-wide lists.
"""

from __future__ import annotations

from typing import NoReturn

from lookaside_sim.lookaside.registry import Registry
from lookaside_sim.machine.machine import Machine
from lookaside_sim.machine.program import Image
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.violations import Violation
from lookaside_sim.pool.kind import Pool
from lookaside_sim.pool.ledger import BlockLedger
from lookaside_sim.system.objects import KernelObjects
from lookaside_sim.system.processes import Processes
from lookaside_sim.system.references import References
from lookaside_sim.system.threads import Threads
from lookaside_sim.verifier.counters import PoolUse, VerifierCounters
from lookaside_sim.verifier.low_resources import LowResources
from lookaside_sim.verifier.settings import Verifier, VerifierFlags
from lookaside_sim.verifier.special_pool import SpecialPool


class Verification:
    """The verifier of one kernel. Obtained as `Kernel.verification`.

    Args:
        verifier: the settings.
        machine: the machine.
        pool: its pool.
        ledger: who allocated which block; opened here.
        registry: its lists.
        objects: its timers and resources.
        processes: its processes.
        threads: its threads.
        references: its objects and handles.

    Attributes:
        verifier: as given.
        machine: as given.
        pool: as given.
        ledger: as given.
        registry: as given.
        objects: as given.
        processes: as given.
        threads: as given.
        references: as given.
        counters: the verifier's statistics.
        use: tracked pool of everybody.
        use_of: tracked pool of each driver; None is the code outside any.
        special_pool: None when the option is off.
        low_resources: None when neither variant is on.
        trimmed: whether pageable memory is out of memory now.
        slack: where the pattern behind a tracked block lies and how long it is, by address.
    """

    __slots__ = (
        "counters",
        "ledger",
        "low_resources",
        "machine",
        "objects",
        "pool",
        "processes",
        "references",
        "registry",
        "slack",
        "special_pool",
        "threads",
        "trimmed",
        "use",
        "use_of",
        "verifier",
    )

    def __init__(
        self,
        verifier: Verifier,
        machine: Machine,
        pool: Pool,
        ledger: BlockLedger,
        registry: Registry,
        objects: KernelObjects,
        processes: Processes,
        threads: Threads,
        references: References,
    ) -> None:
        self.verifier = verifier
        self.machine = machine
        self.pool = pool
        self.ledger = ledger
        self.registry = registry
        self.objects = objects
        self.processes = processes
        self.threads = threads
        self.references = references
        self.counters = VerifierCounters()
        self.use = PoolUse()
        self.use_of: dict[Image | None, PoolUse] = {}
        self.trimmed = False
        self.slack: dict[int, tuple[int, int]] = {}
        ledger.open()
        flags = verifier.flags
        self.special_pool = (
            SpecialPool(machine, ledger, verifier.special_pool_pages)
            if flags & VerifierFlags.SPECIAL_POOL
            else None
        )
        self.low_resources = (
            LowResources(verifier, machine.program)
            if flags
            & (VerifierFlags.LOW_RESOURCES_SIMULATION | VerifierFlags.SYSTEMATIC_LOW_RESOURCES)
            else None
        )

    def covers(self, driver: Image | None) -> bool:
        """Whether a driver, or None for the code outside any, is verified."""
        return self.verifier.covers(None if driver is None else driver.name)

    def watches_caller(self) -> bool:
        """Whether the code that runs now is verified."""
        return self.covers(self.machine.program.current)

    def has(self, flags: VerifierFlags) -> bool:
        """Whether any of some options is on."""
        return bool(self.verifier.flags & flags)

    def stop(
        self, violation: Violation, parameters: tuple[int, int, int], message: str
    ) -> NoReturn:
        """Stop the machine for a violation.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION.
        """
        self.machine.stop(
            BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION,
            (int(violation), *parameters),
            f"{message} ({self.where()})",
        )

    def where(self) -> str:
        """The line that runs, and whose it is."""
        program = self.machine.program
        where = f"in {program.call_site()}"
        return where if program.current is None else f"{where} of {program.current.name}"
