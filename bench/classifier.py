"""The classifier against the keyword rules on sources that it was not trained with, and how long a verdict takes.

`python -m bench.classifier --data FILE.jsonl`: rows with text, task, lang and source. Sources are left out in five folds: the
model that judges a row has seen nothing of the row's source. Without a file the task files' own examples only give the times.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench import table
from classifier.ask import read_text
from classifier.corpus import examples, read
from classifier.evaluation import score
from classifier.keywords import Keywords
from classifier.model import Classifier
from classifier.tasks import FOLDER, load_tasks
from classifier.training import train
from classifier.verdict import GENERAL

ENGLISH = "Could you please write a function in Python that takes a list of dictionaries with a name and a date, sorts them by date, removes duplicates by name and returns the result as JSON? Add type hints, and explain in one sentence how it copes with dates that are missing. "
CHINESE = "请帮我写一个Python函数,输入是一个由字典组成的列表,每个字典包含姓名和日期,要求按照日期排序,按姓名去重,最后以JSON格式返回,并加上类型注解,用一句话说明缺失日期的处理方法。"


def microseconds(classify: Callable[[str], object], prompt: str, rounds: int = 2_000) -> tuple[float, float]:
    """(median, 99th percentile) of a verdict on texts that differ, so that nothing is remembered."""
    times = []
    for i in range(rounds):
        text = f"{prompt} {i}"
        began = time.perf_counter()
        classify(text)
        times.append((time.perf_counter() - began) * 1e6)
    return float(np.median(times)), float(np.percentile(times, 99))


def accuracy(data: Sequence[Path]) -> list[tuple[str, ...]]:
    """A row per language and contender."""
    tasks = load_tasks()
    # The same rows that the model is scored on.
    found = [*examples(tasks), *read(data, frozenset(t.name for t in tasks))]
    rows = list({(r.text, r.task): r for r in found}.values())
    rules = Keywords(tasks)
    with tempfile.TemporaryDirectory() as out:
        report = train(FOLDER, data, Path(out), progress=lambda said: print(said, file=sys.stderr))
    lines: list[tuple[str, ...]] = []
    for lang, learned in report.languages.items():
        own = [r for r in rows if r.lang == lang]
        said = [rules.classify(read_text(r.text)).task for r in own]
        ruled = score([r.task for r in own], said, np.array([0.0 if s == GENERAL else 0.5 for s in said]))
        lines.append((f"keyword rules, {lang}", f"{ruled.accuracy:.3f}", f"{ruled.macro_f1:.3f}", "", ""))
        lines.append(
            (
                f"model, {lang}",
                f"{learned.accuracy:.3f}",
                f"{learned.macro_f1:.3f}",
                f"{learned.ece:.3f}",
                f"{learned.right_when_sure:.3f} on {learned.sure:.0%}",
            )
        )
    return lines


def main() -> int:
    """Print both tables; 1 if the rules win in a language or a verdict takes a millisecond."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", default=[], help="JSONL of labelled prompts")
    data = parser.parse_args().data
    good = True
    if data:
        lines = accuracy(data)
        print(table(("sources left out", "accuracy", "macro-F1", "calibration error", "right at ≥ 0.7"), lines), "\n")
        good = all(float(model[1]) > float(rule[1]) for rule, model in zip(lines[::2], lines[1::2], strict=True))
    else:
        print("no --data: accuracy on sources left out is not measured\n")
    model = Classifier.load()
    prompts = {
        "300 characters, English": ENGLISH[:300],
        "300 characters, Chinese": (CHINESE * 4)[:300],
        "100 KB, English": ENGLISH * 400,
        "100 KB, Chinese": CHINESE * 1_100,
    }
    times = {
        name: microseconds(lambda t: model.classify(read_text(t)), text, 2_000 if len(text) < 1_000 else 200)
        for name, text in prompts.items()
    }
    print(
        table(
            ("a verdict, all steps", "median µs", "p99 µs"),
            [(n, f"{m:.0f}", f"{p:.0f}") for n, (m, p) in times.items()],
        )
    )
    return 0 if good and all(m < 1_000 for m, _ in times.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
