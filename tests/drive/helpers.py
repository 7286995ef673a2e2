"""What tests of compiled drivers begin with: the drivers, built or as committed, and their lines."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lookaside_sim import Kernel, Verifier
from lookaside_sim.system.compiled import CompiledDriver

DRIVERS = Path(__file__).parent / "drivers"
BUILT = DRIVERS / "built"

needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None or importlib.util.find_spec("elftools") is None,
    reason="needs the extra drive: unicorn and pyelftools",
)


def sys_file(name: str, arch: str = "x64") -> Path:
    """A committed driver."""
    return BUILT / f"{name}-{arch}.sys"


def loaded(
    name: str, arch: str = "x64", *, verified: bool = False, sanitizer: bool = False
) -> tuple[Kernel, CompiledDriver]:
    """A machine with one driver on it, not started."""
    verifier = Verifier.standard() if verified else None
    kernel = Kernel(arch, verifier=verifier, sanitizer=sanitizer)
    return kernel, kernel.load_image(sys_file(name, arch))


def line_of(source: str, words: str) -> int:
    """The line of a driver's source that ends with a comment ``/* line: words */``."""
    lines = (DRIVERS / source).read_text("utf-8").splitlines()
    found = [at for at, line in enumerate(lines, 1) if f"/* line: {words} */" in line]
    assert len(found) == 1, words
    return found[0]
