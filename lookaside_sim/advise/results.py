"""What a sweep found, and the file that keeps it: JSON Lines, an outcome each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs

from lookaside_sim.advise.advice import Row
from lookaside_sim.advise.policy import Policy
from lookaside_sim.nt.types import PoolTag, PoolType

_NUMBERS: Final = (
    "total_allocates",
    "allocate_misses",
    "total_frees",
    "free_misses",
    "depth",
    "current_depth",
    "most_held",
    "average_held",
)


@attrs.frozen
class Outcome:
    """What lists under one policy do.

    Attributes:
        policy: the policy.
        rows: a list each, the one that saves most calls first.
        error: why the policy could not be worked out, or None.
    """

    policy: Policy
    rows: tuple[Row, ...]
    error: str | None = None

    @property
    def pool_calls_saved(self) -> int:
        """Calls that need no call of the pool, of all lists."""
        return sum(row.pool_calls_saved for row in self.rows)

    @property
    def bytes_held(self) -> int:
        """Bytes of the free entries of each list when they are most, summed."""
        return sum(row.bytes_held for row in self.rows)

    @property
    def average_bytes_held(self) -> float:
        """Bytes of the free entries of all lists, on average over the seconds."""
        return sum(row.average_bytes_held for row in self.rows)


class Results:
    """The file of a sweep, or none.

    Args:
        path: the file, which need not be there; None to keep nothing.
        digest: of the calls that the sweep is about.

    Attributes:
        found: what the file held for the same calls.
    """

    def __init__(self, path: str | Path | None, digest: str) -> None:
        self._path = None if path is None else Path(path)
        self._digest = digest
        self.found: list[Outcome] = []
        if self._path is None:
            self._file = None
            return
        whole = 0
        if self._path.exists():
            data = self._path.read_bytes()
            whole = data.rfind(b"\n") + 1  # a sweep may have been ended in the middle of a line
            for number, line in enumerate(data[:whole].splitlines(), 1):
                self._read(line, number)
        self._file = self._path.open("r+b" if self._path.exists() else "wb")
        self._file.truncate(whole)
        self._file.seek(whole)

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome, now."""
        if self._file is not None:
            values = {"calls": self._digest} | as_values(outcome)
            self._file.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")
            self._file.flush()

    def _read(self, line: bytes, number: int) -> None:
        try:
            values = json.loads(line)
            if values["calls"] == self._digest:
                self.found.append(_outcome(values))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(
                f"{self._path}, line {number}: no outcome of a sweep; give another file"
            ) from None


def as_values(outcome: Outcome) -> dict[str, Any]:
    """Turn an outcome into what JSON can hold."""
    return {
        "policy": attrs.asdict(outcome.policy),
        "error": outcome.error,
        "pool_calls_saved": outcome.pool_calls_saved,
        "bytes_held": outcome.bytes_held,
        "average_bytes_held": outcome.average_bytes_held,
        "rows": [
            {
                "pool_type": int(row.pool_type),
                "size": row.size,
                "tag": None if row.tag is None else int(row.tag),
                "site": row.site,
            }
            | {name: getattr(row, name) for name in _NUMBERS}
            for row in outcome.rows
        ],
    }


def _outcome(values: dict[str, Any]) -> Outcome:
    rows = tuple(
        Row(
            pool_type=PoolType(row["pool_type"]),
            size=row["size"],
            tag=None if row["tag"] is None else PoolTag(row["tag"]),
            site=row["site"],
            sizes=(row["size"],),
            **{name: row[name] for name in _NUMBERS},
        )
        for row in values["rows"]
    )
    return Outcome(Policy(**values["policy"]), rows, values["error"])
