"""Training: from task files and labelled prompts to an artefact, scored and calibrated on sources that it has not seen."""

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
from classifier.calibration import THRESHOLD, softmax, temperature_of, threshold_of
from classifier.corpus import Row
from classifier.envelope import opened
from classifier.errors import CorpusError
from classifier.evaluation import Scores, confusion, score
from classifier.features import arranged, hashed
from classifier.fitting import fit
from classifier.model import FORMAT, Classifier, Linear
from classifier.spelling import Words, counted
from classifier.tasks import FOLDER, load_tasks
from classifier.vocabulary import Document, document, names

FOLDS = 8
FEWEST_SOURCES = 5

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


def train(tasks: Path, data: Sequence[Path], out: Path, progress: Progress = lambda said: None) -> Report:
    """Train on the task files and JSONL, write the artefact, and give the report. Raises TasksError, CorpusError."""
    known = load_tasks(tasks)
    labels = [t.name for t in known]
    shipped = corpus.shipped(frozenset(labels)) if tasks == FOLDER else []  # they follow the shipped tasks' borders
    rows = corpus.examples(known) + shipped + corpus.read(data, frozenset(labels))
    rows = list({(r.text, r.task): r for r in rows}.values())
    missing = set(labels) - {r.task for r in rows}
    if missing:
        raise CorpusError(f"no example of {', '.join(sorted(missing))}")
    texts = [opened(r.text) for r in rows]
    progress(f"{len(rows)} rows of {len({r.source for r in rows})} sources")
    documents = [document(t) for t in texts]
    held, said = _out_of_source(rows, documents, labels, progress)
    progress("training on all rows")
    vocabulary, linear = fit(rows, documents, labels)
    temperature, threshold = _calibrated(said, held, labels, linear if tasks == FOLDER else None)
    report = _report(rows, held, said, labels, temperature)
    scores = {"all": report.scores and asdict(report.scores), **{k: asdict(s) for k, s in report.languages.items()}}
    spelled = names(vocabulary, texts)
    manifest = manifest_of(rows, labels, temperature, threshold, scores)
    write(out, linear, spelled, counted(texts, spelled[: linear.of_body]), manifest)
    Classifier.load(out)
    return report


def _calibrated(
    said: Array | None, rows: Sequence[Row], labels: Sequence[str], linear: Linear | None
) -> tuple[float, float]:
    """(temperature, threshold) from rows of sources left out, and from the validation set where the tasks are the shipped ones.

    Sources left out are stranger than what users will send, and the validation prompts less so: the temperature is the
    geometric mean of what is honest on either.
    """
    if said is None:
        return 1.0, THRESHOLD
    temperature = temperature_of(said, rows, labels)
    if linear is not None:
        judged = [r for r in corpus.validation() if r.task in labels]
        found = [linear.scores(*linear.places(*hashed(arranged(opened(r.text))))) for r in judged]
        logits = np.array([s if s is not None else [0.0] * len(labels) for s in found])
        temperature = (temperature * temperature_of(logits, judged, labels)) ** 0.5
    return temperature, threshold_of(said, rows, labels, temperature)


def _out_of_source(
    rows: Sequence[Row], documents: Sequence[Document], labels: Sequence[str], progress: Progress
) -> tuple[list[Row], Array | None]:
    """(rows, (rows, tasks) logits), each by a model that has not seen the row's source; None with too few sources.

    Prompts of our own are judged only where there is nothing else: they are all by one hand.
    """
    judged = [i for i, r in enumerate(rows) if not r.own]
    if len({rows[i].source for i in judged}) < FEWEST_SOURCES:
        judged = list(range(len(rows)))
    held = [rows[i] for i in judged]
    sources = [r.source for r in held]
    if len(set(sources)) < FEWEST_SOURCES:
        return held, None
    logits = np.zeros((len(held), len(labels)))
    folds = min(FOLDS, len(set(sources)))
    for fold, (_, left) in enumerate(GroupKFold(folds).split(held, groups=sources), 1):
        progress(f"fold {fold} of {folds}: {len(left)} rows of sources left out")
        out = {judged[n] for n in left}
        seen = [i for i in range(len(rows)) if i not in out]
        _, linear = fit([rows[i] for i in seen], [documents[i] for i in seen], labels)
        for n in left:
            whole, head = documents[judged[n]]
            scores = linear.scores(*linear.places(np.concatenate([whole, head]), len(whole)))
            if scores is not None:
                logits[n] = scores
    return held, logits


def _report(
    rows: Sequence[Row], held: Sequence[Row], logits: Array | None, labels: Sequence[str], temperature: float
) -> Report:
    sources = len({r.source for r in rows})
    if logits is None:
        return Report(len(rows), sources, None, {}, "")
    p = softmax(logits / temperature)
    said, sure = [labels[i] for i in p.argmax(axis=1)], p.max(axis=1).tolist()

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
    """Write an artefact: `model.npz`, `manifest.json`, and for readers what the features are, in `vocabulary.txt.gz`.

    Each file takes its place whole, the manifest last and with the digest of the model, so that who reads meanwhile can
    tell that the two do not belong together.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    np.savez_compressed(
        model,
        keys=linear.keys,
        of_body=linear.of_body,
        idf=linear.idf.astype(np.float16),
        evidence=np.array([_is_evidence(name) for name in spelled], np.uint8),
        weights=linear.weights.astype(np.float16),
        bias=linear.bias.astype(np.float32),
        words=np.frombuffer("\n".join(words.words).encode(), np.uint8),
        targets=words.targets,
    )
    manifest = manifest | {"model_sha256": hashlib.sha256(model.getvalue()).hexdigest()}
    _place(out / "vocabulary.txt.gz", gzip.compress("\n".join(spelled).encode(), mtime=0))
    _place(out / "model.npz", model.getvalue())
    _place(out / "manifest.json", (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())


def _place(file: Path, content: bytes) -> None:
    part = file.with_name(file.name + ".part")
    part.write_bytes(content)
    part.replace(file)


def _is_evidence(name: str) -> bool:
    """Whether a feature says anything by itself: a word, a Chinese character, or a number beside something."""
    plain = name.lstrip("\t")
    return (len(plain) > 1 and any(map(str.isalnum, plain))) or any("\u3400" <= c <= "\u9fff" for c in plain)
