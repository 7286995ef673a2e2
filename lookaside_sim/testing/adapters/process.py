"""An allocator in another process, speaking JSON lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any, Self

from lookaside_sim.testing.conformance.backend import Backend

__all__ = ["ProcessAllocator", "ProcessFactory"]


class ProcessFactory:
    """A program that implements allocators; call it as a factory, close it at the end.

    It reads one JSON object a line and answers each in one line::

        {"call": "create", "size": 32}          {"result": null}
        {"call": "allocate"}                    {"result": 18446655513712721936}
        {"call": "free", "address": ...}        {"result": null}
        {"call": "flush"}, {"call": "delete"}, {"call": "tick", "seconds": 3}
        {"call": "counters"}                    {"result": {"total_allocates": 1, ...}}

    Before it answers it may ask for memory and read one line of reply for each question::

        {"need": "allocate", "size": 32}        {"address": 18446655513712721936} or null
        {"need": "free", "address": ...}        {}

    ``{"error": "text"}`` instead of a result is reported as an exception. A new ``create``
    starts over; the process ends when its input does.

    Args:
        command: the program and its arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, backend: Backend, size: int) -> ProcessAllocator:
        """Make an allocator."""
        return ProcessAllocator(self, backend, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def call(self, backend: Backend, request: dict[str, object]) -> Any:
        """Make one call and answer the questions that come before its result.

        Args:
            backend: what the process gets its memory from.
            request: the call.

        Returns:
            The result.

        Raises:
            RuntimeError: the process answered with an error, or ended.
        """
        self._send(request)
        while True:
            answer = self._receive()
            need = answer.get("need")
            if need == "allocate":
                self._send({"address": backend.allocate(answer["size"])})
            elif need == "free":
                backend.free(answer["address"])
                self._send({})
            elif "error" in answer:
                raise RuntimeError(answer["error"])
            else:
                return answer["result"]

    def _send(self, message: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class ProcessAllocator:
    """One allocator in another process.

    Args:
        factory: the process.
        backend: where entries come from.
        size: bytes of an entry.
    """

    def __init__(self, factory: ProcessFactory, backend: Backend, size: int) -> None:
        self._factory = factory
        self._backend = backend
        self._call("create", size=size)

    def allocate(self) -> int | None:
        """Ask for an entry."""
        entry: int | None = self._call("allocate")
        return entry

    def free(self, address: int) -> None:
        """Give an entry back."""
        self._call("free", address=address)

    def flush(self) -> None:
        """Flush it."""
        self._call("flush")

    def tick(self, seconds: int) -> None:
        """Let time pass."""
        self._call("tick", seconds=seconds)

    def counters(self) -> dict[str, int]:
        """Its counters."""
        found: dict[str, int] = self._call("counters")
        return found

    def delete(self) -> None:
        """Delete it."""
        self._call("delete")

    def _call(self, name: str, **arguments: object) -> Any:
        return self._factory.call(self._backend, {"call": name, **arguments})
