"""The floors: every import runs downward, nowhere in a circle, and each file has a subject."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import lookaside_sim
from lookaside_sim.rooms import FLOORS

PACKAGE = Path(lookaside_sim.__path__[0])
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
LARGEST_FILE = 600
LARGEST_CLASS = 450
MEDIAN_FILE = 150


def modules() -> dict[str, Path]:
    """Every module of the package by its name below it, packages' tables of names left out."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    }


class Facts(NamedTuple):
    """What the tests ask of a file: its tree would weigh on every test that runs later."""

    subject: str
    imports: tuple[tuple[str, int], ...]
    classes: tuple[tuple[str, int], ...]
    odd: tuple[tuple[str, int], ...]


@cache
def facts(path: Path) -> Facts:
    """Read a file once."""
    tree = ast.parse(path.read_text("utf-8"))
    imports: list[tuple[str, int]] = []
    classes: list[tuple[str, int]] = []
    odd: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports += imported(path, node)
        elif isinstance(node, ast.ClassDef):
            classes.append((node.name, (node.end_lineno or 0) - node.lineno + 1))
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(e, ast.Attribute) and e.attr == "__class__" for e in targets):
                odd.append(("changes a class", node.lineno))
        elif isinstance(node, ast.Attribute):
            of = node.value
            if (
                node.attr == "__new__"
                and isinstance(of, ast.Name)
                and of.id in ("object", "cls")
            ):
                odd.append(("makes half an object", node.lineno))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
            isinstance(each, ast.ClassDef) for each in ast.walk(node)
        ):
            odd.append(("makes a class", node.lineno))
    subject = (ast.get_docstring(tree) or "").strip()
    return Facts(subject, tuple(imports), tuple(classes), tuple(odd))


def imported(path: Path, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, int]]:
    """What a statement imports of the package, with its line."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        assert node.level == 0, f"{path}:{node.lineno}: write imports out"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    for name in names:
        if name.startswith("lookaside_sim."):
            yield name.removeprefix("lookaside_sim."), node.lineno


MODULES = modules()


def target(name: str) -> str:
    """The module that an imported name lies in; a package where it is none."""
    while name and name not in MODULES and not (PACKAGE / name.replace(".", "/")).is_dir():
        name = name.rpartition(".")[0]
    return name


@cache
def arrows() -> tuple[tuple[str, str, int], ...]:
    """Who imports what, and in which line."""
    return tuple(
        (module, target(name), line)
        for module, path in MODULES.items()
        for name, line in facts(path).imports
    )


def part(module: str) -> str:
    return module.partition(".")[0]


def test_every_part_has_a_floor() -> None:
    assert {part(module) for module in MODULES} == set(FLOOR_OF)


def test_every_import_runs_to_a_lower_floor_or_stays_in_its_part() -> None:
    upward = [
        f"{module}:{line} imports {to}"
        for module, to, line in arrows()
        if to and part(to) != part(module) and FLOOR_OF[part(to)] >= FLOOR_OF[part(module)]
    ]
    assert upward == []


def test_the_core_imports_modules_not_the_tables_of_names() -> None:
    doors = {
        "advise",
        "run",
        "ddi",
        "windbg",
        "trace",
        "testing",
        "page",
    }  # what users import, other parts may too
    through = [
        f"{module}:{line} imports the table of {to or 'the package'}"
        for module, to, line in arrows()
        if to not in MODULES
        and (to not in doors or part(module) == to)
        # The command prints the version; the plugin opens rooms as its users do.
        and not (to == "" and module == "testing.plugins.pytest")
    ]
    assert through == []


def test_there_is_no_circle() -> None:
    below: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, to, _ in arrows():
        if to in below:
            below[module].add(to)
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module not in done:
            for each in sorted(below[module]):
                visit(each, (*above, module))
            done.add(module)

    for module in below:
        visit(module, ())


def test_files_and_classes_are_of_a_size_that_can_be_read() -> None:
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path: size for path, size in sizes.items() if size > LARGEST_FILE} == {}
    assert statistics.median(sizes.values()) <= MEDIAN_FILE
    classes = {
        f"{module}.{name}": size
        for module, path in MODULES.items()
        for name, size in facts(path).classes
    }
    assert {name: size for name, size in classes.items() if size > LARGEST_CLASS} == {}


def test_each_file_says_its_subject_first() -> None:
    silent = [module for module, path in MODULES.items() if not facts(path).subject]
    assert silent == []


def test_no_object_changes_its_class_or_is_made_half() -> None:
    found = [
        f"{module}:{line} {what}"
        for module, path in MODULES.items()
        # Hypothesis runs classes, so counting what one reaches takes another.
        if module != "testing.states"
        for what, line in facts(path).odd
        # LookasideList.__new__ chooses the kind of list; a copy gets a whole state.
        if not (what == "makes half an object" and module in {"lookaside.list", "clone"})
    ]
    assert found == []
