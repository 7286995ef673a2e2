"""Whether the tests notice when a module is changed: its mutants, one small change each.

    python -m tests.fuzz.mutate [--each COUNT] [--seed SEED] [--near] MODULE...

A module is given as ``verifier/verification`` or ``lookaside_sim.verifier.verification``. For each
mutant, or COUNT of them drawn by SEED, the test files nearest to the module run first, then the tests of
its folder, then those of `WIDER`; with ``--near`` the nearest alone. Printed are the mutants that
nobody noticed, and how many were; those that `tests.fuzz.equivalent` names do what the module does,
and are left out. It needs a system that can fork, and one processor, and takes seconds a mutant.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final

import attrs
import hypothesis.stateful  # noqa: F401 - once, and not by every child
import pytest

from tests.fuzz.equivalent import EQUIVALENT

WIDER: Final = (
    "machine",
    "memory",
    "lookaside",
    "pool",
    "system",
    "verifier",
    "sanitizer",
    "ddi",
    "stateful",
    "fuzz",
)
"""Folders of tests that know the machine."""
OPTIONS: Final = ("-x", "-q", "-p", "no:cacheprovider", "--assert=plain")
"""How the tests run: pytest itself would load what it rewrites, and so never the mutant."""
BESIDE: Final = {"sanitizer": ("test_reports.py",)}
"""Test files near to every module of a folder."""
RULES: Final = {
    "mdls": ("ddi/test_mdls.py",),
    "objects": ("system/test_objects.py",),
    "synchronization": ("ddi/test_mutexes.py", "ddi/test_handles.py", "ddi/test_threads.py"),
    "unload": ("system/test_drivers.py", "system/test_objects.py"),
}
"""Test files near to rules of the verifier that are those of another part's routines."""
SECONDS: Final = 40
"""What runs longer has noticed: the mutant hangs."""

_TESTS: Final = Path(__file__).parents[1]
_PACKAGE: Final = _TESTS.parent / "lookaside_sim"
_COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COUNTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}


@attrs.frozen
class Mutant:
    """One changed module.

    Attributes:
        line: where it is changed.
        place: the class and function it is changed in.
        change: what was there, and what is.
        tree: the module.
    """

    line: int
    place: str
    change: str
    tree: ast.Module


