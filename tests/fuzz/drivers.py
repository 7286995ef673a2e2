"""Damaged drivers: each is loaded and run, and nothing but the errors that are meant comes out.

Run by hand: ``python -m tests.fuzz.drivers [SECONDS]``. Each batch runs in a process of its own, so
that a crash of the engine is seen.
"""

from __future__ import annotations

import contextlib
import io
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lookaside_sim.cli import main

BUILT = Path(__file__).parent.parent / "drive" / "drivers" / "built"
BATCH = 40
LONGEST = 60
"""Seconds that a batch may take."""


def damaged(data: bytes, choose: random.Random) -> bytes:
    """A driver with something wrong in it."""
    image = bytearray(data)
    kind = choose.randrange(4)
    if kind == 0:
        del image[choose.randrange(len(image)) :]
    elif kind == 1:  # the headers
        for _ in range(choose.randint(1, 6)):
            image[choose.randrange(0x40, 0x400)] = choose.choice((0, 1, 0x7F, 0x80, 0xFF))
    elif kind == 2:  # a number somewhere
        at = choose.randrange(len(image) - 8)
        image[at : at + 4] = choose.choice((0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF)).to_bytes(
            4, "little"
        )
    else:
        for _ in range(choose.randint(1, 40)):
            image[choose.randrange(0x400, len(image))] = choose.randrange(256)
    return bytes(image)


def run(seed: int) -> int:
    """Run one damaged driver; returns the exit code."""
    choose = random.Random(seed)
    source = choose.choice(sorted(BUILT.glob("*.sys")))
    options = ["--seconds", "0.5"]
    if choose.random() < 0.3:
        options.append("--verifier")
    if choose.random() < 0.2:
        options.append("--sanitizer")
    if choose.random() < 0.3:
        options += ["--unknown", "zero"]
    if source.name.startswith("families") and choose.random() < 0.7:
        options += ["--call", "Queue 6", "--call", "Exchange 5"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.sys"
        path.write_bytes(damaged(source.read_bytes(), choose))
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main(["drive", str(path), *options])
    assert code in (0, 1, 2), code
    said = errors.getvalue()
    assert said.count("\n") == (code == 2), said
    return code


def batch(first: int) -> None:
    """Run some seeds."""
    for seed in range(first, first + BATCH):
        print(seed, flush=True)
        run(seed)


def hunt(seconds: float) -> int:
    """Run batches for a while; returns how many drivers were run."""
    end, first, count = time.monotonic() + seconds, random.randrange(1 << 40), 0
    while time.monotonic() < end:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.drivers", "--batch", str(first)],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        if done.returncode:
            seed = done.stdout.split()[-1] if done.stdout else "?"
            print(f"seed {seed}, exit code {done.returncode}:\n{done.stderr}")
            raise SystemExit(1)
        first += BATCH
        count += BATCH
    return count


if __name__ == "__main__":
    if sys.argv[1:2] == ["--batch"]:
        batch(int(sys.argv[2]))
    else:
        print(hunt(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0), "damaged drivers")
