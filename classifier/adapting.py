"""Adapting: from a trained model to one that knows a user's own tasks and corrections too, and forgets nothing for them."""

import gzip
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import vstack
from sklearn.model_selection import StratifiedKFold

from classifier import corpus
from classifier.ask import read_text
from classifier.corpus import Row
from classifier.envelope import opened
from classifier.errors import ArtefactError, CorpusError, WorseError
from classifier.fitting import added, corrected, linear, weights_of
from classifier.labels import Label
from classifier.model import ARTEFACT, Classifier, Linear
from classifier.spelling import joined
from classifier.tasks import FOLDER, load_tasks
from classifier.training import manifest_of, write
from classifier.vocabulary import Document, document, extended, names

COST = 0.01  # how much of its accuracy on the validation set a model may lose
FOLDS = 5
FEWEST_FOLDED = 5  # rows of a task, to say how well it is told

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """How well a task of the user's is told, on rows that were left out: shares in [0, 1]."""

    task: str
    rows: int
    recall: float
    precision: float


@dataclass(frozen=True, slots=True)
class Adapted:
    """What adapting came to: accuracy on the shipped validation set, and on the user's rows as they were left out."""

    rows: int
    before: float
    after: float
    own: tuple[TaskScore, ...]

    def __str__(self) -> str:
        said = [
            f"{self.rows} rows of your own",
            f"shipped tasks, on the validation set: {self.before:.3f} right before, {self.after:.3f} after",
        ]
        said += [
            f"{s.task}, {s.rows} rows left out in {FOLDS} folds: recall {s.recall:.2f}, precision {s.precision:.2f}"
            for s in self.own
        ]
        return "\n".join(said)


def adapt(
    data: Sequence[Path],
    out: Path,
    tasks: Path | None = None,
    base: Path | None = None,
    labels: Sequence[Label] = (),
    force: bool = False,
    progress: Progress = lambda said: None,
) -> Adapted:
    """Fit the model at `base` (the shipped one) on to task files, JSONL and labels from traffic, and write the artefact.

    Raises TasksError, CorpusError, ArtefactError, and WorseError where the validation set says that more was lost than COST
    and it is not forced.
    """
    model, spelled = Classifier.load(base), _spelled(base or ARTEFACT)
    files = load_tasks(tasks, least=1) if tasks else ()
    known = [*model.tasks, *sorted({t.name for t in files} - set(model.tasks))]
    own = [_opened(r) for r in corpus.examples(files) + corpus.cues(files) + corpus.read(data, None)]
    known += sorted({r.task for r in own} - set(known))
    found = [label for label in labels if label.task in known]
    if not own and not found:
        raise CorpusError("nothing to learn from: give --data, --tasks or --from-traffic")
    rows = own + [Row("", label.task, label.language, "traffic", "own", own=True) for label in found]
    texts = [document(r.text) for r in own]
    documents = texts + [label.document(model.linear.keys) for label in found]
    replayed = _replayed(model.tasks)
    progress(f"{len(rows)} rows of your own beside {len(replayed)} shipped ones")
    learner = _Learner(model, known, texts, replayed)
    scores = _left_out(rows, documents, learner, progress)
    progress("fitting on all rows")
    fitted = learner.fit(rows, documents)
    fresh = Classifier({**model.manifest, "labels": known}, fitted)
    before, after = _validated(model), _validated(fresh)
    if before - after > COST and not force:
        raise WorseError(
            f"on the validation set {before:.3f} of the shipped tasks were right before and {after:.3f} would be after: more "
            f"than {COST} is lost, and nothing was written. Look for rows whose task is not what they ask for; --force writes "
            "it anyway"
        )
    adapted = Adapted(len(rows), before, after, scores)
    told = names(learner.vocabulary, [r.text for r in own], dict(zip(model.linear.keys.tolist(), spelled, strict=True)))
    words = joined(model.words, [r.text for r in own])
    write(out, fitted, told, words, _manifest(model, known, rows, adapted))
    Classifier.load(out)
    return adapted


