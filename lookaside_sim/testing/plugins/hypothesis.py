"""Hypothesis' entry point: teaches it to draw the package's types.

Hypothesis calls `setup` in every project of an environment that has this package, so nothing
is imported here until somebody asks for one of the package's names.
"""

from __future__ import annotations

from lookaside_sim.rooms import when_opened


def setup() -> None:
    """Register the types now, or as soon as the package is used."""
    when_opened(_register)


def _register() -> None:
    # The module registers; nothing is taken from it, as it may be what is being imported.
    import lookaside_sim.testing.strategies  # noqa: F401