def mutants_of(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, by line."""
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        for how in range(_ways(node)):
            changed = copy.deepcopy(tree)
            there = next(each for at, each in enumerate(ast.walk(changed)) if at == number)
            before = ast.unparse(there)
            if isinstance(there, ast.FunctionDef):
                before = ast.unparse(there.body[how])
            if _is_told(tree, node) or not _change(there, how):
                continue
            after = "nothing" if isinstance(there, ast.FunctionDef) else ast.unparse(there)
            if before != after:
                line = getattr(there, "lineno", 0)
                change = f"{before[:60]!r} -> {after[:60]!r}"
                place = _place(changed, there)
                yield Mutant(line, place, change, ast.fix_missing_locations(changed))


def _place(tree: ast.Module, node: ast.AST) -> str:
    """The names of the classes and functions around a node, or its own."""
    names = [
        each.name
        for each in ast.walk(tree)
        if isinstance(each, (ast.ClassDef, ast.FunctionDef))
        and any(node is inner for inner in ast.walk(each))
    ]
    return ".".join(names)


def _ways(node: ast.AST) -> int:
    """In how many ways a node can be changed."""
    if isinstance(node, (ast.Compare, ast.BinOp, ast.AugAssign, ast.Constant, ast.BoolOp)):
        return 1
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        return 1
    body = getattr(node, "body", None)
    return len(body) if isinstance(body, list) and isinstance(node, ast.FunctionDef) else 0


def _is_told(tree: ast.Module, node: ast.AST) -> bool:
    """Whether a node is only words or types: a message, an annotation, a list of slots."""
    return any(node is each for each in _words(tree))


def _words(tree: ast.Module) -> Iterator[ast.AST]:
    for each in ast.walk(tree):
        roots: list[ast.AST | None] = []
        if isinstance(each, ast.JoinedStr):
            roots.append(each)
        elif isinstance(each, (ast.AnnAssign, ast.arg)):
            roots.append(each.annotation)
        elif isinstance(each, ast.FunctionDef):
            roots.append(each.returns)
            roots += each.decorator_list
        elif isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__slots__":
            roots.append(each.value)
        for root in roots:
            if root is not None:
                yield from ast.walk(root)


def _change(node: Any, how: int) -> bool:
    """Change a node; whether there was anything to change."""
    if isinstance(node, ast.Compare):
        node.ops[0] = _COMPARED[type(node.ops[0])]()
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        if type(node.op) not in _COUNTED:
            return False
        node.op = _COUNTED[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.Constant):
        if type(node.value) is bool:
            node.value = not node.value
        elif type(node.value) is int:
            node.value += 1
        else:
            return False
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    else:
        gone = node.body[how]
        calls = isinstance(gone, ast.Expr) and isinstance(gone.value, ast.Call)
        if not calls and not isinstance(
            gone, (ast.Assign, ast.AugAssign, ast.If, ast.For, ast.Delete)
        ):
            return False
        node.body[how] = ast.Pass()
    return True


def is_noticed(module: str, mutant: Mutant, tests: list[str]) -> bool:
    """Whether tests fail, or do not end, in a process in which a module is a mutant."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    code = 3
    try:
        signal.alarm(SECONDS)
        _load_instead(module, mutant.tree)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            code = int(pytest.main([*OPTIONS, *tests]))
    finally:
        os._exit(code)


def _load_instead(module: str, tree: ast.Module) -> None:
    """Have an import of a module run the mutant."""
    usual = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        if name == module:
            return compile(tree, self.get_filename(name), "exec", dont_inherit=True)
        return usual(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[assignment,method-assign]


def stages(path: Path, *, near: bool) -> list[list[str]]:
    """The tests to run one after the other: the nearest, the folder's, the machine's."""
    folder, name = path.relative_to(_PACKAGE).parts[0], path.stem
    home = _TESTS / folder
    nearest = sorted(
        {
            str(each)
            for kind in (f"test_{name}*.py", f"test_*_{name}.py")
            for each in home.glob(kind)
        }
        | {str(home / each) for each in BESIDE.get(folder, ())}
    )
    if path.parent.name == "rules":
        nearest = sorted(
            str(each)
            for kind in (
                f"verifier/test_{name.removesuffix('s')}_rules.py",
                *RULES.get(name, ()),
            )
            for each in _TESTS.glob(kind)
        )
    found = [nearest or [str(home)]]
    if not near:
        found.append([str(home)])
        found.append([str(_TESTS / each) for each in WIDER if each != folder])
    return found


def main() -> None:
    """Run the mutants of each module given, and say which live."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", metavar="MODULE", nargs="+")
    parser.add_argument("--each", metavar="COUNT", type=int, help="default: every mutant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--near", action="store_true", help="the nearest test files alone")
    options = parser.parse_args()
    total = near = noticed = 0
    for given in options.modules:
        parts = given.removeprefix("lookaside_sim.").removesuffix(".py").replace("/", ".")
        path = _PACKAGE.joinpath(*parts.split(".")).with_suffix(".py")
        module = f"lookaside_sim.{parts}"
        control = Mutant(0, "", "nothing", ast.parse(path.read_text("utf-8")))
        if is_noticed(module, control, stages(path, near=True)[0]):
            sys.exit(f"{module}: the tests fail without a change")
        everyone = list(mutants_of(path.read_text("utf-8")))
        same = EQUIVALENT.get(parts.replace(".", "/"), {})
        for gone in set(same) - {(each.place, each.change) for each in everyone}:
            print(f"{parts}: no such mutant any more: {gone}", flush=True)
        everyone = [each for each in everyone if (each.place, each.change) not in same]
        drawn = everyone
        if options.each is not None and options.each < len(everyone):
            drawn = random.Random(options.seed).sample(everyone, options.each)
        begun, before = time.monotonic(), (total, near, noticed)
        for mutant in sorted(drawn, key=lambda each: each.line):
            total += 1
            for number, tests in enumerate(stages(path, near=options.near)):
                if is_noticed(module, mutant, tests):
                    near += not number
                    noticed += 1
                    break
                if not number:
                    print(
                        f"{parts}:{mutant.line} {mutant.place}: not by the nearest: {mutant.change}",
                        flush=True,
                    )
            else:
                print(
                    f"{parts}:{mutant.line} {mutant.place}: LIVES: {mutant.change}", flush=True
                )
        here = [now - then for now, then in zip((total, near, noticed), before, strict=True)]
        seconds = time.monotonic() - begun
        print(
            f"{module}: {here[0]} of {len(everyone)} mutants, {here[1]} noticed nearby, {here[2]} at all, {seconds:.0f} s",
            flush=True,
        )
    print(
        f"{total} mutants, {near / total:.1%} noticed by the nearest tests, {noticed / total:.1%} by all"
    )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
    sys.stdout.flush()
