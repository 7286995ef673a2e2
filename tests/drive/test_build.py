"""The committed drivers are what the sources beside them give."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from lookaside_sim import BugCheck, CompiledCodeError, Kernel, Verifier
from lookaside_sim.system.compiled import CompiledDriver
from tests.drive.helpers import BUILT, DRIVERS, needs_engine

_spec = importlib.util.spec_from_file_location("drivers_build", DRIVERS / "build.py")
assert _spec is not None
assert _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = build  # dataclasses look their module up
_spec.loader.exec_module(build)

SOURCES = list(build.sources())
IN_THE_SUITE = ("boxes-x64.sys", "exceptions-x64.sys", "mistakes-x86.sys")
"""A compiler takes a second for each; `python -m tests.fuzz.rebuilt` builds them all."""
CALLS: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "boxes": (("Chain", 6),),
    "exceptions": (("CatchAccess", 8), ("CatchRaised", 0xC000_0001), ("Uncaught",)),
    "families": (("Queue", 6), ("Older",), ("Exchange", 7), ("Quota", 64)),
    "mistakes": (("Leak",), ("EntryFreedTwice",), ("UseAfterFree",)),
    "objects": (("QueueBoth",), ("UseResource",), ("Send", 3, 5), ("Describe",), ("Strings",)),
    "queue": (),
    "pairs": (("Make", 0, 64), ("ManyInlined", 50), ("ManyImported", 50), ("ManySteps", 100)),
}


def test_every_driver_is_committed_and_small() -> None:
    assert {each.committed for each in SOURCES} >= set(BUILT.glob("*"))
    for each in SOURCES:
        assert each.committed.stat().st_size < build.LARGEST


def test_no_driver_says_where_it_was_built() -> None:
    for each in SOURCES:
        data = each.committed.read_bytes()
        assert str(DRIVERS).encode() not in data
        assert b"/home/" not in data


def behavior(path: Path, arch: str, name: str) -> list[object]:
    """What a driver does: results, what it prints, its lists' counters, the line of the stop."""
    kernel = Kernel(arch, verifier=Verifier.standard())
    driver: CompiledDriver = kernel.load_image(path)
    seen: list[object] = [driver.start()]
    try:
        for symbol, *arguments in CALLS[name]:
            result = driver.call(symbol, *(int(each) for each in arguments))
            # An address of pool depends on nothing but the program; one of the image on its layout.
            seen.append(result)
        seen.append(driver.run_queued())
        for each in driver.lists:
            seen.append((each.name, each.total_allocates, each.total_frees, each.size))
        driver.unload()
    except (BugCheck, CompiledCodeError) as error:
        seen.append(type(error))
        if isinstance(error, BugCheck):
            where = error.site and (error.site.file, error.site.line)
            seen += [error.code, where, [str(leak.call_site) for leak in error.leaks]]
    return [*seen, driver.log]


@needs_engine
@pytest.mark.parametrize(
    "source",
    [each for each in SOURCES if each.built in IN_THE_SUITE],
    ids=lambda each: each.built,
)
def test_a_driver_built_anew_does_the_same(source: object, tmp_path: Path) -> None:
    assert isinstance(source, build.Source)
    if not source.can_be_built():
        pytest.skip(f"needs {', '.join(source.needs)}")
    path = build.build(source, tmp_path)
    name = Path(source.name).stem
    committed = behavior(source.committed, source.machine, name)
    assert behavior(path, source.machine, name) == committed
    assert len(committed) > 3
