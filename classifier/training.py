"""Training: a linear model over words and characters, pruned, calibrated on sources that it has not seen, written as arrays."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from classifier import corpus, features
from classifier.corpus import Row
from classifier.envelope import opened
from classifier.errors import CorpusError
from classifier.evaluation import Scores, confusion, score
from classifier.model import FORMAT, HEAD_MARK, Classifier
from classifier.tasks import load_tasks

FEATURES = 30_000
STRENGTH = 6.0  # inverse regularisation: the best of 1, 3, 6, 12 on sources left out
FOLDS = 5
FEWEST_SOURCES = 5
THRESHOLD = 0.35  # below it, out of source, fewer than two in five verdicts are right
PLENTY = 120  # rows of one task in one source; more of the same count for less

Array = NDArray[np.float64]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What training came to. The scores are of sources that the scored model had not seen."""

    rows: int
    sources: int
    scores: Scores | None
    languages: dict[str, Scores]
    confusion: str

    def __str__(self) -> str:
        said = [f"{self.rows} rows of {self.sources} sources"]
        if self.scores is None:
            said.append(f"too few sources to score on ones left out: {FEWEST_SOURCES} are needed")
        else:
            said += [
                f"on sources left out, all: {self.scores}",
                *(f"on sources left out, {lang}: {s}" for lang, s in self.languages.items()),
            ]
        return "\n".join([*said, self.confusion])


@dataclass(frozen=True, slots=True)
class _Linear:
    vocabulary: list[str]
    idf: Array
    weights: Array  # (features, tasks)
    bias: Array


def train(tasks: Path, data: Sequence[Path], out: Path, progress: Progress = lambda said: None) -> Report:
    """Train on the task files and JSONL, write the artefact, and give the report. Raises TasksError, CorpusError."""
    known = load_tasks(tasks)
    labels = [t.name for t in known]
    rows = corpus.examples(known) + corpus.read(data, frozenset(labels))
    rows = list({(r.text, r.task): r for r in rows}.values())
    missing = set(labels) - {r.task for r in rows}
    if missing:
        raise CorpusError(f"no example of {', '.join(sorted(missing))}")
    texts = [opened(r.text) for r in rows]
    progress(f"{len(rows)} rows of {len({r.source for r in rows})} sources")
    said = _out_of_source(rows, texts, labels, progress)
    temperature = _temperature(said, rows, labels) if said is not None else 1.0
    progress("training on all rows")
    linear = _fit(rows, texts, labels, FEATURES)
    report = _report(rows, said, labels, temperature)
    _write(out, linear, _manifest(rows, labels, temperature, report))
    Classifier.load(out)
    return report


def weights_of(rows: Sequence[Row]) -> Array:
    """(rows,) weights: no source drowns the others, and within a language each task counts alike."""
    same = Counter((r.source, r.task) for r in rows)
    raw = np.array([min(1.0, PLENTY / same[r.source, r.task]) ** 0.5 for r in rows])
    keys = [(r.lang, r.task) for r in rows]
    mass: Counter[tuple[str, str]] = Counter()
    for key, w in zip(keys, raw, strict=True):
        mass[key] += w
    level = sum(mass.values()) / len(mass)
    balanced: Array = raw * np.array([(level / mass[key]) ** 0.5 for key in keys])
    return balanced


def _fit(rows: Sequence[Row], texts: Sequence[str], labels: Sequence[str], most: int) -> _Linear:
    """Fit twice: on all features, then on those that weigh most."""
    parts = [TfidfVectorizer(analyzer=f, sublinear_tf=True, min_df=2, dtype=np.float32) for f in (_body, _head)]
    x = hstack([p.fit_transform(texts) for p in parts]).tocsr()
    names = [n for p in parts for n in p.get_feature_names_out()]
    idf = np.concatenate([p.idf_ for p in parts])
    y = np.array([labels.index(r.task) for r in rows])
    sample = weights_of(rows)
    if len(names) > most:
        full = _regression(x, y, sample)
        kept = np.sort(
            np.argsort(-np.abs(full.coef_).max(axis=0) * np.sqrt(np.bincount(x.indices, minlength=x.shape[1])))[:most]
        )
        # Lengths must be as they will be served: norms are taken over the features that are left.
        own = [kept[kept < len(parts[0].idf_)], kept[kept >= len(parts[0].idf_)]]
        x = hstack([_unit(x[:, k]) for k in own]).tocsr()
        names, idf = [names[i] for i in kept], idf[kept]
    fitted = _regression(x, y, sample)
    coef, bias = (
        (fitted.coef_, fitted.intercept_)
        if len(labels) > 2
        else (np.vstack([-fitted.coef_, fitted.coef_]), np.array([0.0, fitted.intercept_[0]]))
    )
    return _Linear(names, idf, coef.T, bias)


