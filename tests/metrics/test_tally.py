"""Sums that forget: order, splits and time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.tally import EPOCH, HALF_LIFE, Slot, Sums, Tally, correction, decay, epoch_of, growth, reward

START = 1_790_000_000.0
rewards = st.lists(
    st.tuples(
        st.sampled_from(["0.1", "0.3"]),
        st.sampled_from(["rating", "latency"]),
        st.floats(START, START + 30 * 86_400),
        st.floats(0, 1),
    ),
    max_size=40,
)
Rewards = list[tuple[str, str, float, float]]


def added(events: Rewards, parts: int) -> dict[Slot, Tally]:
    replicas = [Sums(1_000) for _ in range(parts)]
    for n, (arm, signal, at, value) in enumerate(events):
        assert replicas[n % parts].add(*reward("cell", arm, signal, at, value))
    total = Sums(1_000)
    for replica in replicas:
        for slot, tally in replica.take().items():
            total.add(slot, tally)
    return total.take()


@given(rewards, st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_order_and_any_split_over_replicas_give_the_same_sums(
    events: Rewards, parts: int, rng: random.Random
) -> None:
    shuffled = list(events)
    rng.shuffle(shuffled)
    one, other = added(events, 1), added(shuffled, parts)
    assert one.keys() == other.keys()
    for slot, tally in one.items():
        assert other[slot] == pytest.approx(tally, rel=1e-12)


@given(st.floats(0, 4e9))
def test_a_reward_weighs_one_when_given_and_half_a_half_life_later(at: float) -> None:
    assert growth(at) * decay(epoch_of(at), at) == pytest.approx(1)
    assert growth(at) * decay(epoch_of(at), at + HALF_LIFE) == pytest.approx(0.5)


@given(st.floats(0, 4e9))
def test_weights_stay_where_sums_are_exact(at: float) -> None:
    assert 1 <= growth(at) <= 2**16


def test_the_change_of_an_epoch_does_not_change_what_a_reward_weighs() -> None:
    edge = (epoch_of(START) + 1) * EPOCH
    before, after = edge - 1, edge + 1
    assert growth(before) * decay(epoch_of(before), after) == pytest.approx(1, rel=1e-4)
    assert epoch_of(before) + 1 == epoch_of(after)


def test_a_correction_leaves_what_the_right_reward_would_have_left() -> None:
    sums = Sums(10)
    sums.add(*reward("cell", "a", "regenerate", START, 1.0))
    sums.add(*correction("cell", "a", "regenerate", START, 1.0, 0.0))
    slot, tally = reward("cell", "a", "regenerate", START, 0.0)
    assert sums.take() == {slot: pytest.approx(tally)}


def test_sums_refuse_one_slot_too_many_and_go_on_with_the_ones_they_have() -> None:
    sums = Sums(1)
    assert sums.add(Slot("c", 0, "a", "x"), Tally(1, 1, 1))
    assert not sums.add(Slot("c", 0, "b", "x"), Tally(1, 1, 1))
    assert sums.add(Slot("c", 0, "a", "x"), Tally(1, 0, 0))
    assert sums.take() == {Slot("c", 0, "a", "x"): Tally(2, 1, 1)}
