"""Adapting: from a trained model to one that knows a user's own tasks and corrections too, and forgets nothing for them."""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from classifier import corpus
from classifier.ask import read_text
from classifier.corpus import Row
from classifier.envelope import opened
from classifier.errors import ArtefactError, CorpusError, WorseError
from classifier.fitting import Array, added, corrected, linear, weights_of
from classifier.labels import Label
from classifier.model import ARTEFACT, Classifier, Linear
from classifier.sifting import Sifted, sifted
from classifier.spelling import joined
from classifier.tasks import FOLDER, load_tasks
from classifier.training import manifest_of, write
from classifier.vocabulary import Document, document, extended, names

COST = 0.01  # how much of its accuracy on the validation set a model may lose
FOLDS = 3  # of corrections, to say what they teach about rows that were left out
FEWEST = 3  # rows of a new task

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """How well a new task is told, on rows left out: the share of its own that is found, and the share of the shipped prompts
    of other tasks that it takes."""

    task: str
    rows: int
    found: float
    taken: float


@dataclass(frozen=True, slots=True)
class Adapted:
    """What adapting came to: accuracy on the shipped validation set, new tasks, and the share of corrections of known tasks
    that the model gets right, before, and after on rows left out."""

    rows: int
    before: float
    after: float
    added: tuple[TaskScore, ...]
    corrections: int
    corrected_before: float
    corrected_after: float
    left_out: tuple[str, ...] = ()  # labels from traffic that taught nothing, a line a reason

    def __str__(self) -> str:
        said = [
            f"{self.rows} rows of your own",
            *self.left_out,
            f"shipped tasks, on the validation set: {self.before:.3f} right before, {self.after:.3f} after",
        ]
        said += [
            f"{s.task}: of {s.rows} rows, each left out in turn, {s.found:.0%} are found; "
            f"it takes {1000 * s.taken:.1f} in 1,000 prompts of other tasks"
            for s in self.added
        ]
        if self.corrections:
            said.append(
                f"corrections: of {self.corrections} rows, left out in {FOLDS} folds, {self.corrected_before:.3f} right before, "
                f"{self.corrected_after:.3f} after"
            )
        return "\n".join(said)


def adapt(
    data: Sequence[Path],
    out: Path,
    tasks: Path | None = None,
    base: Path | None = None,
    labels: Sequence[Label] | None = None,
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
    traffic = sifted(labels or (), known, model.linear.keys)
    few = next((t for t in known[len(model.tasks) :] if sum(r.task == t for r in own) < FEWEST), None)
    if few:
        raise CorpusError(f"the new task {few} has fewer than {FEWEST} examples; 10 to 50 are a good number")
    if not own and not traffic.rows:
        raise CorpusError(f"nothing to learn from: {_nothing(labels, traffic)}")
    rows = own + traffic.rows
    texts = [document(r.text) for r in own]
    documents = texts + traffic.documents
    replayed = _replayed(model.tasks)
    progress(f"{len(rows)} rows of your own beside {len(replayed)} shipped ones")
    if not replayed:
        raise CorpusError(
            "the base knows none of the shipped tasks, so there is nothing to hold yours against; train anew with --from-scratch"
        )
    learner = _Learner(model, known, texts, replayed)
    corrections, before, after = learner.judge(rows, documents, progress)
    progress("fitting on all rows")
    fitted, scores = learner.fit(rows, documents)
    right, will_be = (
        _validated(model),
        _validated(Classifier({**model.manifest, "labels": known}, fitted, "", model.words)),
    )
    if right - will_be > COST and not force:
        raise WorseError(
            f"on the validation set {right:.3f} of the shipped tasks were right before and {will_be:.3f} would be after: more "
            f"than {COST} is lost, and nothing was written. Look for rows whose task is not what they ask for; --force writes "
            "it anyway"
        )
    adapted = Adapted(len(rows), right, will_be, scores, corrections, before, after, traffic.said)
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

    def fit(self, rows: Sequence[Row], documents: Sequence[Document]) -> tuple[Linear, tuple[TaskScore, ...]]:
        """The model with these rows, and how well each new task is told."""
        w, scores = self._corrected(rows, documents), []
        y, x = self._all(rows, documents)
        for task in range(self.old, len(self.known)):
            seen = (y < self.old) | (y == task)
            of_old = x[seen] @ w[:-1, : self.old] + w[-1, : self.old]
            beside = added(x[seen], y[seen] == task, of_old)
            w = np.column_stack([w, np.append(beside.coefficients, beside.bias)])
            scores.append(TaskScore(self.known[task], int((y == task).sum()), beside.found, beside.taken))
        return linear(self.vocabulary, w[:-1], w[-1]), tuple(scores)

    def judge(self, rows: Sequence[Row], documents: Sequence[Document], progress: Progress) -> tuple[int, float, float]:
        """(rows that correct what is known, share right before, share right after) with each row left out once."""
        of = [n for n, r in enumerate(rows) if r.task in self.known[: self.old]]
        if len(of) < FOLDS:
            return len(of), 0.0, 0.0
        truth, x = (
            np.array([self.known.index(rows[n].task) for n in of]),
            self.vocabulary.rows([documents[n] for n in of]),
        )
        fold = np.random.default_rng(0).permutation(len(of)) % FOLDS
        said = np.empty(len(of), np.int_)
        for f in range(FOLDS):
            progress(f"corrections: fold {f + 1} of {FOLDS}")
            seen = [of[i] for i in np.flatnonzero(fold != f)]
            w = self._corrected([rows[n] for n in seen], [documents[n] for n in seen])
            said[fold == f] = (x[fold == f] @ w[:-1] + w[-1]).argmax(axis=1)
        before = (x @ self._before[:-1] + self._before[-1]).argmax(axis=1)
        return len(of), float((before == truth).mean()), float((said == truth).mean())

    def _all(self, rows: Sequence[Row], documents: Sequence[Document]) -> tuple[NDArray[np.int_], csr_matrix]:
        y = np.array([self.known.index(r.task) for r in [*self.replayed, *rows]])
        return y, vstack([self._x, self.vocabulary.rows(documents)]).tocsr()

    def _corrected(self, rows: Sequence[Row], documents: Sequence[Document]) -> Array:
        of = [n for n, r in enumerate(rows) if r.task in self.known[: self.old]]
        if not of:
            return self._before
        seen = [rows[n] for n in of]
        y, x = self._all(seen, [documents[n] for n in of])
        return corrected(x, y, weights_of([*self.replayed, *seen]), self._before)


def _nothing(labels: Sequence[Label] | None, traffic: Sifted) -> str:
    if labels is None:
        return "give --data, --tasks or --from-traffic"
    return (
        "; ".join(traffic.said)
        or "the store has kept no corrections; `keep_corrections: true` in setpoint.yaml keeps them"
    )


def _opened(row: Row) -> Row:
    return replace(row, text=opened(row.text), own=True)


def _replayed(known: Sequence[str]) -> list[Row]:
    """The shipped prompts, so that what was known is seen again."""
    rows = corpus.shipped(frozenset(known)) + corpus.examples(load_tasks(FOLDER))
    return [_opened(r) for r in rows if r.task in known]


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
