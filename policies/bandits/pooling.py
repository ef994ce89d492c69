"""Pooling: what cells of one task on other models, or of other tenants, have learned is where a cell begins.

A cell's curve is a shape that all have in common and a deviation of its own, both Gaussian processes over the arms. How much is
in common is learned too, from how well each share of it explains what all cells have earned (its marginal likelihood): cells
that have nothing in common leave one another alone. Levels are never pooled: one model's answers may be liked better than
another's at every value. The cost grows with the number of cells, not with its cube: each tells the common shape what it knows
as precision, and what it told itself is taken out again for its own prior.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.bandits.curve import LEVEL_SD, expected, kernel, noise_of
from policies.bandits.evidence import Evidence, Prior

Array = NDArray[np.float64]

COMMON = np.array([0.0, 0.3, 0.6, 0.8, 0.95])  # shares of a curve's variance that all cells have in common
BELIEF = np.array([0.4, 0.15, 0.15, 0.15, 0.15])  # in each of them, before anything was seen
PLACES = 24  # along the axis; with arms at more of them nothing is pooled
UNSEEN = 1e6  # variance of what was not seen


class Member(NamedTuple):
    """A cell that may learn from others: its arms, and the baseline's index."""

    arms: Sequence[Evidence]
    baseline: int


class _Rewards(NamedTuple):
    """(cells, places) rewards beside what was expected of them, 0 where nothing was seen, and the variance of their means; labels, and
    rewards beside the baseline's, times labels."""

    off: Array
    noise: Array
    n: Array
    beside: Array


def pool(cells: Sequence[Member]) -> list[Prior | None]:
    """One prior for each cell; None for all where there is nothing to learn from others."""
    places = sorted({arm.position for cell in cells for arm in cell.arms})
    informed = sum(any(arm.n > 0 for arm in cell.arms) for cell in cells)
    if len(cells) < 2 or informed == 0 or len(places) > PLACES:
        return [None] * len(cells)
    where = [np.array([places.index(arm.position) for arm in cell.arms]) for cell in cells]
    rewards = _rewards(cells, where, len(places))
    mean, cov, alike = _from_others(rewards, kernel(np.array(places)))
    n, beside = rewards.n.sum(axis=0) - rewards.n, rewards.beside.sum(axis=0) - rewards.beside
    beside = beside / np.maximum(n, 1e-9)
    return [Prior(mean[m, at], cov[m][np.ix_(at, at)], alike * n[m, at], beside[m, at]) for m, at in enumerate(where)]


def _rewards(cells: Sequence[Member], where: Sequence[NDArray[np.int_]], size: int) -> _Rewards:
    off, noise, labels, more = (np.zeros((len(cells), size)) for _ in range(4))
    noise += UNSEEN
    for m, (cell, at) in enumerate(zip(cells, where, strict=True)):
        n = np.array([arm.n for arm in cell.arms])
        seen = n > 1e-9
        if seen.any():
            beside = np.array([arm.mean for arm in cell.arms])[seen] - expected(cell.arms, cell.baseline)[seen]
            off[m, at[seen]] = beside - np.average(beside, weights=n[seen])
            noise[m, at[seen]] = noise_of(cell.arms)[seen]
        own = cell.arms[cell.baseline]
        if own.n > 1:
            labels[m, at] = n
            more[m, at] = n * (np.array([arm.mean for arm in cell.arms]) - own.mean)
    return _Rewards(off, noise, labels, more)


def _from_others(rewards: _Rewards, shape: Array) -> tuple[Array, Array, float]:
    """(cells, places) mean and (cells, places, places) covariance of each cell's shape as the others know it, over all shares in
    common by how likely they are, and the mean of these. Axes below: shares, cells, places, places."""
    rho, unit = COMMON[:, None, None], np.eye(len(shape))
    common = rho * shape
    own = LEVEL_SD**2 + ((1 - rho) * shape)[:, None] + unit * rewards.noise[None, :, None, :]
    told = np.linalg.inv(own)
    weighted = np.einsum("rmij,mj->rmi", told, rewards.off)
    told_all, weighted_all = told.sum(axis=1), weighted.sum(axis=1)
    inner = unit + common @ told_all
    drawn = np.linalg.solve(inner, (common @ weighted_all[..., None]))[..., 0]
    fit = -0.5 * (np.einsum("rmi,mi->r", weighted, rewards.off) + np.linalg.slogdet(own)[1].sum(axis=1))
    fit += 0.5 * ((weighted_all * drawn).sum(axis=1) - np.linalg.slogdet(inner)[1])
    likely = BELIEF * np.exp(fit - fit.max())
    likely /= likely.sum()
    without = unit + common[:, None] @ (told_all[:, None] - told)
    cov = np.linalg.solve(without, np.broadcast_to(common[:, None], without.shape))
    mean = np.einsum("rmij,rmj->rmi", cov, weighted_all[:, None] - weighted)
    middle = np.einsum("r,rmi->mi", likely, mean)
    apart = mean - middle
    cov = (cov + cov.swapaxes(2, 3)) / 2 + ((1 - rho) * shape)[:, None] + apart[..., :, None] * apart[..., None, :]
    return middle, np.einsum("r,rmij->mij", likely, cov), float(likely @ COMMON)
