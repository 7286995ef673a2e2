"""Mutants that do what their module does: no test can notice them, and why."""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final[dict[str, dict[tuple[str, str], str]]] = {}
"""By module, the place and the change of each, and the reason."""
