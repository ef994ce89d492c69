"""Pooling: what cells of one task on other models, or of other tenants, have learned is where a cell begins.

A cell's curve is a shape that all have in common and a deviation of its own, both Gaussian processes over the arms; how much is in
common is learned with them, from how well each share of it explains what all cells have earned (its marginal likelihood). Cells
that have nothing in common leave one another alone. Levels are never pooled: one model's answers may be liked better than
another's at every value. The cost grows with the number of cells, not with its cube: each tells the common shape what it knows in
information form, and takes out what it told itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.bandits.curve import LEVEL_SD, expected, kernel, noise_of
from policies.bandits.evidence import Evidence, Prior

Array = NDArray[np.float64]

COMMON = (0.0, 0.3, 0.6, 0.8, 0.95)  # shares of a curve's variance that all cells have in common
BELIEF = (0.4, 0.15, 0.15, 0.15, 0.15)  # in each of them before anything was seen
PLACES = 24  # of arms along the axis; cells with arms beyond so many are left to themselves


class _Told(NamedTuple):
    """What a cell tells of the common shape: precision (places, places), and precision times mean (places,)."""

    precision: Array
    weighted: Array


def pool(cells: Sequence[tuple[Sequence[Evidence], int]]) -> list[Prior | None]:
    """One prior for each cell, (arms, the baseline's index); None for one that learns nothing from the others."""
    places = sorted({a.position for arms, _ in cells for a in arms})
    if len(cells) < 2 or len(places) > PLACES or sum(any(a.n > 0 for a in arms) for arms, _ in cells) < 1:
        return [None] * len(cells)
    where = [np.array([places.index(a.position) for a in arms]) for arms, _ in cells]
    shape = kernel(np.array(places))
    fits = [_fit(cells, where, shape, rho) for rho in COMMON]
    likely = np.array([fit[0] for fit in fits]) + np.log(BELIEF)
    weights = np.exp(likely - likely.max())
    weights /= weights.sum()
    return [_mixed([fit[1][m] for fit in fits], weights, where[m], shape) for m in range(len(cells))]


def _fit(
    cells: Sequence[tuple[Sequence[Evidence], int]], where: Sequence[NDArray[np.int_]], shape: Array, rho: float
) -> tuple[float, list[tuple[Array, Array]]]:
    """The log marginal likelihood of a share in common, and for each cell the (places,) mean and (places, places) covariance of
    its curve, without its level, as the other cells see it."""
    told, fits = [], 0.0
    for (arms, baseline), at in zip(cells, where, strict=True):
        one, fit = _tells(arms, baseline, at, shape, rho)
        told.append(one)
        fits += fit
    common, unit = rho * shape, np.eye(len(shape))
    precision = np.sum([t.precision for t in told], axis=0)
    weighted = np.sum([t.weighted for t in told], axis=0)
    inner = unit + common @ precision
    fits += 0.5 * weighted @ np.linalg.solve(inner, common @ weighted) - 0.5 * np.linalg.slogdet(inner)[1]
    out = []
    for one in told:
        cov = np.linalg.solve(unit + common @ (precision - one.precision), common)
        out.append((cov @ (weighted - one.weighted), (cov + cov.T) / 2 + (1 - rho) * shape))
    return float(fits), out


def _tells(
    arms: Sequence[Evidence], baseline: int, at: NDArray[np.int_], shape: Array, rho: float
) -> tuple[_Told, float]:
    size = len(shape)
    seen = np.array([a.n > 1e-9 for a in arms])
    precision, weighted = np.zeros((size, size)), np.zeros(size)
    if not seen.any():
        return _Told(precision, weighted), 0.0
    off, noise = _off(arms, baseline, seen)
    here = at[seen]
    own = LEVEL_SD**2 + (1 - rho) * shape[np.ix_(here, here)] + np.diag(noise)
    inverse = np.linalg.inv(own)
    precision[np.ix_(here, here)] = inverse
    weighted[here] = inverse @ off
    fit = -0.5 * off @ inverse @ off - 0.5 * np.linalg.slogdet(own)[1]
    return _Told(precision, weighted), float(fit)


def _off(arms: Sequence[Evidence], baseline: int, seen: NDArray[np.bool_]) -> tuple[Array, Array]:
    """(seen arms,) rewards beside what was expected, and the variance of their means."""
    n = np.array([a.n for a in arms])[seen]
    off = np.array([a.mean for a in arms])[seen] - expected(arms, baseline)[seen]
    return off - float(np.average(off, weights=n)), noise_of(arms)[seen]


def _mixed(views: Sequence[tuple[Array, Array]], weights: Array, at: NDArray[np.int_], shape: Array) -> Prior:
    mean = sum(w * m for w, (m, _) in zip(weights, views, strict=True))
    cov = sum(w * (c + np.outer(m - mean, m - mean)) for w, (m, c) in zip(weights, views, strict=True))
    return Prior(np.asarray(mean)[at], np.asarray(cov)[np.ix_(at, at)])
