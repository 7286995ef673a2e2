"""Hypothesis is imported before the package, and draws the package's types all the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import Layout, PoolTag, PoolType

quick = settings(derandomize=True, database=None, deadline=None, max_examples=30)


@quick
@given(st.from_type(PoolTag))
def test_tags_are_drawn(tag: PoolTag) -> None:
    assert type(tag) is PoolTag
    assert PoolTag(int(tag)) == tag
    assert 0 <= tag < 1 << 32


@quick
@given(st.from_type(Layout), st.from_type(PoolType))
def test_layouts_and_pool_types_are_drawn(layout: Layout, pool_type: PoolType) -> None:
    assert layout.align & layout.align - 1 == 0
    assert PoolType(int(pool_type)) is pool_type
