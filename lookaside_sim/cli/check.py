"""``lookaside-sim check``: compile a C allocator, run it apart, print what it does wrong."""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lookaside_sim.testing.conformance.contract import Contract

__all__ = ["add_arguments"]

_KINDS: Final = ("pool", "slab", "malloc")
_FUNCTIONS: Final = (
    "allocate", "free", "create", "delete", "reallocate", "flush", "tick", "counters",
)  # fmt: skip
_PRELOADED: Final = "LOOKASIDE_SIM_PRELOADED"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``check`` its description, arguments and command."""
    parser.description = (
        "Compile a C file with its malloc, calloc and free redirected to watched"
        " memory, run small programs of allocations and frees on it in a process of its own,"
        " and print the smallest one that goes wrong. Ends with 1 if there is one."
    )
    parser.add_argument("file", metavar="FILE.c", type=Path)
    parser.add_argument(
        "--allocate", metavar="NAME", required=True, help="returns an entry, or NULL"
    )
    parser.add_argument("--free", metavar="NAME", required=True, help="takes an entry back")
    parser.add_argument(
        "--create", metavar="NAME", help="makes an allocator, of nothing or a size"
    )
    parser.add_argument("--delete", metavar="NAME", help="gives everything back")
    parser.add_argument(
        "--reallocate", metavar="NAME", help="gives an entry another size, with realloc=True"
    )
    parser.add_argument("--flush", metavar="NAME", help="gives free entries back")
    parser.add_argument("--tick", metavar="NAME", help="is told that seconds have passed")
    parser.add_argument(
        "--counters", metavar="NAME", help="fills in six uint32_t, as lookaside_sim.h says"
    )
    parser.add_argument(
        "--contract",
        metavar="SOURCE",
        help="what it promises: memory, fixed, lookaside, pool(64), slab(), malloc(),"
        " Contract(order='lifo'); by default safe memory, capacity that is not lost, and no growth",
    )
    parser.add_argument(
        "--size", metavar="BYTES", type=int, help="of an entry, where no function is told"
    )
    parser.add_argument("--examples", metavar="N", type=int, help="programs to run")
    parser.add_argument("--seed", metavar="N", type=int, help="chooses the random ones")
    parser.add_argument(
        "--threads", metavar="N", type=int, default=1, help="also let N threads use it at once"
    )
    parser.add_argument(
        "--sanitize", choices=("address", "undefined"), help="build it with a sanitizer"
    )
    parser.add_argument(
        "--option", metavar="OPTION", action="append", default=[], help="of the compiler"
    )
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    from lookaside_sim.testing import AllocatorDifference, check_allocator
    from lookaside_sim.testing.adapters.c_compiler import find_sanitizer
    from lookaside_sim.testing.adapters.c_source import CSource

    names = [getattr(options, each) for each in _FUNCTIONS]
    source = CSource(options.file, *names)
    contract = _contract(options.contract, source.default_contract(options.size))
    flags = [*options.option]
    if options.sanitize is not None:
        sanitizer = find_sanitizer(options.sanitize)
        if sanitizer.runtime and _PRELOADED not in os.environ:
            return _again_with(sanitizer.runtime)
        flags += sanitizer.options
    with tempfile.TemporaryDirectory(prefix="lookaside-") as made:
        folder = Path(made)
        library = source.build(folder, flags)
        try:
            check_allocator(
                library,
                contract=contract,
                max_examples=options.examples,
                seed=options.seed,
            )
        except AllocatorDifference as difference:
            print(f"{options.file.name}: {difference.report()}")
            return 1
        except TypeError as error:
            asked = ", ".join(f"--{name}" for name in _FUNCTIONS[4:])
            raise ValueError(f"{error}; what it has is named with {asked}") from error
        wrong = (
            source.stress(folder, options.threads, options.size or 32, options.option)
            if options.threads > 1
            else None
        )
    if wrong is not None:
        print(f"{options.file.name}: with {options.threads} threads: {wrong}")
        return 1
    print(f"{options.file.name}: no difference; checked {contract!r}")
    return 0


def _contract(text: str | None, default: Contract) -> Contract:
    """The contract that an argument says; what it leaves open is as the functions have it."""
    from lookaside_sim.testing.conformance.contract import LEVELS, Contract

    if text is None:
        return default
    if text in LEVELS:
        text = repr(LEVELS[text])
    problem = (
        f"--contract {text}: give pool(...), slab(...), malloc(...), Contract(...) or one of"
        f" {', '.join(LEVELS)}"
    )
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Name):
            call = ast.Call(call, [], [])
        if not isinstance(call, ast.Call):
            raise ValueError(problem)
        name = ast.unparse(call.func).removeprefix("Contract.")
        arguments = [_value(each) for each in call.args]
        named: dict[str, Any] = {str(each.arg): _value(each.value) for each in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ValueError(problem) from error
    for field in ("sized", "memory", "gives_back", "sizes", "alignment"):
        named.setdefault(field, getattr(default, field))
    if named.get("depth") is not None:
        named["memory"] = "backend"
    try:
        if name in _KINDS:
            made: Contract = getattr(Contract, name)(*arguments, **named)
            return made
        if name == "Contract" and not arguments:
            return Contract(**named)
    except TypeError as error:
        raise ValueError(f"--contract {text}: {error}") from error
    raise ValueError(problem)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
        return range(*(ast.literal_eval(each) for each in node.args))
    return ast.literal_eval(node)


def _again_with(runtime: str) -> int:
    """Run the same command with AddressSanitizer loaded first, as it has to be."""
    environment = {
        **os.environ,
        _PRELOADED: "1",
        "LD_PRELOAD": runtime,
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    script = "from lookaside_sim.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", script, *sys.argv[1:]]
    return subprocess.run(command, env=environment, check=False).returncode
