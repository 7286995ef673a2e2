"""Every driver built anew, against the committed one: ``python -m tests.fuzz.rebuilt``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.drive.test_build import SOURCES, behavior, build


def main() -> None:
    """Build what can be built and compare what it does."""
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES:
            if not source.can_be_built():
                print(f"{source.built}: needs {', '.join(source.needs)}")
                continue
            path, name = build.build(source, Path(folder)), Path(source.name).stem
            same = behavior(path, source.machine, name) == behavior(
                source.committed, source.machine, name
            )
            print(f"{source.built}: {'the same' if same else 'DIFFERS'}")


if __name__ == "__main__":
    main()
