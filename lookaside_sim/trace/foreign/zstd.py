"""Files compressed by zstd, as heaptrack leaves them: Python 3.14 reads them, or the command ``zstd`` does."""

from __future__ import annotations

import importlib
import io
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final, cast

from lookaside_sim.errors import LookasideSimError

ZSTD_SUFFIX: Final = ".zst"


def open_zstd(path: Path) -> IO[bytes]:
    """Open a file for reading.

    Args:
        path: the file.

    Returns:
        What it decompresses to; reading raises EOFError where the file is damaged.

    Raises:
        OSError: the file cannot be opened.
        LookasideSimError: neither this Python nor a command can read it.
    """
    if find_spec("compression") is not None:
        return cast("IO[bytes]", importlib.import_module("compression.zstd").open(path, "rb"))
    command = shutil.which("zstd")
    if command is None:
        raise LookasideSimError(
            f"{path}: compressed by zstd; install zstd, or use Python 3.14 or newer"
        )
    with path.open("rb") as file:
        process = subprocess.Popen(
            [command, "-dcq"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    return cast("IO[bytes]", io.BufferedReader(_Output(process)))


class _Output(io.RawIOBase):
    """What a command writes, whose failure shows at the end of it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._output = process.stdout
        self._errors = process.stderr

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._output.read(len(buffer))
        buffer[: len(data)] = data
        if not data and self._process.wait():
            said = self._errors.read().decode(errors="replace").split()
            raise EOFError(" ".join(said) or f"exit code {self._process.returncode}")
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._output.close()
            self._errors.close()
            self._process.kill()
            self._process.wait()
