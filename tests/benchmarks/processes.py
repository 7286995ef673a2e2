"""What a process of its own costs: the import, a machine, the command's help."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Final

PROGRAMS: Final = {
    "import lookaside_sim": ("-c", "import lookaside_sim"),
    "the same, and a kernel": ("-c", "import lookaside_sim; lookaside_sim.Kernel()"),
    "lookaside-sim --help": ("-m", "lookaside_sim", "--help"),
}


def processor_time(arguments: tuple[str, ...], runs: int = 5) -> float:
    """Nanoseconds of processor time of one run of the interpreter, the best of some.

    Bytecode is cached, as it is wherever the package is installed.
    """
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }

    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    found = []
    for _ in range(runs + 1):  # the first may have to compile
        before = used()
        subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        found.append(used() - before)
    return min(found[1:]) * 1e9