class _Learner:
    """Fits a model on: first what it knows, if rows correct it, then each new task beside that."""

    def __init__(
        self, model: Classifier, known: Sequence[str], texts: Sequence[Document], replayed: Sequence[Row]
    ) -> None:
        base = model.linear
        self.known, self.old, self.replayed = list(known), len(model.tasks), list(replayed)
        documents = [document(r.text) for r in replayed]
        self.vocabulary, places = extended(
            base.keys, base.idf.astype(np.float64), base.of_body, texts, len(documents) + len(texts)
        )
        self._x = self.vocabulary.rows(documents)
        self._before = np.zeros((len(self.vocabulary.keys) + 1, self.old))
        self._before[places] = base.weights / self.vocabulary.scale[places, None]
        self._before[-1] = base.bias

    def fit(self, rows: Sequence[Row], documents: Sequence[Document]) -> Linear:
        """The model with these rows."""
        y = np.array([self.known.index(r.task) for r in [*self.replayed, *rows]])
        x = vstack([self._x, self.vocabulary.rows(documents)]).tocsr()
        w, of_old = self._before, y < self.old
        if of_old[len(self.replayed) :].any():
            seen = [r for r, old in zip([*self.replayed, *rows], of_old, strict=True) if old]
            w = corrected(x[of_old], y[of_old], weights_of(seen), w)
        for task in range(self.old, len(self.known)):
            of_these = (y < self.old) | (y == task)
            coefficients, bias = added(
                x[of_these], y[of_these] == task, x[of_these] @ w[:-1, : self.old] + w[-1, : self.old]
            )
            w = np.column_stack([w, np.append(coefficients, bias)])
        return linear(self.vocabulary, w[:-1], w[-1])


def _opened(row: Row) -> Row:
    return replace(row, text=opened(row.text), own=True)


def _replayed(known: Sequence[str]) -> list[Row]:
    """The shipped prompts, so that what was known is seen again."""
    rows = corpus.shipped(frozenset(known)) + corpus.examples(load_tasks(FOLDER))
    return [_opened(r) for r in rows if r.task in known]


def _left_out(
    rows: Sequence[Row], documents: Sequence[Document], learner: _Learner, progress: Progress
) -> tuple[TaskScore, ...]:
    """How well each task of the user's rows is told when it is left out; tasks with few rows are not scored."""
    often = Counter(r.task for r in rows)
    scored = sorted(t for t, n in often.items() if n >= FEWEST_FOLDED)
    if not scored:
        return ()
    said = [""] * len(rows)
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    strata = [r.task if r.task in scored else "few" for r in rows]
    for fold, (seen, unseen) in enumerate(split.split(strata, strata), 1):
        progress(f"fold {fold} of {FOLDS}")
        model = learner.fit([rows[i] for i in seen], [documents[i] for i in seen])
        for i in unseen:
            scores = model.scores(*model.places(np.concatenate(documents[i]), len(documents[i][0])))
            said[i] = learner.known[int(np.argmax(scores))] if scores else ""
    pairs = list(zip([r.task for r in rows], said, strict=True))
    hits = Counter(t for t, s in pairs if t == s)
    return tuple(TaskScore(t, often[t], hits[t] / often[t], hits[t] / max(said.count(t), 1)) for t in scored)


def _validated(model: Classifier) -> float:
    """The share of the validation prompts of which the verdict is right, leniently."""
    rows = corpus.validation()
    right = [model.classify(read_text(r.text)).task in (r.task, *r.accept) for r in rows if r.task in model.tasks]
    return sum(right) / len(right)


def _spelled(folder: Path) -> list[str]:
    try:
        return gzip.decompress((folder / "vocabulary.txt.gz").read_bytes()).decode("utf-8").split("\n")
    except (OSError, ValueError, EOFError) as e:
        raise ArtefactError(
            f"{folder}: its vocabulary cannot be read: {e}; train it again with `setpoint train`"
        ) from e


def _manifest(model: Classifier, known: Sequence[str], rows: Sequence[Row], adapted: Adapted) -> dict[str, Any]:
    fresh = manifest_of(rows, known, float(model.manifest["temperature"]), float(model.manifest["threshold"]), {})
    return fresh | {"adapted_from": model.digest, "adapted": asdict(adapted)}
