"""Driver Verifier: its settings here, its work in the modules beside.

`settings` says what to check and whom; `verification` is the verifier at work on one kernel;
`checks` has the violations' numbers; `special_pool` and `low_resources` are two of its options
that need state of their own.
"""

from lookaside_sim.verifier.settings import Verifier, VerifierFlags

__all__ = ["Verifier", "VerifierFlags"]
