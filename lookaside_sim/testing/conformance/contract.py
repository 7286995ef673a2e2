"""What an allocator promises, as a value: what is stated is checked, the rest is left alone.

Every contract includes the safety of memory: entries lie in memory the allocator got, are
aligned, do not overlap, keep their contents; nothing is handed out twice, and nothing stays
behind after ``delete()``. Three contracts have names, the *levels*:

* ``"memory"``: what every allocator owes. Also, what was served once is served again after
  everything was freed, and the same load does not take more and more memory.
* ``"fixed"``: also the face of a fixed-size allocator. It serves one layout and refuses any
  other, and it can neither grow nor shrink an entry.
* ``"lookaside"``: a lookaside list. The simulator's own list runs the same calls; results,
  counters, depth and the use of the backend must be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Self

import attrs

from lookaside_sim.testing.conformance.allocator import COUNTERS, OPTIONAL_COUNTERS, Factory
from lookaside_sim.testing.conformance.stating import (
    as_names,
    as_sizes,
    check_alignment,
    check_capacity,
    check_depth,
    one_of,
)
from lookaside_sim.testing.conformance.watching import watch

__all__ = ["COUNTERS", "LEVELS", "OPTIONAL_COUNTERS", "Contract", "contract_of"]

_OBSERVED: Final = ("total_allocates", "total_frees")
"""What can be counted without knowing which entries an allocator keeps."""
_OUTCOMES: Final = ("ignored", "refused", "stops")


@attrs.frozen(kw_only=True, repr=False)
class Contract:
    """What an allocator promises. Its repr is the source that makes it again.

    Attributes:
        order: which free entry is handed out next: the one freed last ("lifo"), the one freed
            first ("fifo"). None says nothing.
        depth: how many free entries are kept, each a block of its own; one more goes back to
            the backend. "policy" is what NT's tuning makes of it. None says nothing.
        capacity: entries served at once: so many and not one more; True is "what was served
            once is served again after everything was freed".
        grows: False if a load that was served several hundred times takes no more memory
            than before.
        counters: names of the counters that must be right; those of level "lookaside" if the
            depth is stated, otherwise total_allocates and total_frees.
        zeroed: whether entries are all zeros when they are handed out.
        flush: "empty" if no free entry is kept after a flush, "newest first" if they are also
            given back in that order. None says nothing.
        sizes: entry sizes that it can be made for, in bytes: one, several, or a range with its
            least, its end and its step. None is any.
        sized: it takes a size with each request: ``allocate(size)``.
        aligned: it takes an alignment too: ``allocate(size, alignment)``.
        realloc: it has ``reallocate(address, size)``.
        alignment: what entries must be aligned to, in bytes; None is what the size can need,
            up to 16.
        memory: "backend" if entries lie in memory of the backend, "own" if they may lie
            elsewhere, as in an arena inside the allocator.
        gives_back: whether ``delete()`` gives everything back; False where there is nothing to
            delete, as with a static pool.
        layouts: it has the face of a fixed-size allocator, see level "fixed".
        double_free: what becomes of an entry freed twice: "ignored", "refused" (an exception,
            nothing else), or "stops" (an exception, or the end of the process). None is never tried.
        foreign_free: likewise of memory that is not its own.
        interior_free: likewise of an address inside an entry.
    """

    order: str | None = attrs.field(default=None, validator=one_of("lifo", "fifo", None))
    depth: int | str | None = attrs.field(default=None, validator=check_depth)
    capacity: int | None = attrs.field(default=None, validator=check_capacity)
    grows: bool | None = attrs.field(default=None, validator=one_of(False, True, None))
    counters: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    zeroed: bool = attrs.field(default=False, validator=one_of(False, True))
    flush: str | None = attrs.field(
        default=None, validator=one_of("empty", "newest first", None)
    )
    sizes: Sequence[int] | None = attrs.field(default=None, converter=as_sizes)
    sized: bool = attrs.field(default=False, validator=one_of(False, True))
    aligned: bool = attrs.field(default=False, validator=one_of(False, True))
    realloc: bool = attrs.field(default=False, validator=one_of(False, True))
    alignment: int | None = attrs.field(default=None, validator=check_alignment)
    memory: str = attrs.field(default="backend", validator=one_of("backend", "own"))
    gives_back: bool = attrs.field(default=True, validator=one_of(False, True))
    layouts: bool = attrs.field(default=False, validator=one_of(False, True))
    double_free: str | None = attrs.field(default=None, validator=one_of(*_OUTCOMES, None))
    foreign_free: str | None = attrs.field(default=None, validator=one_of(*_OUTCOMES, None))
    interior_free: str | None = attrs.field(default=None, validator=one_of(*_OUTCOMES, None))

    def __attrs_post_init__(self) -> None:
        known = COUNTERS + OPTIONAL_COUNTERS if self.depth is not None else _OBSERVED
        for name in self.counters:
            if name not in known:
                raise ValueError(
                    f"counters={self.counters!r}: give names of {', '.join(known)}"
                )
        if self.depth is not None and (self.sized or self.memory == "own"):
            raise ValueError(
                f"depth={self.depth!r}: each entry must be a block of its own,"
                " of one size, from the backend"
            )
        if (self.aligned or self.realloc) and not self.sized:
            name = "aligned" if self.aligned else "realloc"
            raise ValueError(f"{name}=True: only with sized=True")

    # --- kinds of allocators ---------------------------------------------------------------

    @classmethod
    def pool(cls, capacity: int | None = None, **others: Any) -> Self:
        """A pool of entries of one size: it grows no more than its load.

        Args:
            capacity: entries it has, and not one more; None for one that grows.
            others: further promises.
        """
        entries = True if capacity is None else capacity
        return cls(**{"capacity": entries, "grows": False, **others})

    @classmethod
    def slab(cls, **others: Any) -> Self:
        """A slab cache: many entries in a block; entries freed last come back first.

        Args:
            others: further promises.
        """
        return cls(**{"capacity": True, "grows": False, "order": "lifo", **others})

    @classmethod
    def malloc(cls, **others: Any) -> Self:
        """A malloc: ``allocate(size)`` serves any size, aligned to 16 bytes.

        Args:
            others: further promises, such as ``realloc=True``.
        """
        return cls(**{"sized": True, "grows": False, **others})

    @classmethod
    def infer(cls, factory: Factory, size: int = 32) -> Self:
        """Propose a contract by watching an allocator.

        What was seen is not what was meant: read it before it is checked.

        Args:
            factory: makes the allocator, which is taken to be right.
            size: bytes of an entry.

        Returns:
            Everything that held while it was watched; print it to get its source.
        """
        return cls(**watch(factory, size))

    # --- what follows ----------------------------------------------------------------------

    @property
    def methods(self) -> tuple[str, ...]:
        """What an allocator needs to have."""
        names: tuple[str, ...] = ("allocate", "free", "delete")
        if self.layouts:
            names += ("allocate_layout", "grow", "shrink")
        if self.realloc:
            names += ("reallocate",)
        if self.flush:
            names += ("flush",)
        if self.depth == "policy":
            names += ("tick",)
        return names + (("counters",) if self.counters else ())

    @property
    def level(self) -> str | None:
        """The level that this contract is, if it is one."""
        return next((name for name, level in LEVELS.items() if level == self), None)

    def __repr__(self) -> str:
        stated = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in attrs.fields(type(self))
            if getattr(self, field.name) != field.default
        ]
        return f"Contract({', '.join(stated)})"


LEVELS: Final[Mapping[str, Contract]] = MappingProxyType(
    {
        "memory": Contract(capacity=True, grows=False),
        "fixed": Contract(capacity=True, grows=False, layouts=True),
        "lookaside": Contract(
            order="lifo", depth="policy", counters=COUNTERS, flush="empty", alignment=16
        ),
    }
)
"""The contracts that have names."""


def contract_of(
    level: str,
    contract: Contract | None = None,
    *,
    alignment: int | None = None,
    flush_order: bool = False,
    sizes: int | Iterable[int] | None = None,
) -> Contract:
    """The contract that the arguments of a check ask for.

    Args:
        level: the name of one, unless one is given.
        contract: one.
        alignment: what entries must be aligned to instead.
        flush_order: whether flush must also give entries back newest first.
        sizes: the sizes that it can be made for instead.

    Raises:
        ValueError: no such level, or an order of flush is asked where none is promised.
    """
    if contract is None:
        if level not in LEVELS:
            raise ValueError(f"level {level!r}: give one of {', '.join(LEVELS)}")
        contract = LEVELS[level]
    changes: dict[str, Any] = {}
    if alignment is not None:
        changes["alignment"] = alignment
    if sizes is not None:
        changes["sizes"] = sizes
    if flush_order:
        if contract.depth != "policy":
            raise ValueError(
                f"flush_order=True at level {level!r}: only level 'lookaside' says in which"
                " order entries are given back"
            )
        changes["flush"] = "newest first"
    return attrs.evolve(contract, **changes) if changes else contract
