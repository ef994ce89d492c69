"""Adapting: from a trained model to one that knows a user's own tasks and corrections too, and forgets nothing for them."""

import gzip
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from classifier import corpus
from classifier.ask import read_text
from classifier.corpus import Row
from classifier.errors import ArtefactError, CorpusError, OutError, WorseError
from classifier.fitting import FOLDS as FOLDS_OF_ADDED
from classifier.fitting import Array, added, corrected, linear, weights_of
from classifier.judging import document_of, logits_of, verdicts
from classifier.labels import Label
from classifier.linear import Linear
from classifier.model import AGAIN, ARTEFACT, Classifier
from classifier.sifting import Sifted, sifted
from classifier.spelling import Words, joined
from classifier.tasks import FOLDER, load_tasks
from classifier.training import manifest_of, ready, write
from classifier.vocabulary import Document, document, evident, extended, names

COST = 0.01  # how much of its accuracy on the validation set a model may lose
FOLDS = 3  # of corrections, to say what they teach about rows that were left out
FEWEST = 3  # rows of a new task

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """How well a new task is told by verdicts as they are served, on rows left out: the share of its own that is found, and
    the share of the shipped prompts of other tasks that it takes."""

    task: str
    rows: int
    found: float
    taken: float


@dataclass(frozen=True, slots=True)
class Adapted:
    """What adapting came to: accuracy on the shipped validation set, new tasks, and the share of corrections of known tasks
    whose verdict is right, before, and after on rows left out; None of too few. All of verdicts as they are served."""

    rows: int
    before: float
    after: float
    added: tuple[TaskScore, ...]
    corrections: int
    corrected_before: float | None
    corrected_after: float | None
    left_out: tuple[str, ...] = ()  # labels from traffic that taught nothing, a line a reason

    def __str__(self) -> str:
        said = [
            f"{self.rows} rows of your own",
            *self.left_out,
            f"shipped tasks, on the validation set: {self.before:.3f} right before, {self.after:.3f} after",
        ]
        said += [
            f"{s.task}: of {s.rows} rows, left out in {FOLDS_OF_ADDED} folds, {s.found:.0%} are found; "
            f"it takes {1000 * s.taken:.1f} in 1,000 prompts of other tasks"
            for s in self.added
        ]
        if self.corrected_before is not None:
            said.append(
                f"corrections: of {self.corrections} rows, left out in {FOLDS} folds, {self.corrected_before:.3f} right before, "
                f"{self.corrected_after:.3f} after"
            )
        elif self.corrections:
            said.append(f"corrections: {self.corrections}, too few to say what they teach about others")
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

    Raises TasksError, CorpusError, ArtefactError, OutError, and WorseError where the validation set says that more was lost than COST
    and it is not forced.
    """
    if out.resolve() == ARTEFACT.resolve():
        raise OutError(f"{out}: is the shipped artefact, which others go on from; give --out a folder of your own")
    ready(out)
    model = Classifier.load(base)
    known_names = dict(zip(model.linear.keys.tolist(), spelled(base or ARTEFACT, len(model.linear.keys)), strict=True))
    files = load_tasks(tasks, least=1) if tasks else ()
    known = [*model.tasks, *sorted({t.name for t in files} - set(model.tasks))]
    own = _own(corpus.examples(files) + corpus.cues(files) + corpus.read(data, None), progress)
    known += sorted({r.task for r in own} - set(known))
    traffic = sifted(labels or (), known, model.linear.keys)
    few = next((t for t in known[len(model.tasks) :] if sum(r.task == t for r in own) < FEWEST), None)
    if few:
        raise CorpusError(f"the new task {few} has fewer than {FEWEST} examples; 10 to 50 are a good number")
    if not own and not traffic.rows:
        raise CorpusError(f"nothing to learn from: {_nothing(labels, traffic)}")
    rows = own + traffic.rows
    replayed = _replayed(model.tasks, {r.text for r in own})
    progress(f"{len(rows)} rows of your own beside {len(replayed)} shipped ones")
    if not replayed:
        raise CorpusError(
            "the base knows none of the shipped tasks, so there is nothing to hold yours against; train anew with --from-scratch"
        )
    texts = [r.text for r in own]
    learner = _Learner(model, known, _Material(replayed, rows, texts, traffic.documents, joined(model.words, texts)))
    told = names(learner.vocabulary, texts, known_names)
    fitted, scores, corrections = learner.fit(evident(told), progress)
    manifest = {**model.manifest, "labels": known}
    after = Classifier(manifest, fitted, "", learner.material.words)
    right, will_be = _validated(model), _validated(after)
    if right - will_be > COST and not force:
        raise WorseError(
            f"on the validation set {right:.3f} of the shipped tasks were right before and {will_be:.3f} would be after: more "
            f"than {COST} is lost, and nothing was written. Look for rows whose task is not what they ask for; --force writes "
            "it anyway"
        )
    adapted = Adapted(len(rows), right, will_be, scores, *corrections, traffic.said)
    write(out, fitted, told, after.words, _manifest(model, known, rows, adapted))
    Classifier.load(out)
    return adapted


class _Material:
    """What a model is fitted on to: replayed rows first, then one's own. `documents` are what is fitted, `served` how a
    verdict reads the same rows. Labels from traffic have been read by a verdict when they were kept."""

    def __init__(
        self,
        replayed: Sequence[Row],
        rows: Sequence[Row],
        texts: Sequence[str],
        kept: Sequence[Document],
        words: Words,
    ) -> None:
        self.rows, self.replayed, self.words = [*replayed, *rows], len(replayed), words
        self.texts = [document(t) for t in texts]
        self.documents = [*(document(r.text) for r in replayed), *self.texts, *kept]
        self._asks = [*(r.text for r in replayed), *texts]
        self._kept = kept

    def served(self, model: Classifier, rows: Iterable[int]) -> list[Document]:
        """Rows as a model's verdicts read them."""
        asks = len(self._asks)
        return [document_of(model, self._asks[n]) if n < asks else self._kept[n - asks] for n in rows]


