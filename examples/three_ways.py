"""Every program of misuse, run three ways: with nothing on, the sanitizer, the verifier.

Covers: Kernel(sanitizer=True), Kernel(verifier=Verifier.standard()).
Scenario: each file in the folder misuse is one class of mistake. Give names of some to run
only those: ``python examples/three_ways.py double_free``. Prints a Markdown table.
"""

import runpy
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from lookaside_sim import BugCheck, Kernel, LookasideSimError, SanitizerError, Verifier

PROGRAMS = Path(__file__).parent / "misuse"


def outcome(program: Path, kernel: Kernel) -> str:
    """What a program prints on a kernel, and how it ends."""
    output = StringIO()
    ending = ""
    with redirect_stdout(output), kernel:
        try:
            runpy.run_path(str(program))["misuse"](kernel)
        except BugCheck as stop:
            values = ", ".join(f"{value:#x}" for value in stop.parameters)
            ending = f"**{stop.code.name} ({stop.code:#x})** ({values}): {stop.message}"
        except SanitizerError as error:
            ending = f"**{error.kind}**: {error.message}"
        except LookasideSimError as error:
            ending = f"**{type(error).__name__}**: {error}"
    lines = [*output.getvalue().splitlines(), ending]
    return "<br>".join(line.replace("|", "\\|") for line in lines if line)


def rows(names: Iterable[str]) -> Iterable[str]:
    yield "| program | nothing on | sanitizer | verifier, standard |"
    yield "| --- | --- | --- | --- |"
    for name in names:
        program = PROGRAMS / f"{name}.py"
        cells = [
            outcome(program, Kernel()),
            outcome(program, Kernel(sanitizer=True)),
            outcome(program, Kernel(verifier=Verifier.standard())),
        ]
        yield f"| `{name}` | {' | '.join(cells)} |"


def main(names: list[str]) -> None:
    for row in rows(names or sorted(path.stem for path in PROGRAMS.glob("*.py"))):
        print(row)


if __name__ == "__main__":
    main([name for name in sys.argv[1:] if (PROGRAMS / f"{name}.py").exists()])
