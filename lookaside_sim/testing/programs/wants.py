"""What programs for one kind of allocator should have in them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from lookaside_sim.testing.programs.example import BOUNDARY_SIZES, Example

__all__ = ["Wants"]


@attrs.frozen
class Wants:
    """What is worth trying, and what must not be.

    Attributes:
        lists: whether it is a lookaside list, with flush, time and depth.
        sizes: the entry sizes it can be made for; None is any.
        sized: whether requests have a size.
        aligned: whether they have an alignment.
        realloc: whether entries can be given another size.
        misuse: kinds of misuse with a promise: "double_free", "foreign_free", "interior_free".
        depth: how many free entries are kept, if that is a fixed number.
        capacity: how many entries there are, if that is one.
    """

    lists: bool = False
    sizes: Sequence[int] | None = None
    sized: bool = False
    aligned: bool = False
    realloc: bool = False
    misuse: tuple[str, ...] = ()
    depth: int | None = None
    capacity: int | None = None

    def sizes_to_try(self) -> Sequence[int]:
        """Sizes at the boundaries, as far as they are allowed."""
        sizes = self.sizes
        if sizes is None:
            return BOUNDARY_SIZES
        if len(sizes) <= len(BOUNDARY_SIZES):
            return sizes
        within = [size for size in BOUNDARY_SIZES if size in sizes]
        return sorted({sizes[0], sizes[1], sizes[len(sizes) // 2], sizes[-1], *within})

    def fit(self, example: Example) -> Example:
        """The same example in a size that is allowed, the nearest.

        Args:
            example: of any size.
        """
        if self.sizes is None or example.size in self.sizes:
            return example
        tried = self.sizes_to_try()
        return attrs.evolve(example, size=min(tried, key=lambda each: abs(each - example.size)))
