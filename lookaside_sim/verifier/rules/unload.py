"""Rules about a driver that is unloaded: it leaves no pool, no lists, no timers behind.

Source:
    [doc] bug checks 0xC4/0x62, 0xCE and 0xC7; docs/sources.md, pool sections 6 and 7.3.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.violations import Violation
from lookaside_sim.system.calls import Leaving
from lookaside_sim.verifier.rules.objects import timers_in_image
from lookaside_sim.verifier.settings import VerifierFlags
from lookaside_sim.verifier.verification import Verification

_NAME_OFFSET: Final = 0x200  # of a driver's name in its image


def left_behind(verification: Verification, leaving: Leaving) -> None:
    """Stop for a verified driver that leaves something behind.

    Raises:
        BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0x62),
            DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, TIMER_OR_DPC_INVALID.
            Which of the two it is for lists, `Verifier` says.
    """
    driver = leaving.driver
    if not verification.covers(driver):
        return
    verification.counters.unloads += 1
    leaks = tuple(verification.ledger.owned_by(driver))
    if leaks and verification.has(VerifierFlags.POOL_TRACKING):
        total = sum(leak.size for leak in leaks)
        verification.machine.stop(
            BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION,
            (
                int(Violation.UNLOAD_WITH_POOL),
                driver.image_base + _NAME_OFFSET,
                0,
                len(leaks),
            ),
            f"{driver.name} is unloaded with {len(leaks)} pool blocks of {total} bytes not"
            f" freed; the oldest is {leaks[0]}",
            leaks,
        )
    left = [
        each
        for each in verification.registry.all()
        if isinstance(each, LookasideList) and each.owner is driver
    ]
    if left:
        first = left[0]
        code = BugCheckCode(verification.verifier.undeleted_lists)
        parameters = (first.address, 0, verification.machine.program.call_site().address, 0)
        if code is BugCheckCode.TIMER_OR_DPC_INVALID:
            # Choice: the page names no parameters for lists; those of a timer are given.
            parameters = (0, first.address, driver.image_base, driver.image_end)
        verification.machine.stop(
            code,
            parameters,
            f"{driver.name} is unloaded and did not delete its lookaside list"
            f" {first.name!r} at {first.address:#x}"
            + (f", nor {len(left) - 1} others" if len(left) > 1 else ""),
            leaks,
        )
    timers_in_image(verification, driver.image_base, driver.image_end, driver.name)
