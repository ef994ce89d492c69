"""The classifier: how right it is beside the keyword rules, how long a verdict takes, and what memory it adds.

`python -m bench.classifier [--data FILE.jsonl]`. Three tables:
1. With --data (rows with text, task, lang and source): by language, on sources left out. The model that judges a row has seen
   nothing of the row's source. This trains, and takes minutes.
2. The validation set, which is never trained on, judged by the shipped classifier. The few constants of
   classifier/conversation.py were chosen on its conversations, so there the model is at its best; rules read the last ask only.
3. The time of a verdict with all its steps, the lowest of five rounds, and the memory in a fresh process.

It ends with 1 if the rules are as right as the model in a line of 1 or 2, if a verdict on 300 characters takes more than
60 µs (median) or 150 µs (99th percentile) or one on 100 KB more than 300 µs (median), if the classifier with the numpy that it
stands on adds more than 40 MiB, or if serving it loads scikit-learn or SciPy.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import BenchError, machine, table
from classifier.ask import read_text
from classifier.corpus import distinct, read
from classifier.errors import ClassifierError
from classifier.evaluation import Scores, score
from classifier.keywords import Keywords
from classifier.marking import evaluate
from classifier.model import Classifier
from classifier.tasks import FOLDER, load_tasks
from classifier.training import train

ROOT = Path(__file__).parent.parent
VALIDATION = ROOT / "classifier" / "validation"
LANGUAGES = {"en": "English", "zh": "Chinese"}

ENGLISH = "Could you please write a function in Python that takes a list of dictionaries with a name and a date, sorts them by date, removes duplicates by name and returns the result as JSON? Add type hints, and explain in one sentence how it copes with dates that are missing. "
CHINESE = "请帮我写一个Python函数,输入是一个由字典组成的列表,每个字典包含姓名和日期,要求按照日期排序,按姓名去重,最后以JSON格式返回,并加上类型注解,用一句话说明缺失日期的处理方法。"
ROUNDS = 5
MIB = 40.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A kind of prompt, how often it is judged in a round, and the most µs that its verdict may take."""

    text: str
    verdicts: int
    median: float
    p99: float | None = None


SHORT, LONG = (2_000, 60.0, 150.0), (200, 300.0)
TIMED = {
    "300 characters, English": Timed((ENGLISH * 2)[:300], *SHORT),
    "300 characters, Chinese": Timed((CHINESE * 4)[:300], *SHORT),
    "100 KB, English": Timed(ENGLISH * 400, *LONG),
    "100 KB, Chinese": Timed(CHINESE * 1_100, *LONG),
}
REPEATED = "300 characters, English, asked before"

Times = dict[str, tuple[float, float]]  # (median, 99th percentile) µs
Pairs = dict[str, tuple[Scores, Scores]]  # of the rules, of the model


def left_out(data: Sequence[Path]) -> Pairs:
    """(rules, model) by language, on sources that the model has not seen."""
    tasks = load_tasks()
    names = frozenset(t.name for t in tasks)
    rows, _ = distinct(read(data, names))  # as training does: both judge the same rows
    rules = Keywords(tasks)
    with tempfile.TemporaryDirectory() as out:
        report = train(FOLDER, data, Path(out), progress=lambda said: print(said, file=sys.stderr))
    pairs = {}
    for lang in (lang for lang in LANGUAGES if lang in report.languages):
        own = [r for r in rows if r.lang == lang]
        said = [rules.classify(read_text(r.text)) for r in own]
        ruled = score([r.task for r in own], [v.task for v in said], [v.confidence for v in said])
        pairs[LANGUAGES[lang]] = (ruled, report.languages[lang])
    return pairs


def validated(model: Classifier) -> Pairs:
    """(rules, model) by language, on prompts and on conversations of the validation set."""
    contenders, pairs = (Keywords.load().classify, model.classify), {}
    for lang, language in LANGUAGES.items():
        ruled, judged = (evaluate([VALIDATION / f"{lang}.jsonl"], judge, model.tasks) for judge in contenders)
        pairs[language] = (ruled.scores, judged.scores)
    ruled, judged = (evaluate([VALIDATION / "conversations.jsonl"], judge, model.tasks) for judge in contenders)
    for lang, language in LANGUAGES.items():
        pairs[f"{language} conversations"] = (ruled.languages[lang], judged.languages[lang])
    return pairs


def timed(model: Classifier) -> Times:
    """Of each kind of prompt, the lowest of some rounds: what else the machine does only adds."""
    rounds = [_round(model, n) for n in range(ROUNDS)]
    return {name: (min(r[name][0] for r in rounds), min(r[name][1] for r in rounds)) for name in rounds[0]}


def _round(model: Classifier, number: int) -> Times:
    """Texts that differ, also from those of other rounds, so that nothing is remembered; and one that is."""
    times = {
        name: _microseconds(model, [_marked(t.text, f" {number}.{i}") for i in range(t.verdicts)])
        for name, t in TIMED.items()
    }
    return {**times, REPEATED: _microseconds(model, [ENGLISH] * SHORT[0])}


