"""The long version of ``tests/pool/test_model_against_bytes.py``, run by hand.

Run ``python -m tests.fuzz.model_against_bytes FIRST SECONDS``: programs from number FIRST on,
until the time is up or one of them differs.
"""

from __future__ import annotations

import sys
import time

from tests.pool.against_bytes import run


def main(first: int, seconds: float) -> int:
    """Run programs; how many."""
    until = time.monotonic() + seconds
    seed = stayed = stopped = 0
    try:
        for seed in range(first, sys.maxsize):
            if time.monotonic() > until:
                break
            pair = run(seed)
            stopped += pair.stopped
            stayed += pair.model.memory.slots.decide
    except Exception:
        print(f"program {seed}")
        raise
    count = seed - first
    print(f"{count} programs, no difference; {stayed} ended on the model, {stopped} stopped")
    return count


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
