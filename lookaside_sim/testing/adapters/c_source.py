"""A C file with an allocator: its glue, its library, and a run of many threads on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from lookaside_sim.testing.adapters.native import HEADER, NativeLibrary
from lookaside_sim.testing.conformance.contract import Contract
from lookaside_sim.testing.conformance.sanitizer_reports import first_report

__all__ = ["BuildError", "CSource", "find_compiler"]

_POINTER_ALIGNMENT: Final = 8
"""What every C allocator owes, in bytes: more is asked for by a contract."""
_SECONDS_TO_BUILD: Final = 120
_SECONDS_TO_STRESS: Final = 60
_GLUE: Final = """\
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lookaside_sim.h>

static lookaside_allocate lookaside_from;
static lookaside_release lookaside_to;

static void *lookaside_malloc(size_t size) { return lookaside_from(size ? size : 1); }
static void lookaside_free(void *block) { if (block) lookaside_to(block); }
static void *lookaside_calloc(size_t count, size_t size)
{
    void *block = lookaside_malloc(count * size);
    return block ? memset(block, 0, count * size) : NULL;
}

#define malloc lookaside_malloc
#define calloc lookaside_calloc
#define free lookaside_free
#define realloc lookaside_sim_cannot_redirect_realloc
#line 1 "%(path)s"
#include "%(path)s"
#undef malloc
#undef calloc
#undef free
#undef realloc

void *check_create(size_t size, lookaside_allocate allocate, lookaside_release release)
{
    static char nothing;
    (void)size, (void)nothing, (void)lookaside_calloc, (void)lookaside_free;
    lookaside_from = allocate;
    lookaside_to = release;
    %(create)s
}
void *check_allocate(void *self%(size)s) { (void)self; return %(allocate)s; }
void check_free(void *self, void *entry) { (void)self; %(free)s; }
void check_delete(void *self) { (void)self; %(delete)s }
"""
_STRESS: Final = """
#include <pthread.h>

#define ROUNDS 2000
#define HELD 16

static void *stress_from(size_t size) { return malloc(size); }
static void stress_to(void *block) { free(block); }
static void *stress_self;
static const size_t stress_size = %(bytes)d;

