from __future__ import annotations

import pytest

from lookaside_sim.testing.extra import require


def test_what_is_installed_is_imported() -> None:
    assert require("pytest") is pytest


def test_what_is_not_says_how_to_get_it() -> None:
    with pytest.raises(ImportError, match=r"pip install 'lookaside_sim\[testing\]'") as caught:
        require("no_such_module_here")
    assert caught.value.name == "no_such_module_here"
