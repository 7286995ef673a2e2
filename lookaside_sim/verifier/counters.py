"""What the verifier counts: calls, and the pool that is tracked."""

from __future__ import annotations

import attrs


@attrs.define(on_setattr=attrs.setters.NO_OP)
class PoolUse:
    """Tracked pool of one driver, or of all: nonpaged, then paged."""

    allocations: list[int] = attrs.field(factory=lambda: [0, 0])
    bytes: list[int] = attrs.field(factory=lambda: [0, 0])
    peak_allocations: list[int] = attrs.field(factory=lambda: [0, 0])
    peak_bytes: list[int] = attrs.field(factory=lambda: [0, 0])

    def add(self, *, paged: bool, size: int) -> None:
        """Count an allocation."""
        self.allocations[paged] += 1
        self.bytes[paged] += size
        self.peak_allocations[paged] = max(
            self.peak_allocations[paged], self.allocations[paged]
        )
        self.peak_bytes[paged] = max(self.peak_bytes[paged], self.bytes[paged])

    def remove(self, *, paged: bool, size: int) -> None:
        """Count a free."""
        self.allocations[paged] -= 1
        self.bytes[paged] -= size


@attrs.define(on_setattr=attrs.setters.NO_OP)
class VerifierCounters:
    """What ``!verifier`` shows of SYSTEM_VERIFIER_INFORMATION."""

    raise_irqls: int = 0
    acquire_spin_locks: int = 0
    synch_executions: int = 0
    trims: int = 0
    allocations_attempted: int = 0
    allocations_succeeded: int = 0
    allocations_succeeded_special_pool: int = 0
    allocations_with_no_tag: int = 0
    allocations_failed: int = 0
    allocations_failed_deliberately: int = 0
    unloads: int = 0
