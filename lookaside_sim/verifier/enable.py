"""Switching Driver Verifier on: its layers over the pool, its rules on the calls.

Source:
    docs/sources.md, pool section 7, lists section 9.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.machine.calls import Call, IrqlChange
from lookaside_sim.system.calls import Leaving
from lookaside_sim.verifier.layers import SpecialPoolLayer, VerifierLayer
from lookaside_sim.verifier.rule import Rule
from lookaside_sim.verifier.rules import irql, lists, mdls, objects, quota, synchronization
from lookaside_sim.verifier.rules.unload import left_behind
from lookaside_sim.verifier.settings import Verifier
from lookaside_sim.verifier.verification import Verification


class EnableVerifier(Call):
    """Driver Verifier is switched on.

    Attributes:
        verifier: its settings.
    """

    word: ClassVar[str] = "verifier"
    verifier: Verifier


def enable(verification: Verification, shared: Shared) -> None:
    """Put a verification to work on its machine.

    Args:
        verification: made for the machine.
        shared: what the machine's lists share; all of them lose their depth.
    """
    machine, pool = verification.machine, verification.pool
    pool.requests.put(VerifierLayer(verification))
    special = verification.special_pool
    if special is not None:
        layer = SpecialPoolLayer(verification, special)
        pool.requests.put(layer)
        pool.add_outside(special.base, layer)
    for module in (lists, irql, mdls, objects, quota, synchronization):
        for each in vars(module).values():
            if isinstance(each, Rule) and each.applies(verification):
                machine.hooks.check(each.kind, partial(each.check, verification))
    machine.hooks.follow(IrqlChange, partial(irql.irql_changed, verification))
    machine.hooks.follow(Leaving, partial(left_behind, verification))
    machine.program.watcher = verification.watches_caller

    machine.touch_checks.append(partial(_check_touch, verification))
    machine.explainers.append(partial(_explain_fault, verification))
    shared.minimum_depth = 0
    machine.locked = True
    try:
        for lookaside in shared.registry.active():
            lookaside.disable()
    finally:
        machine.locked = False


def _check_touch(
    verification: Verification, address: int, size: int, operation: int, by_program: bool
) -> None:
    irql.touch_of_trimmed(verification, address, operation, by_program=by_program)


def _explain_fault(
    verification: Verification, address: int, operation: int, by_program: bool
) -> None:
    irql.explain_fault(verification, address, operation, by_program=by_program)
