from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim.trace import load
from tests.cli.helpers import Command

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None or not sys.platform.startswith("linux"),
    reason="needs Linux and a C compiler",
)
PROGRAM = """
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *many(void *unused)
{
    for (int n = 0; n < 1000; n++)
        free(malloc(1003));
    return unused;
}

int main(void)
{
    pthread_t threads[4];
    for (int n = 0; n < 4; n++)
        pthread_create(threads + n, NULL, many, NULL);
    for (int n = 0; n < 4; n++)
        pthread_join(threads[n], NULL);
    if (!fork()) {
        free(malloc(1007));
        _exit(0);
    }
    wait(NULL);
    char *block = calloc(3, 1001);
    void *aligned;
    block = realloc(block, 5005);
    posix_memalign(&aligned, 64, 2048);
    free(aligned);
    free(block);
    free(NULL);
    return 3;
}
"""


@needs_compiler
def test_a_program_is_recorded(tmp_path: Path, command: Command) -> None:
    source, program = tmp_path / "demo.c", tmp_path / "demo"
    source.write_text(PROGRAM)
    subprocess.run(["cc", "-O0", "-pthread", "-o", program, source], check=True)
    trace = tmp_path / "demo.jsonl.gz"
    code, output, errors = command("record", "-o", trace, "--", program)
    assert (code, errors) == (0, "")
    assert f" events of {program}, exit code 3: {trace}, " in output
    events = list(load(trace))
    sizes = [event.size for event in events if event.op == "alloc"]
    assert (sizes.count(1003), sizes.count(1007)) == (4000, 0)
    ids = {event.id: event.size for event in events if event.op == "alloc"}
    story = [
        (event.op, ids[event.id])
        for event in events
        if ids[event.id] in (3003, 5005, 2048) and event.id is not None
    ]
    assert story == [
        ("alloc", 3003),
        ("free", 3003),
        ("alloc", 5005),
        ("alloc", 2048),
        ("free", 2048),
        ("free", 5005),
    ]
    freed = [event for event in events if event.op == "free" and ids[event.id] == 1003]
    assert len(freed) == 4000
    assert command("advise", trace)[0] == 0


@needs_compiler
def test_a_program_that_leaves_nothing(command: Command, tmp_path: Path) -> None:
    code, _, errors = command("record", "-o", tmp_path / "out.lkt", "--", tmp_path / "none")
    assert code == 2
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_no_compiler(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    code, output, errors = command("record", "--", "true")
    assert (code, output) == (2, "")
    assert errors == (
        "lookaside-sim: no-such-compiler: no such C compiler; install one, or set CC\n"
    )


def test_another_system(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    code, _, errors = command("record", "--", "true")
    assert code == 2
    assert "only programs on Linux can be recorded" in errors


@needs_compiler
def test_a_compiler_that_fails(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc --no-such-option")
    code, _, errors = command("record", "--", "true")
    assert code == 2
    assert errors.startswith("lookaside-sim: cc: ")
    assert errors.count("\n") == 1


def test_its_usage_says_the_dashes_once(command: Command) -> None:
    code, output, _ = command("record", "--help")
    assert code == 0
    assert "record [-h] [-o FILE] [--frames N] -- COMMAND [ARGUMENT ...]\n" in output
