"""The pytest test that keeps a difference, as source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from lookaside_sim.testing.programs.steps import Program, Step, Together, format_program

__all__ = ["run_regression", "write_regression"]


def write_regression(program: Program, factory: object, arguments: str) -> str:
    """Write the test.

    Args:
        program: its steps.
        factory: what makes the allocator. An object may have ``as_source()``, which returns
            lines of imports and the expression that makes it again.
        arguments: of `run_program`, after factory and program.

    Returns:
        The source of a module with a function ``test_regression``.
    """
    names = {type(step).__name__ for step in _all_steps(program)}
    names |= {"run_program"} | ({"Contract"} if "Contract(" in arguments else set())
    lines = [f"from lookaside_sim.testing import {', '.join(sorted(names, key=_as_sorted))}"]
    imports, name = _source_of(factory)
    lines += imports
    lines += [
        "",
        "",
        "def test_regression():",
        "    program = [",
        format_program(program, " " * 8),
        "    ]",
    ]
    if imports and hasattr(factory, "as_source") and hasattr(factory, "__exit__"):
        lines += [
            f"    with {name} as factory:",
            f"        run_program(factory, program, {arguments})",
        ]
    else:
        lines.append(f"    run_program({name}, program, {arguments})")
    lines.append("")
    return "\n".join(lines)


def run_regression(source: str, factory: object) -> BaseException | None:
    """Run the test that a report is going to print.

    Args:
        source: what `write_regression` returned.
        factory: stands for the name ``factory``, where the source leaves its import to the
            reader.

    Returns:
        What it raised, or None if it passed.
    """
    names: dict[str, Any] = {"factory": factory}
    try:
        exec(compile(source, "<regression>", "exec"), names)
        test: Callable[[], None] = names["test_regression"]
        test()
    except Exception as error:
        return error
    return None


def _as_sorted(name: str) -> tuple[bool, str]:
    """Classes before functions, as an import sorter has them."""
    return name.islower(), name


def _all_steps(program: Program) -> Iterator[Step]:
    for step in program:
        yield step
        if isinstance(step, Together):
            for steps in step.threads:
                yield from steps


def _source_of(factory: object) -> tuple[list[str], str]:
    """Imports and an expression for a factory."""
    as_source = getattr(factory, "as_source", None)
    if as_source is not None:
        imports, expression = as_source()
        return list(imports), expression
    module = getattr(factory, "__module__", None)
    name = getattr(factory, "__qualname__", "")
    parts = name.split(".")
    if module not in (None, "__main__") and all(part.isidentifier() for part in parts):
        found: object = sys.modules.get(module)
        for part in parts:
            found = getattr(found, part, None)
        if found is factory:
            return [f"from {module} import {parts[0]}"], name
    # Nothing at the top of a module: a lambda, a partial, a class inside a function or script.
    return [f"# Define or import here, as `factory`: {name or repr(factory)}"], "factory"
