"""The recipes of docs/testing.md for fuzzers, as they stand, where the fuzzers are installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.testing.test_docs import ROOT, only

BROKEN = """\
from lookaside_sim.testing.adapters import FreeList as Right


class FreeList(Right):
    def free(self, address):
        if len(self._free) != 1:
            super().free(address)
"""
RANDOMIZED = """\
from hypothesis import settings

settings.load_profile("default")
"""
EXIT_FOUND = 77
"""What libFuzzer ends with when an input raised."""
needs_atheris = pytest.mark.skipif(find_spec("atheris") is None, reason="no atheris")


def environment(*paths: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT]))}


def fuzz(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "fuzz_mine.py").write_text(text, "utf-8")
    return subprocess.run(
        [sys.executable, "fuzz_mine.py", "-runs=1000", "-seed=1"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@needs_atheris
def test_atheris_finds_nothing_in_a_correct_allocator(tmp_path: Path) -> None:
    done = fuzz(tmp_path, only("python atheris").text)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 1000 runs" in done.stderr


@needs_atheris
def test_atheris_finds_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BROKEN, "utf-8")
    text = only("python atheris").text.replace("lookaside_sim.testing.adapters", "mine")
    done = fuzz(tmp_path, text)
    assert done.returncode == EXIT_FOUND, done.stderr[-2000:]
    assert "of the backend's blocks are still allocated" in done.stdout + done.stderr


@pytest.mark.skipif(find_spec("hypofuzz") is None, reason="no HypoFuzz")
@pytest.mark.skipif(os.name != "posix", reason="no process groups to end")
def test_hypofuzz_collects_and_runs_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(only("python hypofuzz").text, "utf-8")
    # Where CI is set, Hypothesis derandomizes what loads no profile.
    (tmp_path / "conftest.py").write_text(RANDOMIZED, "utf-8")
    command = [
        "-c",
        "from hypothesis.extra.cli import main; main()",
        "fuzz",
        "--no-dashboard",
        "-n",
        "1",
    ]
    process = subprocess.Popen(
        [sys.executable, *command, "--", "test_mine.py"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    # Inputs that reach something new are kept here.
    kept = tmp_path / ".hypothesis" / "examples"
    until = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < until and not filled(kept):
        time.sleep(0.1)
    found = filled(kept)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert found, output
    assert "to fuzz 1 test" in output


def filled(folder: Path) -> bool:
    return folder.is_dir() and sum(1 for _ in folder.iterdir()) >= 3


def test_the_target_of_hypofuzz_is_a_test(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(only("python hypofuzz").text, "testing.md", "exec"), names)
    names["test_fuzz"]()
