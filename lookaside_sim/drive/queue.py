"""What drivers queue, and when it runs: when somebody says so, oldest first.

Source:
    [doc] KeInsertQueueDpc, IoQueueWorkItem. Choice: nothing runs by itself, so that a test says
    in which order things happen.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.drive.environment import Environment
from lookaside_sim.errors import LookasideSimError

MOST_RUN: Final = 10_000
"""Items that run at one word; more are taken for items that queue themselves for ever."""


def run_queued(env: Environment) -> int:
    """Run what was queued, and what that queues.

    Returns:
        How many items ran.

    Raises:
        LookasideSimError: after very many there still were more.
    """
    count = 0
    while env.queued:
        if count == MOST_RUN:
            raise LookasideSimError(f"after {count} items there still are more in the queue")
        _, run = env.queued.pop(0)
        count += 1
        with env.kernel:
            run()
    return count
