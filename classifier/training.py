"""Training: a linear model over words and characters, pruned, calibrated on sources that it has not seen."""

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
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from classifier import corpus, features
from classifier.calibration import THRESHOLD, calibrated, softmax
from classifier.corpus import Row
from classifier.envelope import opened
from classifier.errors import CorpusError
from classifier.evaluation import Scores, confusion, score
from classifier.model import FORMAT, HEAD_MARK, Classifier
from classifier.tasks import load_tasks

FEATURES = 30_000
SINGLE = 2.0  # how much more a single word counts than a pair when features are picked: short asks consist of them
STRENGTH = 6.0  # inverse regularisation; 3 and 12 are as right on sources left out, within noise
FOLDS = 5
FEWEST_SOURCES = 5
PLENTY = 120  # rows of one task in one source; more of the same count for less

Array = NDArray[np.float64]
Grams = tuple[list[str], list[str]]  # of a text's body and head
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
    grams = [_grams(t) for t in texts]
    said = _out_of_source(rows, texts, grams, labels, progress)
    temperature, threshold = calibrated(said, rows, labels) if said is not None else (1.0, THRESHOLD)
    progress("training on all rows")
    linear = _fit(rows, grams, labels)
    report = _report(rows, said, labels, temperature)
    _write(out, linear, _manifest(rows, labels, temperature, threshold, report))
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


def _fit(rows: Sequence[Row], grams: Sequence[Grams], labels: Sequence[str]) -> _Linear:
    """Fit on the features that tell tasks apart best."""
    parts = [TfidfVectorizer(analyzer=_given, sublinear_tf=True, min_df=2, dtype=np.float32) for _ in range(2)]
    xs = [part.fit_transform([g[i] for g in grams]) for i, part in enumerate(parts)]
    names = [part.get_feature_names_out() for part in parts]
    y = np.array([labels.index(r.task) for r in rows])
    sample = weights_of(rows)
    single = np.array([" " not in n for part in names for n in part])
    kept = _telling(hstack(xs).tocsr(), y, sample, single)
    bodies = xs[0].shape[1]
    own = kept[kept < bodies], kept[kept >= bodies] - bodies
    # Lengths must be as they will be served: norms are taken over the features that are left.
    x = hstack([_unit(part[:, k]) for part, k in zip(xs, own, strict=True)]).tocsr()
    fitted = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(x, y, sample_weight=sample)
    coef, bias = fitted.coef_, fitted.intercept_
    if len(labels) == 2:  # scikit-learn keeps one row for two
        coef, bias = np.vstack([-coef, coef]), np.array([0.0, bias[0]])
    idf = np.concatenate([part.idf_[k] for part, k in zip(parts, own, strict=True)])
    return _Linear([*names[0][own[0]], *(HEAD_MARK + n for n in names[1][own[1]])], idf, coef.T, bias)


def _telling(x: csr_matrix, y: NDArray[np.int_], sample: Array, single: NDArray[np.bool_]) -> NDArray[np.int_]:
    """The features whose mass in some task is furthest from that task's share, in units of its spread (as chi-square has it).

    On sources left out as good as keeping the largest coefficients of a first fit (.65 and .66 right: gaps under .02 are
    noise there), in less than half the time.
    """
    tasks = np.eye(int(y.max()) + 1)[y] * sample[:, None]
    share = tasks.sum(axis=0) / sample.sum()
    surplus = np.abs(x.T @ (tasks - sample[:, None] * share))
    score = (surplus / np.sqrt(np.maximum(x.T @ sample, 1e-9)[:, None] * share)).max(axis=1) * np.where(
        single, SINGLE, 1
    )
    kept: NDArray[np.int_] = np.sort(np.argsort(-score, kind="stable")[:FEATURES])
    return kept


def _unit(x: csr_matrix) -> csr_matrix:
    norms = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
    return x.multiply((1.0 / np.where(norms > 0, norms, 1.0))[:, None]).tocsr()


def _grams(text: str) -> Grams:
    text = features.arranged(text)
    return features.body(features.tokens(text)), features.head(text)


def _given(grams: list[str]) -> list[str]:
    return grams


def _out_of_source(
    rows: Sequence[Row], texts: Sequence[str], grams: Sequence[Grams], labels: Sequence[str], progress: Progress
) -> Array | None:
    """(rows, tasks) logits, each by a model that has not seen the row's source; None with too few sources."""
    groups = [r.source for r in rows]
    if len(set(groups)) < FEWEST_SOURCES:
        return None
    logits = np.zeros((len(rows), len(labels)))
    for fold, (seen, unseen) in enumerate(GroupKFold(FOLDS).split(texts, groups=groups), 1):
        progress(f"fold {fold} of {FOLDS}: {len(unseen)} rows of sources left out")
        linear = _fit([rows[i] for i in seen], [grams[i] for i in seen], labels)
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


def _report(rows: Sequence[Row], logits: Array | None, labels: Sequence[str], temperature: float) -> Report:
    sources = len({r.source for r in rows})
    if logits is None:
        return Report(len(rows), sources, None, {}, "")
    p = softmax(logits / temperature)
    said, sure = np.array([labels[i] for i in p.argmax(axis=1)]), p.max(axis=1)
    truth = np.array([r.task for r in rows])
    by = {lang: np.array([r.lang == lang for r in rows]) for lang in sorted({r.lang for r in rows})}
    languages = {lang: score(list(truth[m]), list(said[m]), sure[m]) for lang, m in by.items()}
    return Report(
        len(rows), sources, score(list(truth), list(said), sure), languages, confusion(list(truth), list(said))
    )


def _manifest(
    rows: Sequence[Row], labels: Sequence[str], temperature: float, threshold: float, report: Report
) -> dict[str, Any]:
    count = Counter((r.source, r.license) for r in rows)
    return {
        "format": FORMAT,
        "labels": list(labels),
        "temperature": round(temperature, 4),
        "threshold": threshold,
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
