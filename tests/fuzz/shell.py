"""The shell over machines and runs that are written over at random.

    python -m tests.fuzz.shell [MACHINES]

No view may stop or change a machine, no command may change a recording, and every line has an
answer: more than ten thousand corruptions with the default of 40 machines of each kind.
"""

from __future__ import annotations

import sys

from tests.kd.test_looking import look_after_corruptions, travel_in_broken_runs

SETTINGS = ("plain", "sanitizer", "small_pool_lists", "delayed_free")


def main(machines: int) -> None:
    """Run the campaign; whatever is wrong leaves it as an AssertionError or as what it is."""
    count = 0
    for arch in ("x64", "x86"):
        for setting in SETTINGS:
            count += look_after_corruptions(arch, setting, machines, each=40)
            print(f"{arch} {setting}: {count:,} corruptions so far", flush=True)
        travel_in_broken_runs(arch, runs=machines, lines=40)
    print(f"0 findings after {count:,} corruptions")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 40)
