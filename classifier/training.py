"""Training: from task files and labelled prompts to an artefact, scored and calibrated on sources that it has not seen."""

import contextlib
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from classifier import corpus
from classifier.calibration import THRESHOLD, temperature_of, threshold_of
from classifier.corpus import Row
from classifier.envelope import opened
from classifier.errors import CorpusError, OutError
from classifier.evaluation import Scores, confusion, score
from classifier.fitting import fit
from classifier.judging import document_of, is_known, logits_of, verdicts
from classifier.linear import Linear
from classifier.model import FORMAT, Classifier
from classifier.spelling import Words, counted
from classifier.tasks import FOLDER, load_tasks
from classifier.vocabulary import Document, document, evident, names

FOLDS = 8
FEWEST_SOURCES = 5

Array = NDArray[np.float64]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What training came to. The scores are of verdicts as they would be served, abstentions among them, on sources that the
    scored model had not seen."""

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


def train(tasks: Path, data: Sequence[Path], out: Path, progress: Progress = lambda said: None) -> Report:
    """Train on the task files and JSONL, write the artefact, and give the report. Raises TasksError, CorpusError, OutError."""
    ready(out)
    known = load_tasks(tasks)
    labels = [t.name for t in known]
    shipped = corpus.shipped(frozenset(labels)) if tasks == FOLDER else []  # they follow the shipped tasks' borders
    rows = corpus.examples(known) + shipped + corpus.read(data, frozenset(labels))
    rows, texts = corpus.distinct(rows, progress)
    missing = set(labels) - {r.task for r in rows}
    if missing:
        raise CorpusError(f"no example of {', '.join(sorted(missing))}")
    progress(f"{len(rows)} rows of {len({r.source for r in rows})} sources")
    documents = [document(t) for t in texts]
    held, said = _out_of_source(rows, texts, documents, labels, progress)
    progress("training on all rows")
    model, spelled = _fitted(rows, texts, documents, labels)
    temperature, threshold = _calibrated(said, held, labels, model if tasks == FOLDER else None)
    report = _report(rows, held, said, labels, temperature, threshold)
    scores = {"all": report.scores and asdict(report.scores), **{k: asdict(s) for k, s in report.languages.items()}}
    manifest = manifest_of(rows, labels, temperature, threshold, scores)
    write(out, model.linear, spelled, model.words, manifest)
    Classifier.load(out)
    return report


def _fitted(
    rows: Sequence[Row], texts: Sequence[str], documents: Sequence[Document], labels: Sequence[str]
) -> tuple[Classifier, list[str]]:
    """(the model that these rows make, without a scale and a threshold; what its features stand for)."""
    vocabulary, linear = fit(rows, documents, labels)
    spelled = names(vocabulary, texts)
    linear = linear.with_evidence(evident(spelled))
    words = counted(texts, spelled[: linear.of_body])
    return Classifier({"labels": list(labels), "temperature": 1.0, "threshold": 0.0}, linear, "", words), spelled


def _calibrated(
    said: Array | None, rows: Sequence[Row], labels: Sequence[str], model: Classifier | None
) -> tuple[float, float]:
    """(temperature, threshold) from rows of sources left out, and from the validation set where the tasks are the shipped ones.

    Sources left out are stranger than what users will send, and the validation prompts less so: the temperature is the
    geometric mean of what is honest on either. Rows that nothing is known of have no say.
    """
    said, rows = _known(said, rows)
    if not rows:
        return 1.0, THRESHOLD
    temperature = temperature_of(said, rows, labels)
    if model is not None:
        judged = [r for r in corpus.validation() if r.task in labels]
        found, judged = _known(logits_of(model, [document_of(model, opened(r.text)) for r in judged]), judged)
        temperature = (temperature * temperature_of(found, judged, labels)) ** 0.5
    return temperature, threshold_of(said, rows, labels, temperature)


def _known(said: Array | None, rows: Sequence[Row]) -> tuple[Array, list[Row]]:
    if said is None:
        return np.zeros((0, 0)), []
    known = is_known(said)
    return said[known], [rows[n] for n in np.flatnonzero(known).tolist()]


def _out_of_source(
    rows: Sequence[Row],
    texts: Sequence[str],
    documents: Sequence[Document],
    labels: Sequence[str],
    progress: Progress,
) -> tuple[list[Row], Array | None]:
    """(rows, (rows, tasks) logits as served), each by a model that has seen neither the row's source nor its ask; None with
    too few sources, and NaN where nothing is known.

    Prompts of our own are judged only where there is nothing else: they are all by one hand.
    """
    judged = [i for i, r in enumerate(rows) if not r.own]
    if len({rows[i].source for i in judged}) < FEWEST_SOURCES:
        judged = list(range(len(rows)))
    held = [rows[i] for i in judged]
    sources = [r.source for r in held]
    if len(set(sources)) < FEWEST_SOURCES:
        return held, None
    logits = np.full((len(held), len(labels)), np.nan)
    folds = min(FOLDS, len(set(sources)))
    for fold, (_, left) in enumerate(GroupKFold(folds).split(held, groups=sources), 1):
        progress(f"fold {fold} of {folds}: {len(left)} rows of sources left out")
        out = {judged[n] for n in left}
        asked = {texts[i] for i in out}
        seen = [i for i in range(len(rows)) if i not in out and texts[i] not in asked]
        if len({rows[i].task for i in seen}) < 2:
            continue
        model, _ = _fitted([rows[i] for i in seen], [texts[i] for i in seen], [documents[i] for i in seen], labels)
        logits[left] = logits_of(model, [document_of(model, texts[judged[n]]) for n in left])
    return held, logits


def _report(
    rows: Sequence[Row],
    held: Sequence[Row],
    logits: Array | None,
    labels: Sequence[str],
    temperature: float,
    threshold: float,
) -> Report:
    sources = len({r.source for r in rows})
    if logits is None:
        return Report(len(rows), sources, None, {}, "")
    said, sure = verdicts(logits, labels, temperature, threshold)

    def scored(lang: str | None) -> Scores:
        of = [n for n, r in enumerate(held) if lang in (None, r.lang)]
        truth, accept = [held[n].task for n in of], [held[n].accept for n in of]
        return score(truth, [said[n] for n in of], [sure[n] for n in of], accept)

    languages = {lang: scored(lang) for lang in sorted({r.lang for r in held})}
    return Report(len(rows), sources, scored(None), languages, confusion([r.task for r in held], said))


def manifest_of(
    rows: Sequence[Row], labels: Sequence[str], temperature: float, threshold: float, scores: dict[str, Any]
) -> dict[str, Any]:
    """What is said of an artefact beside its arrays."""
    count = Counter((r.source, r.license) for r in rows)
    return {
        "format": FORMAT,
        "labels": list(labels),
        "temperature": round(temperature, 4),
        "threshold": threshold,
        "corpus": {"rows": len(rows), "digest": corpus.digest(rows)},
        "sources": [{"source": s, "license": licence, "rows": n} for (s, licence), n in sorted(count.items())],
        "scores_on_sources_left_out": scores,
        "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
    }


def write(out: Path, linear: Linear, spelled: Sequence[str], words: Words, manifest: dict[str, Any]) -> None:
    """Write an artefact, or raise OutError: `model.npz`, `manifest.json`, and for readers what the features are, in `vocabulary.txt.gz`.

    Each file takes its place whole, the manifest last and with the digest of the model, so that who reads meanwhile can
    tell that the two do not belong together.
    """
    model = io.BytesIO()
    np.savez_compressed(
        model,
        keys=linear.keys,
        of_body=linear.of_body,
        idf=linear.idf.astype(np.float16),
        evidence=evident(spelled).astype(np.uint8),
        weights=linear.weights.astype(np.float16),
        bias=linear.bias.astype(np.float32),
        words=np.frombuffer("\n".join(words.words).encode(), np.uint8),
        targets=words.targets,
    )
    manifest = manifest | {"model_sha256": hashlib.sha256(model.getvalue()).hexdigest()}
    try:
        _place(out / "vocabulary.txt.gz", gzip.compress("\n".join(spelled).encode("utf-8", "surrogatepass"), mtime=0))
        _place(out / "model.npz", model.getvalue())
        _place(out / "manifest.json", (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as e:
        raise _unwritable(out, e) from e


def ready(out: Path) -> None:
    """See to it that an artefact can be written into a folder, before it takes minutes to make. Raises OutError."""
    try:
        missing = [p for p in (out, *out.absolute().parents) if not p.exists()]
        _place(out / ".trial", b"")
        (out / ".trial").unlink()
    except OSError as e:
        raise _unwritable(out, e) from e
    with contextlib.suppress(OSError):
        for folder in missing:  # what comes to nothing leaves nothing
            folder.rmdir()


def _place(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_bytes(content)
    part.replace(file)


def _unwritable(out: Path, e: OSError) -> OutError:
    return OutError(f"{out}: an artefact cannot be written there: {e.strerror or e}")
