"""Hypothesis' entry point: teaches it to draw the package's types.

Hypothesis calls `setup` in every project of an environment that has this package, so nothing
is imported here until somebody imports `lookaside_sim`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = "lookaside_sim"


def setup() -> None:
    """Register the types now, or as soon as the package is imported."""
    if _PACKAGE in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _Waiting())


def _register() -> None:
    # The module registers; nothing is taken from it, as it may be what is being imported.
    import lookaside_sim.testing.strategies  # noqa: F401


class _Waiting(MetaPathFinder):
    """Waits for one import, then gets out of the way."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != _PACKAGE:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        else:
            return None
        loader = spec.loader
        if loader is not None:
            run = loader.exec_module

            def run_and_register(module: ModuleType) -> None:
                run(module)
                _register()

            loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec
