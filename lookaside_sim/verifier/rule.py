"""What a rule of the verifier is: a check of one kind of call, under some options.

A rule is a function of the verification and the call, marked with `rule`; `enable` puts every rule
of the modules in `lookaside_sim.verifier.rules` on the machine's calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import attrs

from lookaside_sim.verifier.settings import VerifierFlags
from lookaside_sim.verifier.verification import Verification

C = TypeVar("C")

LIST_OPTIONS: Final = (
    VerifierFlags.MISCELLANEOUS_CHECKS
    | VerifierFlags.POOL_TRACKING
    | VerifierFlags.SPECIAL_POOL
)
"""Options that bring the checks of lookaside lists. Choice: the documentation names
miscellaneous checks and the pool options."""


@attrs.frozen
class Rule(Generic[C]):
    """A check of a kind of call.

    Attributes:
        kind: the calls, or what else happens, that it checks.
        options: any of which brings it; None where it is always on.
        check: stops the machine for what breaks it.
    """

    kind: type[C]
    options: VerifierFlags | None
    check: Callable[[Verification, C], None]

    def applies(self, verification: Verification) -> bool:
        """Whether the settings bring it."""
        return self.options is None or verification.has(self.options)


def rule(
    kind: type[C], options: VerifierFlags | None = None
) -> Callable[[Callable[[Verification, C], None]], Rule[C]]:
    """Mark a function as the rule of a kind of call, for code that the verifier watches."""

    def mark(check: Callable[[Verification, C], None]) -> Rule[C]:
        def checked(verification: Verification, call: Any) -> None:
            if verification.watches_caller():
                check(verification, call)

        return Rule(kind, options, checked)

    return mark