def _marked(text: str, mark: str) -> str:
    """A text that ends otherwise and is as long."""
    return text[: -len(mark)] + mark


def footprint() -> dict[str, float]:
    """MiB that numpy and the classifier add to a fresh process. Raises BenchError."""
    said = subprocess.run([sys.executable, "-m", "bench.footprint"], capture_output=True, text=True, cwd=ROOT)
    if said.returncode:
        raise BenchError(f"in a fresh process: {said.stdout}{said.stderr}".strip())
    mib = json.loads(said.stdout)
    return {"numpy, which learning loads too": mib["numpy"], "classifier": mib["classifier"]}


def missed(accuracy: Sequence[tuple[str, Scores, Scores]], times: Times, mib: float) -> Iterator[str]:
    """What is worse than promised."""
    for name, ruled, judged in accuracy:
        if judged.accuracy <= ruled.accuracy:
            yield f"{name}: the model is right on {judged.accuracy:.1%}, the rules on {ruled.accuracy:.1%}"
    for name, limit in TIMED.items():
        for what, value, most in zip(("median", "p99"), times[name], (limit.median, limit.p99), strict=True):
            if most is not None and value > most:
                yield f"{name}: {what} {value:.0f} µs, promised {most:.0f}"
    if mib > MIB:
        yield f"adds {mib:.1f} MiB, promised {MIB:.0f}"


def _microseconds(model: Classifier, texts: Sequence[str]) -> tuple[float, float]:
    times = []
    for text in texts:
        began = time.perf_counter_ns()
        model.classify(read_text(text))
        times.append((time.perf_counter_ns() - began) / 1e3)
    return float(np.median(times)), float(np.percentile(times, 99))


def _contenders(pairs: Pairs, model: str) -> Iterator[tuple[str, Scores]]:
    for name, (ruled, judged) in pairs.items():
        yield f"keyword rules, {name}", ruled
        yield f"{model}, {name}", judged


def _show_left_out(pairs: Pairs) -> None:
    header = ("sources left out", "rows", "accuracy", "macro-F1", "right temperature", "ECE", "right at ≥ 0.7")
    lines = [
        (name, f"{s.rows:,}", _share(s.accuracy), _share(s.macro_f1), _share(s.right_temperature), *_confidence(s))
        for name, s in _contenders(pairs, "model")
    ]
    print(table(header, lines), "\n")


def _show_validated(pairs: Pairs) -> None:
    header = ("validation set", "rows", "strict", "lenient", "right temperature", "ECE", "right at ≥ 0.7", "abstained")
    lines = [
        (
            name,
            f"{s.rows:,}",
            _share(s.accuracy),
            _share(s.lenient),
            _share(s.right_temperature),
            *_confidence(s),
            f"{s.abstained:.0%}",
        )
        for name, s in _contenders(pairs, "shipped model")
    ]
    print(table(header, lines), "\n")


def _confidence(s: Scores) -> tuple[str, str]:
    return _share(s.ece), "" if s.right_when_sure is None else f"{_share(s.right_when_sure)} on {s.sure:.0%}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _show_times(times: Times, mib: dict[str, float], share: float) -> None:
    lines = [(name, f"{median:.0f}", f"{p99:.0f}") for name, (median, p99) in times.items()]
    print(table(("a verdict, all steps", "median µs", "p99 µs"), lines), "\n")
    weights = [*mib.items(), ("together", sum(mib.values()))]
    print(table(("resident memory, added to a fresh process", "MiB"), [(n, f"{m:.1f}") for n, m in weights]), "\n")
    print(f"{machine()}. Times are the lowest of {ROUNDS} rounds; this process had {share:.0%} of a core meanwhile.")


def main() -> int:
    """Print the tables; 1 if a limit is missed or something cannot be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[], help="JSONL of labelled prompts")
    data = parser.parse_args().data
    try:
        accuracy = []
        if data:
            pairs = left_out(data)
            _show_left_out(pairs)
            accuracy += [(f"sources left out, {name}", *pair) for name, pair in pairs.items()]
        else:
            print("no --data: accuracy on sources left out is not measured\n")
        model = Classifier.load()
        pairs = validated(model)
        _show_validated(pairs)
        accuracy += [(f"validation, {name}", *pair) for name, pair in pairs.items()]
        began, cpu = time.perf_counter(), time.process_time()
        times = timed(model)
        share = (time.process_time() - cpu) / (time.perf_counter() - began)
        mib = footprint()
        _show_times(times, mib, share)
    except (BenchError, ClassifierError) as e:
        print(f"bench: classifier: {e}", file=sys.stderr)
        return 1
    misses = list(missed(accuracy, times, sum(mib.values())))
    for miss in misses:
        print(f"bench: classifier: {miss}", file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
