"""Every call that a listener is told of has a row in the table."""

from __future__ import annotations

from lookaside_sim.lookaside.calls import ListCall
from lookaside_sim.lookaside.slist import SListCall
from lookaside_sim.machine.calls import Call
from lookaside_sim.run.kinds import KINDS

BASES = {Call, ListCall, SListCall}
"""Made by nobody: what other calls have in common."""


def all_calls(of: type[Call] = Call) -> set[type[Call]]:
    return {of}.union(*(all_calls(each) for each in of.__subclasses__()))


def test_each_class_of_calls_of_the_package_has_a_row() -> None:
    told = {each for each in all_calls() if each.__module__.startswith("lookaside_sim.")}
    assert {kind.call for kind in KINDS.values()} == told - BASES
