"""What an import of the package loads, seen from a fresh interpreter."""

from __future__ import annotations

import itertools
import json
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

import lookaside_sim

# The front ends for test tools, and the face for one kind of terminal, may load those; nothing
# else may.
FOR_EXTRAS = ("lookaside_sim.testing", "lookaside_sim.kd.toolkit")

PROGRAM = """
import importlib, json, sys

def loaded():
    return {name for name in sys.modules if name.partition(".")[0] != "lookaside_sim"}

def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "lookaside_sim"]:
        del sys.modules[name]

before = loaded()
failed = {}
import lookaside_sim
along = set(sys.modules)  # loaded by the package itself, whatever is imported first
for part in json.loads(sys.argv[1]):
    forget()
    for name in part:
        if name in along:
            continue
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = repr(error)
tops = {name.partition(".")[0] for name in loaded() - before}
third_party = sorted(tops - set(sys.stdlib_module_names))
print(json.dumps({"failed": failed, "third_party": third_party}))
"""


def modules() -> list[str]:
    found = pkgutil.walk_packages(lookaside_sim.__path__, "lookaside_sim.")
    return ["lookaside_sim", *(each.name for each in found)]


def fresh(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def core() -> dict[str, Any]:
    names = [name for name in modules() if not name.startswith(FOR_EXTRAS)]
    assert {"lookaside_sim", "lookaside_sim.cli", "lookaside_sim.__main__"} <= set(names)
    # Each part comes first once; that there is no circle, test_layers shows for every module.
    parts = [
        list(part) for _, part in itertools.groupby(names, lambda name: name.split(".")[:2])
    ]
    report: dict[str, Any] = json.loads(fresh(PROGRAM, json.dumps(parts)))
    return report


def test_each_part_can_be_imported_first(core: dict[str, Any]) -> None:
    assert core["failed"] == {}


def test_attrs_is_the_only_other_package(core: dict[str, Any]) -> None:
    assert set(core["third_party"]) | {"attr"} == {"attr", "attrs"}


def test_the_package_alone_loads_neither_tools_nor_the_command() -> None:
    program = "import sys, lookaside_sim; print(*sorted(sys.modules))"
    found = set(fresh(program).split())
    assert "lookaside_sim.kernel" not in found
    assert found.isdisjoint({"pytest", "_pytest", "hypothesis", "argparse"})
    assert found.isdisjoint({"lookaside_sim.cli", "lookaside_sim.trace", FOR_EXTRAS})


def test_a_public_name_opens_its_room() -> None:
    program = "import sys, lookaside_sim; lookaside_sim.Kernel; print(*sorted(sys.modules))"
    found = set(fresh(program).split())
    assert "lookaside_sim.kernel" in found
    assert found.isdisjoint({"pytest", "_pytest", "hypothesis", "argparse"})
    assert found.isdisjoint({"lookaside_sim.cli", "lookaside_sim.trace", FOR_EXTRAS})


def test_a_machine_imports_only_what_it_is_made_of() -> None:
    program = "import sys, lookaside_sim; lookaside_sim.Kernel(); print(*sorted(sys.modules))"
    found = set(fresh(program).split())
    parts = {"verifier", "sanitizer", "clone", "system.io", "system.parking"}
    assert found.isdisjoint({f"lookaside_sim.{part}" for part in parts})


@pytest.mark.parametrize("package", [lookaside_sim, lookaside_sim.testing])
def test_every_public_name_has_a_room_and_lives_there(package: Any) -> None:
    rooms = package._ROOMS
    assert set(package.__all__) == {name for name, room in rooms.items() if name != room}
    for name in rooms:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018
