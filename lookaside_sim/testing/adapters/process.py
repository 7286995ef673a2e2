"""An allocator in another process, speaking JSON lines."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import IO, Any, Final, Self

from lookaside_sim.testing.conformance.backend import Backend

__all__ = ["ProcessAllocator", "ProcessFactory"]

_TIME_LIMIT: Final = 10.0
_SHORT: Final = 0.1
_PATIENCE: Final = 3
"""How many times the slowest answer until now, and seconds more, are enough in a hurry."""
_MOST_REQUESTS: Final = 10_000
"""Blocks asked for in one call after which it is taken to go on for ever."""
_START: Final = 5.0
"""Seconds more for the first answer of a process, which has to be started."""
_LAST_WORDS: Final = 500
"""Characters of what it wrote on its standard error that are told when it ends."""


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
    starts over; the process ends when its input does. Other lines on its standard output, and
    anything on its standard error, are left alone. A process that ended or did not answer in time is
    started again with the next ``create``.

    Args:
        command: the program and its arguments.
        time_limit: seconds within which it answers or asks; 5 more for its first answer, as
            starting a program takes its time on a busy machine.
    """

    def __init__(self, command: Sequence[str], *, time_limit: float = _TIME_LIMIT) -> None:
        self.command = list(command)
        self.time_limit = time_limit
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: IO[bytes] | None = None
        self._quick = self._hung = self._answered = False
        self._slowest = 0.0
        self._start()

    def __call__(self, backend: Backend, size: int) -> ProcessAllocator:
        """Make an allocator, in a new process if the last one is gone."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        return ProcessAllocator(self, backend, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        limit = "" if self.time_limit == _TIME_LIMIT else f", time_limit={self.time_limit!r}"
        return f"ProcessFactory({self.command!r}{limit})"

    def as_source(self) -> tuple[list[str], str]:
        """Imports and the expression that makes it again, for a regression."""
        return ["from lookaside_sim.testing.adapters import ProcessFactory"], repr(self)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError, ValueError):
            assert process.stdin is not None
            process.stdin.close()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join()
        if process.stdout is not None:
            process.stdout.close()
        if self._errors is not None:
            self._errors.close()

    def call(self, backend: Backend, request: dict[str, object]) -> Any:
        """Make one call and answer the questions that come before its result.

        Args:
            backend: what the process gets its memory from.
            request: the call.

        Returns:
            The result.

        Raises:
            RuntimeError: the process answered with an error, ended, or did not answer in time.
        """
        try:
            answer = self._answer(backend, request)
        except BaseException:
            self._kill()  # what it says from now on would be taken for answers to others
            raise
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def be_quick(self, quick: bool) -> None:
        """Wait for as long as it ever took to answer, and a little, or for all of the limit again.

        Args:
            quick: whether a program that hangs is being made small.
        """
        self._quick = quick

    def _answer(self, backend: Backend, request: dict[str, object]) -> dict[str, Any]:
        self._send(request)
        requests = 0
        while True:
            answer = self._receive()
            need = answer.get("need")
            if need == "allocate":
                requests += 1
                if requests > _MOST_REQUESTS:
                    self._hung = True
                    raise RuntimeError(
                        f"the process asked for {_MOST_REQUESTS} blocks in one call"
                    )
                self._send({"address": backend.allocate(answer["size"])})
            elif need == "free":
                backend.free(answer["address"])
                self._send({})
            else:
                return answer

    def _start(self) -> None:
        self._answered = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(
            target=_read, args=(self._process.stdout, self._lines), daemon=True
        )
        self._reader.start()

    def _send(self, message: dict[str, object]) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the process is closed")
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise RuntimeError(self._end()) from None

    def _receive(self) -> dict[str, Any]:
        limit = self.time_limit + (0 if self._answered else _START)
        if self._quick and self._hung:
            limit = min(limit, _SHORT + _PATIENCE * self._slowest)
        began = time.monotonic()
        while True:
            left = began + limit - time.monotonic()
            try:
                line = self._lines.get(timeout=max(left, 0)) if left > 0 else ""
            except queue.Empty:
                line = ""
            if line == "":
                self._hung = True
                raise RuntimeError(
                    f"the process did not answer within {self.time_limit:g} seconds"
                )
            if line is None:
                raise RuntimeError(self._end())
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict) and answer.keys() & {"result", "need", "error"}:
                    self._slowest = max(self._slowest, time.monotonic() - began)
                    self._answered = True
                    return answer
            # Anything else is a message to somebody else.

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.close()

    def _end(self) -> str:
        """Say how the process ended."""
        assert self._process is not None
        code = self._process.wait()
        text = f"the process ended with exit code {code}"
        if self._errors is not None:
            self._errors.seek(0)
            words = self._errors.read().decode("utf-8", "replace").strip()[-_LAST_WORDS:]
            text += f": {words}" if words else ""
        self.close()
        return text


def _read(output: IO[str], lines: queue.Queue[str | None]) -> None:
    """Pass lines on, so that waiting for one can have a limit on every system."""
    with contextlib.suppress(ValueError):
        for line in output:
            lines.put(line)
    lines.put(None)


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
