"""Each example is run and its output compared with the file beside it.

To accept a changed output: ``python examples/NAME.py > examples/NAME.out``.
"""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_prints_what_the_file_beside_it_says(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(program), run_name="__main__")
    assert capsys.readouterr().out == program.with_suffix(".out").read_text("utf-8")


def test_there_are_examples_and_no_output_without_one() -> None:
    assert PROGRAMS
    assert {path.stem for path in EXAMPLES.glob("*.out")} == {path.stem for path in PROGRAMS}
