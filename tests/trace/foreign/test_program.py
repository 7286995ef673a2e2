"""Call sites of a recorded program."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim.advise import advise
from lookaside_sim.trace.foreign.program import recorded

compiler = shutil.which("cc")
pytestmark = pytest.mark.skipif(
    compiler is None or not sys.platform.startswith("linux"), reason="no cc, or no Linux"
)
PROGRAM = """\
#include <stdlib.h>

__attribute__((noinline)) static void *wrapped(size_t size)
{
    void *block = malloc(size);
    return block ? block : (abort(), NULL);
}

__attribute__((noinline)) void few(void)
{
    for (int n = 0; n < 20; n++)
        free(wrapped(1234));
}

__attribute__((noinline)) void many(void)
{
    for (int n = 0; n < 50; n++) {
        void *block = realloc(wrapped(1234), 4321);
        free(block);
    }
}

int main(void)
{
    few();
    many();
    return 0;
}
"""
NEW = """\
char *volatile kept;

__attribute__((noinline)) void made() { kept = new char[2345]; }

int main()
{
    made();
    delete[] kept;
    return 0;
}
"""


def built(folder: Path, source: str, *options: str, language: str = "c") -> Path:
    command = [str(compiler), "-O1", *options, "-x", language, "-", "-o", "demo"]
    if language == "c++":
        command.append("-lstdc++")
    done = subprocess.run(
        command, cwd=folder, input=source, text=True, capture_output=True, check=False
    )
    if language == "c++" and done.returncode:
        pytest.skip("no C++")
    assert not done.returncode, done.stderr
    return folder / "demo"


def sites(program: Path, frames: int, size: int) -> dict[str | None, int]:
    """Calls of each site that allocates blocks of a size, without the offsets in functions."""
    with recorded([str(program)], frames) as (recording, code):
        assert code == 0
        rows = advise(recording, by="site", depths=False).rows
    found: dict[str | None, int] = {}
    for row in rows:
        if row.size == size:
            site = row.site and " < ".join(
                frame.rpartition("+")[0] for frame in row.site.split(" < ")
            )
            assert site not in found
            found[site] = row.calls
    return found


def test_the_caller_of_malloc_and_those_that_called_it(tmp_path: Path) -> None:
    program = built(tmp_path, PROGRAM)
    assert sites(program, 0, 1234) == {None: 140}
    assert sites(program, 1, 1234) == {"demo!wrapped": 140}
    assert sites(program, 2, 1234) == {
        "demo!wrapped < demo!few": 40,
        "demo!wrapped < demo!many": 100,
    }
    assert sites(program, 1, 4321) == {"demo!many": 100}
    (deep,) = sites(program, 32, 4321)
    assert deep is not None
    assert deep.startswith("demo!many < demo!main < ")


@pytest.mark.parametrize("options", [["-s"], ["-s", "-no-pie"]])
def test_a_program_without_names(tmp_path: Path, options: list[str]) -> None:
    named = built(tmp_path, PROGRAM, *options[1:])
    with recorded([str(named)]) as (recording, _):
        (address,) = {event.site for event in recording if event.size == 1234}
    stripped = built(tmp_path, PROGRAM, *options)
    with recorded([str(stripped)]) as (recording, _):
        (site,) = {event.site for event in recording if event.size == 1234}
    assert address is not None
    assert site is not None
    assert address.startswith("demo!wrapped+0x")
    assert site.startswith("demo+0x")
    assert site != address


def test_the_caller_of_an_operator_new(tmp_path: Path) -> None:
    program = built(tmp_path, NEW, language="c++")
    (site,) = sites(program, 1, 2345)
    assert site == "demo!_Z4madev"


@pytest.mark.parametrize("frames", [-1, 33])
def test_frames_that_cannot_be(frames: int) -> None:
    with (
        pytest.raises(ValueError, match=f"frames {frames}: give 0 to 32"),
        recorded(["true"], frames),
    ):
        pass
