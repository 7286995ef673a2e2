from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from lookaside_sim import LookasideSimError, TraceError
from lookaside_sim.errors import TraceEndError
from lookaside_sim.trace.foreign.formats import load_any
from lookaside_sim.trace.foreign.zstd import open_zstd

SAMPLE = Path(__file__).parent / "samples" / "heaptrack.txt"
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd to compress with")


def compressed(source: Path, path: Path) -> Path:
    subprocess.run(["zstd", "-q", str(source), "-o", str(path)], check=True)
    return path


@needs_zstd
def test_a_recording_as_heaptrack_leaves_it(tmp_path: Path) -> None:
    path = compressed(SAMPLE, tmp_path / "heaptrack.sample.1.zst")
    assert list(load_any(path)) == list(load_any(SAMPLE))
    assert list(load_any(path, "heaptrack")) == list(load_any(SAMPLE))


@needs_zstd
def test_a_file_that_is_damaged_or_none(tmp_path: Path) -> None:
    path = compressed(SAMPLE, tmp_path / "cut.zst")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TraceEndError, match="damaged zstd file"):
        load_any(path)
    with pytest.raises(TraceEndError, match="damaged zstd file"):
        list(load_any(path, "heaptrack"))
    other = tmp_path / "other.txt"
    other.write_text("nothing known\n")
    with pytest.raises(TraceError, match="begun as one of malloc, heaptrack"):
        load_any(compressed(other, tmp_path / "other.zst"))


@needs_zstd
def test_a_file_that_is_not_read_to_its_end(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_text("x" * 100 + "\n" * 1_000_000)
    file = open_zstd(compressed(large, tmp_path / "large.zst"))
    assert file.readline() == b"x" * 100 + b"\n"
    file.close()
    file.close()


def test_nothing_that_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        open_zstd(tmp_path / "none.zst")
    if importlib.util.find_spec("compression") is None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        with pytest.raises(LookasideSimError, match="install zstd"):
            open_zstd(tmp_path / "none.zst")
