"""The allocator under test beside what it should be: each call is made on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from lookaside_sim.testing.conformance.allocator import OPTIONAL_COUNTERS
from lookaside_sim.testing.conformance.blocks import Block
from lookaside_sim.testing.conformance.contract import Contract
from lookaside_sim.testing.conformance.differences import Broken
from lookaside_sim.testing.conformance.linearize import Call
from lookaside_sim.testing.conformance.model import KeptEntries, Model
from lookaside_sim.testing.conformance.observed import Observed
from lookaside_sim.testing.conformance.oracle import Oracle
from lookaside_sim.testing.conformance.subject import Subject

__all__ = ["Held", "Sides", "model_of"]


class Held(NamedTuple):
    """A live entry: what the allocator returned, its block, the model's entry, its size."""

    entry: int
    block: Block
    model: int
    size: int


_NOTHING: Final = Block(0, 0)
"""The block of an entry that only the model handed out."""


def model_of(contract: Contract) -> Model | None:
    """What an allocator of a contract is compared with, call by call.

    Args:
        contract: the contract.

    Returns:
        The simulator's own list for NT's; None where it is not said which entries are kept.
    """
    if contract.depth is None:
        return None
    if contract.depth == "policy" and contract.order != "fifo":
        return Oracle()
    return KeptEntries(contract.depth, oldest_first=contract.order == "fifo")


