"""The depth tuning rule, line by line as it stands in the core, with the values of one scan.

Nothing is written twice: the lines are the source of `next_depth`, and what they say is what
they are worth when they are run one after the other.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from lookaside_sim.lookaside import tuning

_NAMED: Final = {name: value for name, value in vars(tuning).items() if name.isupper()}


@cache
def _body() -> tuple[ast.stmt, ...]:
    function = ast.parse(inspect.getsource(tuning.next_depth)).body[0]
    assert isinstance(function, ast.FunctionDef)
    return tuple(function.body[1:])  # behind the docstring


def explain_scan(**arguments: int) -> tuple[list[tuple[str, bool, str]], int]:
    """Run the rule for one list and say what each line did.

    Args:
        **arguments: what `next_depth` takes, by name.

    Returns:
        For each line its text, whether it ran, and its value; and the new Depth.
    """
    inspect.signature(tuning.next_depth).bind(**arguments)
    defaults = {
        "period": tuning.SCAN_PERIOD,
        "minimum_depth": tuning.MINIMUM_DEPTH,
    }
    names: dict[str, Any] = {**_NAMED, **defaults, **arguments}
    lines: list[tuple[str, bool, str]] = []
    found: list[int] = []
    _run(_body(), names, lines, found, runs=True, indent="")
    return lines, found[0]


def _run(
    body: tuple[ast.stmt, ...],
    names: dict[str, Any],
    lines: list[tuple[str, bool, str]],
    found: list[int],
    *,
    runs: bool,
    indent: str,
) -> None:
    for each in body:
        runs = runs and not found
        if isinstance(each, ast.If):
            truth = bool(_value(each.test, names)) if runs else False
            said = f"{_with_values(each.test, names)} is {str(truth).lower()}" if runs else ""
            lines.append((f"{indent}if {ast.unparse(each.test)}:", runs, said))
            _run(
                tuple(each.body), names, lines, found, runs=runs and truth, indent=indent + "  "
            )
            continue
        said = ""
        if runs and isinstance(each, ast.Assign):
            (target,) = each.targets
            assert isinstance(target, ast.Name)
            names[target.id] = _value(each.value, names)
            said = str(names[target.id])
        elif runs and isinstance(each, ast.Return) and each.value is not None:
            found.append(int(_value(each.value, names)))
            said = str(found[0])
        lines.append((indent + ast.unparse(each), runs, said))


def _value(expression: ast.expr, names: Mapping[str, Any]) -> Any:
    return eval(compile(ast.Expression(expression), "<rule>", "eval"), dict(names))


def _with_values(expression: ast.expr, names: Mapping[str, Any]) -> str:
    """A comparison with each side's value in its place."""
    if isinstance(expression, ast.Compare):
        sides = [expression.left, expression.comparators[0]]
        left, right = (str(_value(side, names)) for side in sides)
        shown = ast.unparse(ast.Compare(ast.Name("L"), expression.ops, [ast.Name("R")]))
        return shown.replace("L", left).replace("R", right)
    return ast.unparse(expression)
