"""Any policy, on a list as plain as can be: a call at a time, a scan in each second that has one."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim.advise.counted import CountedList, call_lists, make_lists
from lookaside_sim.advise.policy import Policy
from lookaside_sim.advise.words import ALLOCATE, FREE
from tests.advise.brute import fixed

some = st.integers(0, 60)
all_policies = st.builds(
    Policy,
    fixed_depth=st.none() | some,
    minimum_depth=some,
    maximum_depth=st.sampled_from([0, 10, 64, 256, 0xFFFF]),
    period=st.integers(1, 5),
    idle_rate=st.integers(0, 200),
    idle_step=some,
    calm_step=some,
    miss_ratio=st.integers(0, 1000),
    growth_base=some,
    growth_limit=some,
)
bursts = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 400), st.integers(0, 100)), max_size=12
)


class Plain:
    """The list, and what it counted."""

    def __init__(self, policy: Policy, *, paged: bool) -> None:
        self.policy, self.paged = policy, paged
        self.depth = policy.first_depth
        self.held = self.most_held = self.second = 0
        self.allocates = self.allocate_misses = self.frees = self.free_misses = 0
        self.last = (0, 0)

    def pass_time(self, second: int) -> None:
        while self.second < second:
            self.second += 1
            before, after = (
                self.policy.scans(each, paged=self.paged)
                for each in (self.second - 1, self.second)
            )
            if after > before:
                allocates, misses = self.last
                self.depth = self.policy.next_depth(
                    self.depth, self.allocates - allocates, self.allocate_misses - misses
                )
                self.last = self.allocates, self.allocate_misses

    def call(self, stream: bytes) -> None:
        held, allocate_misses, free_misses, most = fixed(stream, self.held, self.depth)
        self.held, self.most_held = held, max(most, self.most_held)
        self.allocates += stream.count(ALLOCATE)
        self.frees += stream.count(FREE)
        self.allocate_misses += allocate_misses
        self.free_misses += free_misses


def counters(one: Plain | CountedList) -> tuple[int, ...]:
    if isinstance(one, Plain):
        calls = (one.allocates, one.frees)
    else:
        calls = (one.total_allocates, one.total_frees)
    return (*calls, one.allocate_misses, one.free_misses, one.depth, one.held, one.most_held)


@given(all_policies, st.booleans(), bursts, st.integers(0, 30), st.integers(0, 1 << 30))
def test_any_policy_and_phase(
    policy: Policy, paged: bool, made: list[tuple[int, int, int]], rest: int, seed: int
) -> None:
    random = Random(seed)
    plain, lists = Plain(policy, paged=paged), make_lists(policy, paged=paged)
    second = 0
    for pause, calls, share in made:
        second += pause
        stream = bytes(random.randrange(100) < share for _ in range(calls))
        plain.pass_time(second)
        plain.call(stream)
        call_lists(lists, second, stream, policy)
        assert counters(lists[0]) == counters(plain)
    plain.pass_time(second + rest)
    lists[0].pass_time(second + rest)
    assert counters(lists[0]) == counters(plain)