class Sides:
    """One allocator and its model in one program.

    Args:
        subject: the allocator.
        contract: what it promises.
        model: what it is compared with, if that is known.

    Attributes:
        live: the live entries, in order of allocation.
    """

    def __init__(self, subject: Subject, contract: Contract, model: Model | None) -> None:
        self.subject = subject
        self.backend = subject.backend
        self.contract = contract
        self.model = model
        self.live: list[Held] = []
        watches = model is None or contract.capacity is not None or contract.grows is False
        self.observed = (
            Observed(contract, self.backend, ordered=model is None) if watches else None
        )
        # By the model's entry, the allocator's: what is live and what is free.
        self._pairs: dict[int, tuple[int, Block]] = {}
        self._size = subject.size

    # --- calls -----------------------------------------------------------------------------

    def allocate(self, size: int | None = None, alignment: int | None = None) -> bool:
        """Allocate on both sides; returns whether there was an entry."""
        backend = self.backend
        refusals = backend.refusals
        model = None if self.model is None else self.model.allocate()
        try:
            entry = self.subject.allocate(size, alignment)
            if self.model is not None:
                self._compare_entries(model, entry)
            if entry is None:
                if self.observed is not None:
                    self.observed.refused(by_backend=backend.refusals > refusals)
                return False
            block = self.subject.hand_out(entry, size, alignment)
            if self.observed is not None:
                self.observed.served(entry, size or self._size)
        except Broken:
            if model is not None:
                # Only the model has an entry: it is given back at the end.
                self.live.append(Held(0, _NOTHING, model, 0))
            raise
        if model is not None:
            self._pairs[model] = (entry, block)
        self.live.append(Held(entry, block, model or 0, size or self._size))
        return True

    def _compare_entries(self, model: int | None, entry: int | None) -> None:
        """Both sides hand out an entry or neither does, and a free one is the one due."""
        paired = None if model is None else self._pairs.get(model)
        if entry is None:
            if model is not None:
                raise Broken(
                    "allocate() returned None although"
                    f" {'an entry was free' if paired else 'there was memory'}",
                    {"allocate()": paired[0] if paired else "a new entry"},
                    {"allocate()": None},
                )
        elif model is None:
            raise Broken(
                "allocate() returned an entry although the list is empty and the backend"
                " refused the request",
                {"allocate()": None},
                {"allocate()": entry},
            )
        elif paired is not None and entry != paired[0]:
            if self.contract.order is None and self._exchange(model, entry):
                return
            which = "first" if self.contract.order == "fifo" else "last"
            raise Broken(
                f"allocate() did not return the entry that was freed {which}"
                if self.contract.order
                else "allocate() returned none of the free entries",
                {"allocate()": paired[0]},
                {"allocate()": entry},
            )

    def _exchange(self, model: int, entry: int) -> bool:
        """Any free entry will do: let the model's be the one that was handed out."""
        assert self.model is not None
        for other in self.model.entries():
            if self._pairs[other][0] == entry:
                self._pairs[other], self._pairs[model] = self._pairs[model], self._pairs[other]
                return True
        return False

    def free(self, held: Held) -> None:
        """Free an entry, which is no longer in ``live``, on both sides."""
        entry, block, model, size = held
        if self.model is None:
            self.subject.free(entry, block, size)
        else:
            kept = self.model.free(model)
            if not kept:
                del self._pairs[model]
            self.subject.free(entry, block, size)
            if self.backend.is_live(block) is not kept:
                self._fail_free(entry, kept)
        if self.observed is not None:
            self.observed.freed(entry, block)

    def _fail_free(self, entry: int, due: bool) -> None:
        keep, give = "keep the entry", "give the entry to the backend"
        raise Broken(
            f"free({entry:#x}) did not {keep if due else give}: the list"
            f" {'is not' if due else 'is'} full",
            {"free()": keep if due else give, **self.expected_counters()},
            {"free()": give if due else keep, **self.subject.counters()},
        )

    def reallocate(self, index: int, size: int) -> None:
        """Give a live entry another size."""
        held = self.live[index]
        moved = self.subject.reallocate(held.entry, held.block, held.size, size)
        if moved is None:
            return
        self.live[index] = Held(*moved, 0, size)
        if self.observed is not None:
            self.observed.resized(size > held.size)

    def flush(self) -> None:
        """Flush both."""
        order: list[int] = []
        if self.model is not None:
            if self.contract.flush == "newest first":
                order = [self._pairs[model][1].address for model in self.model.entries()]
            if self.contract.flush is None:
                return  # which entries it would keep is not said
            self.model.flush()
            self._forget_free_entries()
        given_back = self.subject.flush()
        if order and given_back is not None and given_back != order:
            raise Broken(
                "flush() did not give the entries back newest first",
                {"flush()": [hex(address) for address in order]},
                {"flush()": [hex(address) for address in given_back]},
            )
        if self.observed is not None and given_back is not None:
            self.observed.flushed(self.subject.kept)

    def tick(self, seconds: int) -> None:
        """Let time pass on both sides."""
        if self.model is not None:
            self.model.tick(seconds)
        self.subject.tick(seconds)

    def delete(self) -> None:
        """Delete both."""
        if self.model is not None:
            self.model.delete()
            self._forget_free_entries()
        self.subject.delete()

    def set_counters(self, value: int) -> None:
        """Set every counter of both, where that can be done."""
        if self.model is not None and self.subject.has_settable_counters:
            self.subject.set_counters(self.model.set_counters(value))

    # --- after threads ---------------------------------------------------------------------

    def free_entries(self) -> list[int]:
        """The free entries that the model knows, freed first first."""
        if self.model is None:
            return []
        return [self._pairs[model][0] for model in reversed(self.model.entries())]

    def forget_order(self) -> None:
        """Threads made calls in an order that is not known."""
        if self.observed is not None:
            self.observed.restart(len(self.live))

    def catch_up(
        self, before: Sequence[Held], calls: Sequence[Call], blocks: Mapping[int, Block]
    ) -> None:
        """Make the calls of threads on the model, in one order.

        Args:
            before: what was live before.
            calls: the calls.
            blocks: of the entries that were allocated.
        """
        assert self.model is not None
        models = {held.entry: held.model for held in before}
        for call in calls:
            if call.is_free and call.entry in models:
                model = models.pop(call.entry)
                if not self.model.free(model):
                    self._pairs.pop(model, None)
            elif not call.is_free:
                made = self.model.allocate()
                if made is not None and call.entry is not None:
                    if self._pairs.get(made, (call.entry,))[0] != call.entry:
                        self._exchange(made, call.entry)
                    models[call.entry] = made
                    self._pairs[made] = (call.entry, blocks[call.entry])
                elif made is not None:
                    self.model.free(made)
        self.live[:] = [
            held._replace(model=models[held.entry])
            for held in self.live
            if held.entry in models
        ]
        self.forget_order()

    def _forget_free_entries(self) -> None:
        """The list is empty: only what callers hold is still paired."""
        self._pairs = {held.model: (held.entry, held.block) for held in self.live}

    # --- what can be seen ------------------------------------------------------------------

    def expected_counters(self) -> dict[str, int]:
        """What the stated counters should be."""
        if self.model is not None:
            return {name: self.model.counter(name) for name in self.contract.counters}
        return {} if self.observed is None else dict(self.observed.counters())

    def compare_counters(self, after: object) -> None:
        """The stated counters are right.

        Args:
            after: what was done, to be named.
        """
        if not self.contract.counters:
            return
        expected: dict[str, object] = dict(self.expected_counters())
        reported = self.subject.counters()
        if self.model is not None:
            for name in OPTIONAL_COUNTERS:
                if name in reported:
                    expected[name] = self.model.counter(name)
        actual = {name: reported.get(name) for name in expected}
        if actual != expected:
            wrong = [name for name in expected if expected[name] != actual[name]]
            raise Broken(
                f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong after {after}",
                expected,
                actual,
            )

    def compare_backend(self, *, deleted: bool) -> None:
        """Both sides hold as many blocks, what the allocator keeps for itself aside."""
        if self.model is None:
            return
        expected = self.model.outstanding
        kept = 0 if deleted else self.subject.kept
        actual = len(self.backend.blocks) - kept
        if actual != expected:
            raise Broken(
                f"the allocator holds {actual} of the backend's blocks, a lookaside list"
                f" would hold {expected}",
                {"blocks": expected, **self.expected_counters()},
                {"blocks": actual, **({} if deleted else self.subject.counters())},
            )