static void *stress_thread(void *argument)
{
    unsigned char mark = (unsigned char)(size_t)argument;
    unsigned seed = mark;
    unsigned char *held[HELD] = {0};
    for (int round = 0; round < ROUNDS + HELD; round++) {
        int place = round < ROUNDS ? (int)((seed = seed * 1103515245u + 12345u) >> 16) %% HELD
                                   : round - ROUNDS;
        unsigned char *entry = held[place];
        if (entry) {
            for (size_t i = 0; i < stress_size; i++)
                if (entry[i] != mark) {
                    fputs("STRESS: an entry was changed while a thread held it\\n", stderr);
                    _Exit(3);
                }
            check_free(stress_self, entry);
            held[place] = NULL;
        } else if (round < ROUNDS) {
            held[place] = check_allocate(stress_self%(request)s);
            if (held[place])
                memset(held[place], mark, stress_size);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[%(threads)d];
    stress_self = check_create(stress_size, stress_from, stress_to);
    if (!stress_self)
        return 2;
    for (size_t i = 0; i < %(threads)d; i++)
        pthread_create(&threads[i], NULL, stress_thread, (void *)(i + 1));
    for (size_t i = 0; i < %(threads)d; i++)
        pthread_join(threads[i], NULL);
    check_delete(stress_self);
    return 0;
}
"""


class BuildError(ValueError):
    """The file cannot be built, or has no such function."""


def find_compiler() -> str | None:
    """The C compiler: of the variable ``CC``, or the first of cc, gcc and clang."""
    asked = os.environ.get("CC")
    return next(
        filter(None, map(shutil.which, filter(None, (asked, "cc", "gcc", "clang")))), None
    )


@attrs.frozen
class CSource:
    """A C file, and which of its functions are the allocator's.

    The file is compiled as it is, with malloc, calloc and free redirected to the backend.
    Where an allocator has no create function, its state is static: it is loaded anew for each
    program.

    Attributes:
        path: the file.
        allocate: name of the function that returns an entry. It takes nothing, the allocator,
            a size, or both.
        free: name of the one that takes an entry back, alone or after the allocator.
        create: name of the one that makes an allocator, of nothing or of a size.
        delete: name of the one that gives everything back.
    """

    path: Path = attrs.field(converter=Path)
    allocate: str
    free: str
    create: str | None = None
    delete: str | None = None

    def __attrs_post_init__(self) -> None:
        for name in (self.allocate, self.free, self.create, self.delete):
            if name is not None:
                self._parameters(name)

    @property
    def is_sized(self) -> bool:
        """Whether a size comes with each request."""
        return any("*" not in each for each in self._parameters(self.allocate))

    @property
    def takes_a_size(self) -> bool:
        """Whether it is told how large entries are, when it is made or with each request."""
        made = self.create is not None and bool(self._parameters(self.create))
        return made or self.is_sized

    def default_contract(self, size: int | None = None) -> Contract:
        """What an allocator with these functions owes at least.

        Args:
            size: bytes of an entry, of one that is not told.

        Raises:
            ValueError: it is not told, and no size is given.
        """
        if size is None and not self.takes_a_size:
            raise ValueError(f"{self.path}: says nowhere how large an entry is: give a size")
        return Contract(
            sizes=size,
            alignment=_POINTER_ALIGNMENT,
            capacity=None if self.is_sized else True,
            grows=False,
            sized=self.is_sized,
            memory="own",
            gives_back=self.delete is not None,
        )

    def build(self, folder: Path, options: Sequence[str] = ()) -> NativeLibrary:
        """Compile it as a library.

        Args:
            folder: where the library goes.
            options: further ones of the compiler.

        Returns:
            A factory for `check_allocator`.

        Raises:
            BuildError: there is no compiler, or it complains.
        """
        library = folder / f"{self.path.stem}.so"
        self._compile(self.glue(), library, ["-shared", "-fPIC", *options], folder)
        return NativeLibrary(library, "check_", reload=self.create is None)

    def stress(self, folder: Path, threads: int = 4, size: int = 32) -> str | None:
        """Let many threads use one allocator, under ThreadSanitizer where the compiler has it.

        Args:
            folder: where the program goes.
            threads: how many.
            size: bytes of an entry.

        Returns:
            What is wrong, or None.

        Raises:
            BuildError: there is no compiler, or it complains.
        """
        text = self.glue() + _STRESS % {
            "bytes": size,
            "threads": threads,
            "request": ", stress_size" if self.is_sized else "",
        }
        program = folder / f"{self.path.stem}_stress"
        options = ["-pthread", "-g"]
        try:
            self._compile(text, program, [*options, "-fsanitize=thread"], folder)
        except BuildError:
            self._compile(text, program, options, folder)
        try:
            done = subprocess.run(
                [str(program)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS_TO_STRESS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{threads} threads did not come to an end in {_SECONDS_TO_STRESS} seconds"
        report = first_report(done.stderr)
        if report is not None:
            places = re.findall(rf"#\d+ (\w+) .*{re.escape(self.path.name)}:(\d+)", done.stderr)
            shown = ", ".join(f"{name}:{line}" for name, line in dict.fromkeys(places[:4]))
            return f"{report} ({shown})" if shown else report
        if done.returncode:
            words = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            return words[0].removeprefix("STRESS: ")
        return None

    def glue(self) -> str:
        """The C source that includes the file and exports what `NativeLibrary` calls."""
        itself = "self" if self.create is not None else ""
        create = "return &nothing;"
        if self.create is not None:
            takes = self._parameters(self.create)
            create = f"return {self.create}({'size' if takes else ''});"
        arguments = [
            "size" if "*" not in each else itself for each in self._parameters(self.allocate)
        ]
        free = [itself, "entry"] if len(self._parameters(self.free)) == 2 else ["entry"]
        delete = ""
        if self.delete is not None:
            delete = f"{self.delete}({itself if self._parameters(self.delete) else ''});"
        return _GLUE % {
            "path": str(self.path.resolve()).replace("\\", "/"),
            "create": create,
            "size": ", size_t size" if self.is_sized else "",
            "allocate": f"{self.allocate}({', '.join(arguments)})",
            "free": f"{self.free}({', '.join(free)})",
            "delete": delete,
        }

    def _parameters(self, name: str) -> list[str]:
        """The parameters of a function that the file defines."""
        text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", self.path.read_text("utf-8"), flags=re.DOTALL)
        found = re.search(rf"\b{re.escape(name)}\s*\(([^()]*)\)\s*\{{", text)
        if found is None:
            raise BuildError(f"{self.path}: defines no function {name}")
        parameters = [each.strip() for each in found[1].split(",")]
        return [each for each in parameters if each not in ("", "void")]

    def _compile(self, text: str, output: Path, options: Sequence[str], folder: Path) -> None:
        compiler = find_compiler()
        if compiler is None:
            raise BuildError("there is no C compiler: install cc, gcc or clang, or set CC")
        glue = folder / f"{output.name}.glue.c"
        glue.write_text(text, "utf-8")
        done = subprocess.run(
            [compiler, "-O1", "-g", "-w", f"-I{HEADER.parent}", f"-I{self.path.parent}", *options,
             str(glue), "-o", str(output)],
            capture_output=True, text=True, errors="replace", check=False,
            timeout=_SECONDS_TO_BUILD,
        )  # fmt: skip
        if done.returncode:
            raise BuildError(f"{self.path}: does not compile\n{done.stderr.strip()}")
