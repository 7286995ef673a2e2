from __future__ import annotations

from typing import Any

import attrs
import pytest

from lookaside_sim.testing import Backend
from lookaside_sim.testing.conformance.allocator import Factory
from lookaside_sim.testing.conformance.contract import LEVELS
from lookaside_sim.testing.conformance.differences import Broken
from lookaside_sim.testing.conformance.subject import Subject
from tests.testing.allocators import FixedSlab, LinkedList, Passthrough


def created(factory: Factory, level: str = "memory", **options: Any) -> Subject:
    contract = attrs.evolve(LEVELS[level], **options)
    subject = Subject(factory, 32, contract)
    assert subject.create()
    return subject


def test_an_entry_is_handed_out_written_and_taken_back() -> None:
    subject = created(Passthrough)
    entry = subject.allocate()
    assert entry is not None
    block = subject.hand_out(entry)
    assert (block.address, block.size) == (entry, 32)
    with pytest.raises(Broken, match="handed out although it is live"):
        subject.hand_out(entry)
    subject.free(entry, block)
    assert subject.backend.blocks == {}


def test_what_the_allocator_keeps_for_itself_is_known() -> None:
    assert created(LinkedList, "lookaside").kept == 1
    assert created(Passthrough).kept == 0


def test_optional_methods_are_called_where_they_are() -> None:
    subject = created(Passthrough)
    assert subject.flush() is None
    subject.tick(3)
    assert not subject.has_settable_counters
    subject = created(LinkedList, "lookaside")
    entry = subject.allocate()
    assert entry is not None
    subject.free(entry, subject.hand_out(entry))
    assert subject.flush() == [entry]
    assert subject.has_settable_counters
    subject.set_counters({"total_frees": 9})
    assert subject.counters()["total_frees"] == 9


def test_a_call_that_raises_or_touches_foreign_memory_breaks_the_contract() -> None:
    class Wild(Passthrough):
        def allocate(self) -> int | None:
            self.backend.read(3, 1)
            return super().allocate()

        def delete(self) -> None:
            raise RuntimeError("no")

    with pytest.raises(Broken, match=r"during allocate\(\) the allocator read 1 bytes at 0x3"):
        created(Wild).allocate()
    with pytest.raises(Broken, match=r"delete\(\) raised RuntimeError: no") as caught:
        created(Wild).delete()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_counters_that_are_no_mapping_break_the_contract() -> None:
    class Wrong(LinkedList):
        def counters(self) -> Any:
            return 5

    with pytest.raises(Broken, match=r"counters\(\) raised TypeError"):
        created(Wrong, "lookaside").counters()


def test_a_refusal_must_raise_and_do_nothing_else() -> None:
    class Asks(FixedSlab):
        def __init__(self, backend: Backend, size: int) -> None:
            super().__init__(backend, size)
            self.allocate()

        def grow(self, address: int, old: object, new: object) -> int | None:
            self.backend.allocate(64)
            raise ValueError("too late")

    created(FixedSlab, "fixed").check_refusals(None)
    subject = created(Asks, "fixed")
    subject.check_refusals(None)
    with pytest.raises(Broken, match=r"grow\(\) was not refused") as caught:
        subject.check_refusals(subject.allocate())
    assert caught.value.actual == {"grow()": "an exception, after using the backend"}


def test_alignment_follows_from_the_level_or_is_given() -> None:
    for level, alignment, aligned in (("memory", None, 16), ("memory", 64, 64)):
        subject = created(Passthrough, level, alignment=alignment)
        with pytest.raises(Broken, match="not aligned") as caught:
            subject.hand_out(aligned // 2)
        assert f"aligned to {aligned}" in str(caught.value.expected)