def _regression(x: csr_matrix, y: NDArray[np.int_], sample: Array) -> Any:
    return LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(x, y, sample_weight=sample)


def _unit(x: csr_matrix) -> csr_matrix:
    norms = (
        np.sqrt(x.multiply(x).sum(axis=1)).A1
        if hasattr(x.multiply(x).sum(axis=1), "A1")
        else np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
    )
    scale = 1.0 / np.where(norms > 0, norms, 1.0)
    return x.multiply(scale[:, None]).tocsr()


def _body(text: str) -> list[str]:
    return features.body(text)


def _head(text: str) -> list[str]:
    return [HEAD_MARK + gram for gram in features.head(text)]


def _out_of_source(
    rows: Sequence[Row], texts: Sequence[str], labels: Sequence[str], progress: Progress
) -> Array | None:
    """(rows, tasks) logits, each by a model that has not seen the row's source; None with too few sources."""
    groups = [r.source for r in rows]
    if len(set(groups)) < FEWEST_SOURCES:
        return None
    logits = np.zeros((len(rows), len(labels)))
    for fold, (seen, unseen) in enumerate(GroupKFold(FOLDS).split(texts, groups=groups), 1):
        progress(f"fold {fold} of {FOLDS}: {len(unseen)} rows of sources left out")
        linear = _fit([rows[i] for i in seen], [texts[i] for i in seen], labels, FEATURES)
        model = _model(linear, labels)
        for i in unseen:
            p = model.probabilities(texts[i])
            logits[i] = np.log(np.maximum(p, 1e-12)) if p is not None else 0.0
    return logits


def _model(linear: _Linear, labels: Sequence[str]) -> Classifier:
    manifest = {"labels": list(labels), "temperature": 1.0, "threshold": 0.0}
    vocabulary = {w: i for i, w in enumerate(linear.vocabulary)}
    return Classifier(
        manifest,
        vocabulary,
        linear.idf.astype(np.float32),
        linear.weights.astype(np.float32),
        linear.bias.astype(np.float32),
    )


def _temperature(logits: Array, rows: Sequence[Row], labels: Sequence[str]) -> float:
    """The scale at which confidence is honest on sources not seen, each source by the root of its size."""
    y = np.array([labels.index(r.task) for r in rows])
    size = Counter(r.source for r in rows)
    weight = np.array([size[r.source] ** -0.5 for r in rows])

    def loss(temperature: float) -> float:
        z = logits / temperature
        z = z - z.max(axis=1, keepdims=True)
        return float(np.average(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y], weights=weight))

    return float(minimize_scalar(loss, bounds=(0.2, 5), method="bounded").x)


def _report(rows: Sequence[Row], logits: Array | None, labels: Sequence[str], temperature: float) -> Report:
    sources = len({r.source for r in rows})
    if logits is None:
        return Report(len(rows), sources, None, {}, "")
    z = logits / temperature
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    said, sure = np.array([labels[i] for i in p.argmax(axis=1)]), p.max(axis=1)
    truth = np.array([r.task for r in rows])
    by = {lang: np.array([r.lang == lang for r in rows]) for lang in sorted({r.lang for r in rows})}
    languages = {lang: score(list(truth[m]), list(said[m]), sure[m]) for lang, m in by.items()}
    return Report(
        len(rows), sources, score(list(truth), list(said), sure), languages, confusion(list(truth), list(said))
    )


def _manifest(rows: Sequence[Row], labels: Sequence[str], temperature: float, report: Report) -> dict[str, Any]:
    count = Counter((r.source, r.license) for r in rows)
    return {
        "format": FORMAT,
        "labels": list(labels),
        "temperature": round(temperature, 4),
        "threshold": THRESHOLD,
        "corpus": {"rows": len(rows), "digest": corpus.digest(rows)},
        "sources": [{"source": s, "license": licence, "rows": n} for (s, licence), n in sorted(count.items())],
        "scores_on_sources_left_out": {
            "all": report.scores and asdict(report.scores),
            **{lang: asdict(s) for lang, s in report.languages.items()},
        },
        "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
    }


def _write(out: Path, linear: _Linear, manifest: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocabulary.txt.gz").write_bytes(gzip.compress("\n".join(linear.vocabulary).encode(), mtime=0))
    np.savez_compressed(
        out / "model.npz",
        idf=linear.idf.astype(np.float16),
        weights=linear.weights.astype(np.float16),
        bias=linear.bias.astype(np.float32),
    )
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
