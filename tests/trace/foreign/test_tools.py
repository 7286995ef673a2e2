"""What the tools themselves write, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim.advise import advise
from lookaside_sim.trace.foreign.formats import Recording, load_any

PROGRAM = """\
#include <stdlib.h>
int main(void)
{
    void *kept[30];
    for (int i = 0; i < 30; i++)
        kept[i] = malloc(100);
    for (int i = 0; i < 30; i++)
        free(kept[i]);
    for (int i = 0; i < 50; i++)
        free(calloc(3, 77));
    void *moved = realloc(malloc(333), 444);
    free(moved);
    return 0;
}
"""
compiler = shutil.which("cc")
pytestmark = pytest.mark.skipif(
    compiler is None or not sys.platform.startswith("linux"), reason="no cc, or no Linux"
)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "program.c").write_text(PROGRAM)
    command = [str(compiler), "-O0", "-fno-builtin", "program.c", "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path / "program"


def counted(path: Path) -> dict[int, tuple[int, int]]:
    recording = load_any(path)
    assert isinstance(recording, Recording)
    rows = advise(recording, by="size", depths=False).rows
    assert recording.unknown == 0
    sizes = (100, 231, 333, 444)
    return {row.size: (row.calls, row.pool_calls_saved) for row in rows if row.size in sizes}


# 30 allocates find nothing, 4 frees have room; then nearly all hit.
EXPECTED = {100: (60, 4), 231: (100, 99), 333: (2, 1), 444: (2, 1)}


@pytest.mark.skipif(shutil.which("ltrace") is None, reason="no ltrace")
def test_ltrace(program: Path) -> None:
    output = program.with_name("ltrace.txt")
    calls = "malloc+calloc+realloc+free"
    command = ["ltrace", "-f", "-ttt", "-e", calls, "-o", str(output), str(program)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"ltrace may not trace here: {done.stderr[:80]!r}")
    assert counted(output) == EXPECTED


@pytest.mark.skipif(
    shutil.which("heaptrack") is None or shutil.which("zstd") is None,
    reason="no heaptrack, or no zstd",
)
def test_heaptrack(program: Path) -> None:
    command = ["heaptrack", "-o", "out", str(program)]
    done = subprocess.run(
        command, cwd=program.parent, capture_output=True, timeout=60, check=False
    )
    output = next(program.parent.glob("out*"), None)
    assert output is not None, done.stderr
    assert counted(output) == EXPECTED


def test_our_own_recorder(program: Path) -> None:
    output = program.with_name("own.lkt")
    command = [sys.executable, "-m", "lookaside_sim", "record", "-o", str(output), "--"]
    subprocess.run([*command, str(program)], capture_output=True, timeout=60, check=True)
    found = {row.size: row for row in advise(output, by="size", depths=False).rows}
    assert {
        size: (found[size].calls, found[size].pool_calls_saved) for size in EXPECTED
    } == EXPECTED


@pytest.mark.skipif(shutil.which("perf") is None, reason="no perf")
def test_perf(tmp_path: Path) -> None:
    data = str(tmp_path / "perf.data")
    record = [
        "perf",
        "record",
        "-e",
        "kmem:kmalloc",
        "-e",
        "kmem:kfree",
        "-o",
        data,
        "--",
        "ls",
    ]
    done = subprocess.run(record, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"perf may not record here: {done.stderr[-80:]!r}")
    script = ["perf", "script", "-i", data]
    text = subprocess.run(script, capture_output=True, timeout=60, check=True).stdout
    if not text:
        pytest.skip("ls made no call of kmalloc")
    output = tmp_path / "perf.txt"
    output.write_bytes(text)
    recording = load_any(output)
    assert isinstance(recording, Recording)
    assert recording.kind == "kmalloc"
    read = advise(recording).calls + recording.unknown
    # A call of kfree with NULL is none, and an address allocated again was freed unseen.
    seen = text.count(b"kmem:")
    assert 0 < read <= 2 * seen
