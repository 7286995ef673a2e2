"""What is imported only with the extra ``testing``."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["require"]


def require(module: str) -> ModuleType:
    """Import pytest or hypothesis.

    Args:
        module: its name.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed; says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this part of lookaside_sim.testing needs {module}:"
            " pip install 'lookaside_sim[testing]'",
            name=module,
        ) from error
