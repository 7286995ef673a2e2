"""What is imported only with the extra ``drive``."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["require"]


def require(module: str) -> ModuleType:
    """Import a module of unicorn or pyelftools.

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
        package = module.partition(".")[0]
        raise ImportError(
            f"compiled drivers need {package}: pip install 'lookaside_sim[drive]'", name=package
        ) from error
