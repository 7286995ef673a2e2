"""A C file with an allocator: which functions it has, its library, and a program of many threads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from lookaside_sim.testing.adapters.c_compiler import BuildError, compile_c
from lookaside_sim.testing.adapters.c_glue import OPTIONAL, REDIRECTED, STRESS, glue, own_name
from lookaside_sim.testing.adapters.c_stress import Raced, Stress
from lookaside_sim.testing.adapters.native import HEADER, NativeLibrary
from lookaside_sim.testing.conformance.contract import Contract

__all__ = ["CSource"]

_POINTER_ALIGNMENT: Final = 8
"""What every C allocator owes, in bytes: more is asked for by a contract."""
_MOST_THREADS: Final = 64
_TAKEN: Final[dict[str, list[str]]] = {
    "reallocate": ["entry", "size"],
    "flush": [],
    "tick": ["seconds"],
    "counters": ["counters"],
}


@attrs.frozen
class CSource:
    """A C file, and which of its functions are the allocator's.

    The file is compiled as it is, with malloc, realloc, free and the like redirected to the
    backend, unless it defines them itself.
    Where an allocator has no create function, its state is static: it is loaded anew for each
    program.

    Attributes:
        path: the file.
        allocate: name of the function that returns an entry. It takes nothing, the allocator,
            a size, or both.
        free: name of the one that takes an entry back, alone or after the allocator.
        create: name of the one that makes an allocator, of nothing or of a size.
        delete: name of the one that gives everything back.
        reallocate: name of the one that takes an entry and its new size.
        flush: name of the one that gives free entries back.
        tick: name of the one that takes the seconds that have passed.
        counters: name of the one that fills six ``uint32_t``, as the header says. Each of these
            four has the allocator before what it takes, or not.
    """

    path: Path = attrs.field(converter=Path)
    allocate: str
    free: str
    create: str | None = None
    delete: str | None = None
    reallocate: str | None = None
    flush: str | None = None
    tick: str | None = None
    counters: str | None = None

    def __attrs_post_init__(self) -> None:
        for name in attrs.astuple(self)[1:]:
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
        self._compile(self.glue(), library, ["-shared", "-fPIC", *options])
        return NativeLibrary(library, "check_", reload=self.create is None)

    def stress(
        self, folder: Path, threads: int = 4, size: int = 32, options: Sequence[str] = ()
    ) -> Raced | None:
        """Let many threads use one allocator, under ThreadSanitizer where the compiler has it.

        Args:
            folder: where the program goes.
            threads: how many, up to 63.
            size: bytes of an entry.
            options: further ones of the compiler.

        Returns:
            What is wrong, with the fewest steps of threads found that show it; or None.

        Raises:
            BuildError: there is no compiler, or it complains.
        """
        if not 1 <= threads < _MOST_THREADS:
            raise ValueError(f"threads={threads}: give 1 to {_MOST_THREADS - 1}")
        text = self.glue(redirect=False) + STRESS % {
            "bytes": size,
            "request": ", stress_size" if self.is_sized else "",
        }
        program = folder / f"{self.path.stem}_stress"
        options = ["-pthread", *options]
        try:
            self._compile(text, program, [*options, "-fsanitize=thread"])
        except BuildError:
            self._compile(text, program, options)
        return Stress(program, self.path.name).run(threads)

    def glue(self, *, redirect: bool = True) -> str:
        """The C source that includes the file and exports what `NativeLibrary` calls.

        Args:
            redirect: whether the file's malloc and free become the backend's.
        """
        own = [name for name in REDIRECTED if self._definition(name) is not None]

        def called(name: str, arguments: Sequence[str]) -> str:
            return f"{own_name(name, own)}({', '.join(arguments)})"

        itself = "self" if self.create is not None else ""
        create = "return &nothing;"
        if self.create is not None:
            takes = self._parameters(self.create)
            create = f"return {called(self.create, ['size'] if takes else [])};"
        allocate = [
            "size" if "*" not in each else itself for each in self._parameters(self.allocate)
        ]
        free = [itself, "entry"] if len(self._parameters(self.free)) == 2 else ["entry"]
        delete = ""
        if self.delete is not None:
            takes = self._parameters(self.delete)
            delete = f"{called(self.delete, [itself] if takes else [])};"
        optional = ""
        for each, taken in _TAKEN.items():
            name = getattr(self, each)
            if name is not None:
                more = len(self._parameters(name)) > len(taken)
                optional += OPTIONAL[each] % called(name, [itself, *taken] if more else taken)
        values = {
            "path": str(self.path.resolve()).replace("\\", "/"),
            "create": create,
            "size": ", size_t size" if self.is_sized else "",
            "allocate": called(self.allocate, allocate),
            "free": called(self.free, free),
            "delete": delete,
            "optional": optional,
        }
        return glue(values, own, redirect=redirect)

    def _parameters(self, name: str) -> list[str]:
        """The parameters of a function that the file defines."""
        found = self._definition(name)
        if found is None:
            raise BuildError(f"{self.path}: defines no function {name}")
        parameters = [each.strip() for each in found.split(",")]
        return [each for each in parameters if each not in ("", "void")]

    def _definition(self, name: str) -> str | None:
        """What stands between the parentheses of a function's definition, if there is one."""
        text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", self.path.read_text("utf-8"), flags=re.DOTALL)
        found = re.search(rf"\b{re.escape(name)}\s*\(([^()]*)\)\s*\{{", text)
        return None if found is None else found[1]

    def _compile(self, text: str, output: Path, options: Sequence[str]) -> None:
        source = output.with_name(f"{output.name}.glue.c")
        source.write_text(text, "utf-8")
        folders = [f"-I{HEADER.parent}", f"-I{self.path.parent}"]
        compile_c(source, output, [*folders, *options], self.path)
