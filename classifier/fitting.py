"""Fitting: labelled prompts to a linear model. No source and no language drowns the others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from classifier.corpus import Row
from classifier.linear import Linear
from classifier.vocabulary import Document, Vocabulary, chosen

FEATURES = 45_000
STRENGTH = 4.0  # inverse regularisation; 3 and 6 are as right on sources left out, within noise
PLENTY = 25  # rows of one task in one source; more of the same count for less
TRUST = 3.0  # what a prompt written and labelled for its task counts, against one that has its label from its source
_NEVER = 100.0  # log-odds
MOST = 60  # iterations of a fit; of a task with 20 examples some 25 are enough, and of rows that say nothing none are

# One more task beside fitted ones, chosen with bench/user_tasks.py: a smaller strength or share finds less at the same cost; to
# take more finds more, and costs the shipped tasks more than the point that a model may lose.
FRESH_STRENGTH = 1.0
SHARE = 0.3
TAKEN = 0.008
FOLDS = 5

Array = NDArray[np.float64]


def weights_of(rows: Sequence[Row]) -> Array:
    """(rows,) weights: many rows of one source and task count for less, and within a language each task counts alike."""
    same = Counter((r.source, r.task) for r in rows)
    raw = np.array([min(1.0, PLENTY / same[r.source, r.task]) ** 0.5 * (TRUST if r.own else 1.0) for r in rows])
    keys = [(r.lang, r.task) for r in rows]
    mass: Counter[tuple[str, str]] = Counter()
    for key, w in zip(keys, raw, strict=True):
        mass[key] += w
    level = sum(mass.values()) / len(mass)
    balanced: Array = raw * np.array([(level / mass[key]) ** 0.5 for key in keys])
    return balanced


def fit(rows: Sequence[Row], documents: Sequence[Document], labels: Sequence[str]) -> tuple[Vocabulary, Linear]:
    """Fit on the features that tell tasks apart best. A label without rows is never the likeliest; two need some."""
    y, sample = np.array([labels.index(r.task) for r in rows]), weights_of(rows)
    vocabulary = chosen(documents, np.unique(y, return_inverse=True)[1], sample, FEATURES)
    fitted = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(
        vocabulary.rows(documents), y, sample_weight=sample
    )
    coef, bias = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # scikit-learn keeps one row for two
        coef, bias = np.vstack([-coef, coef]), np.array([0.0, bias[0]])
    all_coef, all_bias = np.zeros((len(labels), coef.shape[1])), np.full(len(labels), bias.min() - _NEVER)
    all_coef[fitted.classes_], all_bias[fitted.classes_] = coef, bias
    return vocabulary, linear(vocabulary, all_coef.T, all_bias)


def corrected(x: csr_matrix, y: NDArray[np.int_], sample: Array, before: Array) -> Array:
    """(features + 1, tasks) coefficients, the bias last: fitted on from `before`, which they are drawn to.

    Minimises the weighted log-loss of a multinomial regression + ‖W - W₀‖² / 2C by L-BFGS: what the rows do not speak of stays
    as it was. scikit-learn's regression can only draw to 0.
    """
    target = np.eye(before.shape[1])[y]

    def loss(flat: Array) -> tuple[float, Array]:
        w = flat.reshape(before.shape)
        z = x @ w[:-1] + w[-1]
        p = softmax(z, axis=1)
        off = (p - target) * sample[:, None]
        drawn = w - before
        drawn[-1] = 0.0
        gradient = np.vstack([x.T @ off, off.sum(axis=0)]) + drawn / STRENGTH
        value = -float(sample @ np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)))
        return value + float((drawn * drawn).sum()) / (2 * STRENGTH), gradient.ravel()

    found = minimize(loss, before.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MOST, "ftol": 1e-6})
    fitted: Array = found.x.reshape(before.shape)
    return fitted


@dataclass(frozen=True, slots=True)
class Beside:
    """One more task: its coefficients (features,) and bias, and its log-odds `left_out` (rows,), each by a fit without the row."""

    coefficients: Array
    bias: float
    left_out: Array


def added(x: csr_matrix, mine: NDArray[np.bool_], others: Array, served: csr_matrix) -> Beside:
    """One more task beside fitted ones, whose log-odds (rows, tasks) stay what they are; `served` are the rows as serving
    reads them, and only judged.

    Against all of them together it is a logistic regression with an offset, and its rows weigh SHARE of all. The bias is then
    set on rows left out in FOLDS folds, so that it takes no more than TAKEN of the others' rows from them.
    """
    rival, best = logsumexp(others, axis=1), others.max(axis=1)
    fold = np.empty(len(mine), np.int_)
    for which in (mine, ~mine):
        fold[which] = np.random.default_rng(0).permutation(int(which.sum())) % FOLDS
    whole = _beside(x, mine, rival)
    margin, left_out = np.empty(len(mine)), np.empty(len(mine))
    for n in range(FOLDS):
        kept, left = fold != n, fold == n
        w = _beside(x[kept], mine[kept], rival[kept], whole) if mine[kept].any() else whole
        margin[left] = x[left] @ w[:-1] + w[-1] - best[left]
        left_out[left] = served[left] @ w[:-1] + w[-1]
    bar = float(np.quantile(margin[~mine], 1 - TAKEN))
    return Beside(whole[:-1], float(whole[-1]) - bar, left_out - bar)


def _beside(x: csr_matrix, mine: NDArray[np.bool_], rival: Array, start: Array | None = None) -> Array:
    sample = np.where(mine, SHARE * (~mine).sum() / mine.sum(), 1.0)
    sign = np.where(mine, 1.0, -1.0)

    def loss(w: Array) -> tuple[float, Array]:
        z = sign * (x @ w[:-1] + w[-1] - rival)
        off = -sign * expit(-z) * sample
        gradient = np.append(x.T @ off + w[:-1] / FRESH_STRENGTH, off.sum())
        return float(sample @ np.logaddexp(0.0, -z)) + float(w[:-1] @ w[:-1]) / (2 * FRESH_STRENGTH), gradient

    begin = np.zeros(x.shape[1] + 1) if start is None else start
    found: Array = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": MOST, "ftol": 1e-7}).x
    return found


def linear(vocabulary: Vocabulary, coefficients: Array, bias: Array) -> Linear:
    """What is served, from `coefficients` (features, tasks) over the vocabulary's rows. Every feature counts as evidence."""
    return Linear(
        vocabulary.keys,
        vocabulary.idf.astype(np.float32),
        np.ones(len(vocabulary.keys), np.float32),
        (coefficients * vocabulary.scale[:, None]).astype(np.float32),
        bias.astype(np.float32),
        vocabulary.of_body,
    )
