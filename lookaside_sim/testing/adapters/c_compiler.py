"""The C compiler that is here, and the sanitizers that come with it."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["BuildError", "Sanitizer", "compile_c", "find_compiler", "find_sanitizer"]

_SECONDS_TO_BUILD: Final = 120


class BuildError(ValueError):
    """The file cannot be built, or has no such function."""


class Sanitizer(NamedTuple):
    """How a library is built with a sanitizer, and what has to be loaded before it."""

    options: tuple[str, ...]
    """Of the compiler."""
    runtime: str
    """Its library, for ``LD_PRELOAD``; "" where the library finds it itself."""


def find_compiler() -> str | None:
    """The C compiler: of the variable ``CC``, or the first of cc, gcc and clang."""
    asked = os.environ.get("CC")
    return next(
        filter(None, map(shutil.which, filter(None, (asked, "cc", "gcc", "clang")))), None
    )


def compile_c(source: Path, output: Path, options: Sequence[str], what: Path) -> None:
    """Compile a file.

    Args:
        source: the file.
        output: the library or program.
        options: of the compiler.
        what: the file that errors name.

    Raises:
        BuildError: there is no compiler, or it complains.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError("there is no C compiler: install cc, gcc or clang, or set CC")
    done = subprocess.run(
        [compiler, "-O1", "-g", "-w", *options, str(source), "-o", str(output)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_SECONDS_TO_BUILD,
    )
    if done.returncode:
        raise BuildError(f"{what}: does not compile\n{done.stderr.strip()}")


def find_sanitizer(name: str) -> Sanitizer:
    """A sanitizer of the compiler, for a library that a program without it loads.

    Args:
        name: ``address`` or ``undefined``.

    Raises:
        BuildError: there is no compiler, or it has no such sanitizer that can be loaded.
    """
    compiler = find_compiler()
    found = None if compiler is None else _sanitizer(compiler, name)
    if found is None:
        raise BuildError(
            f"no sanitizer {name!r} to load: {compiler or 'no C compiler'} has none"
        )
    return found


@functools.cache
def _sanitizer(compiler: str, name: str) -> Sanitizer | None:
    option = f"-fsanitize={name}"
    if "clang" not in _said(compiler, "--version"):
        if name != "address":
            return Sanitizer((option,), "")
        runtime = _library(compiler, "libasan.so")
        return None if runtime is None else Sanitizer((option,), runtime)
    file = {"address": "asan"}.get(name, "ubsan_standalone")
    for ending in (f"-{platform.machine()}.so", ".so"):
        runtime = _library(compiler, f"libclang_rt.{file}{ending}")
        if runtime is not None:
            shared = (option, "-shared-libsan", f"-Wl,-rpath,{Path(runtime).parent}")
            return Sanitizer(shared, runtime if name == "address" else "")
    return None


def _library(compiler: str, name: str) -> str | None:
    found = _said(compiler, f"-print-file-name={name}").strip()
    return found if os.path.isabs(found) and Path(found).exists() else None


def _said(compiler: str, option: str) -> str:
    done = subprocess.run([compiler, option], capture_output=True, text=True, check=False)
    return done.stdout
