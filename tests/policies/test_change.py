"""Change: found where there is one, and hardly ever where there is none."""

import numpy as np

from policies.bandits.change import History

LOOKS, LABELS = 400, 5


def looks(means: list[float], after: list[float], seed: int, decay: float = 1.0) -> list[int]:
    """The looks at which a change was found; the means change half-way. Six labels in ten go to the first arm."""
    rng, history, found = np.random.default_rng(seed), History(), []
    n, s = np.zeros(len(means)), np.zeros(len(means))
    for look in range(LOOKS):
        now = np.array(means if look < LOOKS // 2 else after)
        arms = np.where(rng.random(LABELS) < 0.6, 0, rng.integers(0, len(means), LABELS))
        good = rng.random(LABELS) < now[arms]
        n = n * decay + np.bincount(arms, minlength=len(means))
        s = s * decay + np.bincount(arms, good, minlength=len(means))
        if history.changed(n, s, s, decay):
            found.append(look)
            n, s, history = n * 0.1, s * 0.1, History()
    return found


def test_where_nothing_changes_hardly_anything_is_found() -> None:
    alarms = [len(looks([0.7, 0.6, 0.5], [0.7, 0.6, 0.5], seed, 0.998)) for seed in range(40)]
    assert sum(alarms) <= 4  # .06 a cell in 400 looks are promised: more than 4 in 40 happen once in 100 times


def test_a_change_is_found_soon_after_it_and_once() -> None:
    for seed in range(10):
        found = looks([0.7, 0.6, 0.5], [0.45, 0.6, 0.5], seed, 0.998)
        assert [f for f in found if f >= LOOKS // 2]
        assert len(found) <= 2
        assert found[-1] < LOOKS // 2 + 150


def test_what_is_forgotten_is_no_change() -> None:
    history, n = History(), np.array([500.0, 300.0])
    for _ in range(100):
        assert not history.changed(n, n * 0.7, n * 0.7, 0.9)
        n = n * 0.9


def test_other_arms_begin_anew() -> None:
    history = History()
    assert not history.changed(np.array([400.0, 400.0]), np.array([300.0, 300.0]), np.array([300.0, 300.0]))
    assert not history.changed(np.array([400.0, 400.0, 90.0]), np.array([20.0, 20.0, 0.0]), np.array([20.0, 20.0, 0.0]))


def test_nothing_and_nonsense_are_no_change() -> None:
    history, zero = History(), np.zeros(3)
    assert not history.changed(zero, zero, zero)
    assert not history.changed(zero, zero, zero)
    assert not history.changed(np.array([np.inf, np.nan, 1.0]), zero, zero)