class _Learner:
    """Fits a model on: first what it knows, if rows correct it, then each new task beside that."""

    def __init__(self, model: Classifier, known: Sequence[str], material: _Material) -> None:
        base = model.linear
        self.model, self.known, self.old, self.material = model, list(known), len(model.tasks), material
        among = material.replayed + len(material.texts)
        self.vocabulary, places = extended(base.keys, base.idf.astype(np.float64), base.of_body, material.texts, among)
        self._x = self.vocabulary.rows(material.documents)
        self._y = np.array([self.known.index(r.task) for r in material.rows])
        self._replayed = np.arange(len(self._y)) < material.replayed
        self._before = np.zeros((len(self.vocabulary.keys) + 1, self.old))
        self._before[places] = base.weights / self.vocabulary.scale[places, None]
        self._before[-1] = base.bias

    def fit(
        self, evidence: NDArray[np.float32], progress: Progress
    ) -> tuple[Linear, tuple[TaskScore, ...], tuple[int, float | None, float | None]]:
        """(the model with these rows, how well each new task is told, (rows that correct what is known, share right before,
        share right after)); all on rows left out, by verdicts as they are served."""
        y, old = self._y, self.old
        reader = Classifier(self.model.manifest, self.model.linear, "", self.material.words)
        served = self.vocabulary.rows(self.material.served(reader, range(len(y))))
        corrections = np.flatnonzero((y < old) & ~self._replayed)
        w = self._corrected(corrections)
        logits = served @ w[:-1] + w[-1]
        if len(corrections) >= FOLDS:
            logits[corrections] = self._left_out(corrections, served, progress)
        for task in range(old, len(self.known)):
            progress(f"new task {task - old + 1} of {len(self.known) - old}: {self.known[task]}")
            seen = (y < old) | (y == task)
            of_old = self._x[seen] @ w[:-1, :old] + w[-1, :old]
            beside = added(self._x[seen], y[seen] == task, of_old, served[seen])
            w = np.column_stack([w, np.append(beside.coefficients, beside.bias)])
            logits = np.column_stack([logits, served @ beside.coefficients + beside.bias])
            logits[seen, task] = beside.left_out
        logits[served @ evidence == 0] = np.nan
        said = np.array(self._said(logits, self.known))
        fitted = linear(self.vocabulary, w[:-1], w[-1]).with_evidence(evidence)
        return fitted, tuple(self._score(task, said) for task in self.known[old:]), self._judged(corrections, said)

    def _score(self, task: str, said: NDArray[np.str_]) -> TaskScore:
        mine = self._y == self.known.index(task)
        return TaskScore(
            task, int(mine.sum()), float((said[mine] == task).mean()), float((said[self._replayed] == task).mean())
        )

    def _judged(self, rows: NDArray[np.intp], said: NDArray[np.str_]) -> tuple[int, float | None, float | None]:
        if len(rows) < FOLDS:
            return len(rows), None, None
        truth = np.array([self.known[n] for n in self._y[rows]])
        before = self._said(logits_of(self.model, self.material.served(self.model, rows)), self.model.tasks)
        return len(rows), float((np.array(before) == truth).mean()), float((said[rows] == truth).mean())

    def _said(self, logits: Array, tasks: Sequence[str]) -> list[str]:
        manifest = self.model.manifest
        return verdicts(logits, tasks, float(manifest["temperature"]), float(manifest["threshold"]))[0]

    def _left_out(self, rows: NDArray[np.intp], served: csr_matrix, progress: Progress) -> Array:
        """(rows, old tasks) log-odds of corrections, each by a fit without the row."""
        fold = np.random.default_rng(0).permutation(len(rows)) % FOLDS
        logits = np.empty((len(rows), self.old))
        for f in range(FOLDS):
            progress(f"corrections: fold {f + 1} of {FOLDS}")
            w = self._corrected(rows[fold != f])
            logits[fold == f] = served[rows[fold == f]] @ w[:-1] + w[-1]
        return logits

    def _corrected(self, rows: NDArray[np.intp]) -> Array:
        """Coefficients of the old tasks, fitted on to replayed rows and these."""
        if not len(rows):
            return self._before
        seen = np.concatenate([np.flatnonzero(self._replayed), rows])
        return corrected(self._x[seen], self._y[seen], weights_of([self.material.rows[n] for n in seen]), self._before)


