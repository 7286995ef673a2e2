"""Read damaged trace files in both ways for as long as you like.

Run ``python -m tests.fuzz.traces [FILES [FIRST SEED]]``; it ends with the number of differences.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lookaside_sim.trace import lines
from tests.trace.damage import difference


def main(count: int = 10_000, first: int = 0) -> int:
    """Compare files, print what differs, and count it."""
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            lines.CHUNK_BYTES = 200 + seed * 37 % 4000  # type: ignore[misc]
            told = difference(Path(folder), seed)
            if told is not None:
                found += 1
                print(told)
    print(f"{count:,} files, {found} differences")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
