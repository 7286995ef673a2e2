"""An allocator in a process of its own: `ReferenceList`, spoken to in JSON lines."""

from __future__ import annotations

import json
import sys
from typing import Any

from lookaside_sim.testing import Backend
from tests.testing.allocators import ReferenceList


def send(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


class Asking(Backend):
    def allocate(self, size: int) -> int | None:
        send({"need": "allocate", "size": size})
        address: int | None = json.loads(sys.stdin.readline())["address"]
        return address

    def free(self, address: int) -> None:
        send({"need": "free", "address": address})
        sys.stdin.readline()


def main(least_depth: int) -> None:
    made: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        call = request.pop("call")
        if call == "create":
            made = ReferenceList(Asking(request["size"]), request["size"])
            made.depth = made.least_depth = least_depth
            send({"result": None})
        elif call == "exit":
            return
        else:
            try:
                send({"result": getattr(made, call)(*request.values())})
            except AttributeError as error:
                send({"error": str(error)})


main(int(sys.argv[1]))
