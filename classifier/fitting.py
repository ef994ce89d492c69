"""Fitting: labelled prompts to a linear model. No source and no language drowns the others."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from classifier.corpus import Row
from classifier.model import Linear
from classifier.vocabulary import Document, Vocabulary, chosen

FEATURES = 45_000
STRENGTH = 4.0  # inverse regularisation; 3 and 6 are as right on sources left out, within noise
PLENTY = 60  # rows of one task in one source; more of the same count for less
TRUST = 3.0  # what a prompt written and labelled for its task counts, against one that has its label from its source

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
    """Fit on the features that tell tasks apart best."""
    y, sample = np.array([labels.index(r.task) for r in rows]), weights_of(rows)
    vocabulary = chosen(documents, y, sample, FEATURES)
    fitted = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(
        vocabulary.rows(documents), y, sample_weight=sample
    )
    coef, bias = fitted.coef_, fitted.intercept_
    if len(labels) == 2:  # scikit-learn keeps one row for two
        coef, bias = np.vstack([-coef, coef]), np.array([0.0, bias[0]])
    return vocabulary, linear(vocabulary, coef.T, bias)


def linear(vocabulary: Vocabulary, coefficients: Array, bias: Array) -> Linear:
    """What is served, from `coefficients` (features, tasks) over the vocabulary's rows."""
    return Linear(
        vocabulary.keys,
        vocabulary.idf.astype(np.float32),
        np.ones(len(vocabulary.keys), np.float32),
        (coefficients * vocabulary.scale[:, None]).astype(np.float32),
        bias.astype(np.float32),
    )