def _nothing(labels: Sequence[Label] | None, traffic: Sifted) -> str:
    if labels is None:
        return "give --data, --tasks or --from-traffic"
    return (
        "; ".join(traffic.said)
        or "the store has kept no corrections; `keep_corrections: true` in setpoint.yaml keeps them"
    )


def _own(rows: Sequence[Row], progress: Progress) -> list[Row]:
    return [replace(row, text=ask, own=True) for row, ask in zip(*corpus.distinct(rows, progress), strict=True)]


def _replayed(known: Sequence[str], but: Collection[str]) -> list[Row]:
    """The shipped prompts, so that what was known is seen again, but for asks that are said anew."""
    rows = corpus.shipped(frozenset(known)) + corpus.examples(load_tasks(FOLDER))
    return [row for row in _own([r for r in rows if r.task in known], lambda said: None) if row.text not in but]


def _validated(model: Classifier) -> float:
    """The share of the validation prompts of which the verdict is right, leniently."""
    rows = corpus.validation()
    right = [model.classify(read_text(r.text)).task in (r.task, *r.accept) for r in rows if r.task in model.tasks]
    return sum(right) / len(right)


def spelled(folder: Path, features: int) -> list[str]:
    """What the features of an artefact stand for. Raises ArtefactError."""
    try:
        text = gzip.decompress((folder / "vocabulary.txt.gz").read_bytes()).decode("utf-8", "surrogatepass")
    except (OSError, ValueError, EOFError, zlib.error) as e:
        raise ArtefactError(f"{folder}: its vocabulary cannot be read: {e}; {AGAIN}") from e
    found = text.split("\n")
    if len(found) != features:
        raise ArtefactError(f"{folder}: its vocabulary has {len(found)} features and its model {features}; {AGAIN}")
    return found


def _manifest(model: Classifier, known: Sequence[str], rows: Sequence[Row], adapted: Adapted) -> dict[str, Any]:
    fresh = manifest_of(rows, known, float(model.manifest["temperature"]), float(model.manifest["threshold"]), {})
    return fresh | {"adapted_from": model.digest, "adapted": asdict(adapted)}
