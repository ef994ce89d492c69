"""A user's own task: 20 examples and a few cues beside the thirteen, and what comes of it.

`python -m bench.user_tasks`. Each of four tasks is added to the shipped model alone, as `setpoint train --tasks` does. Recall is
on 50 prompts of it that were written apart from the examples, precision on these and the 680 prompts of the validation set,
and the cost is what the shipped tasks lose there. It ends with 1 if a recall or precision is below 0.7, or a cost above 0.01.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import table
from classifier import corpus
from classifier.adapting import adapt
from classifier.ask import read_text
from classifier.model import Classifier

DATA = Path(__file__).parent / "data" / "user_tasks"
RECALL, PRECISION, COST = 0.7, 0.7, 0.01


def measure(task: str, folder: Path) -> tuple[float, float, float, float]:
    """(recall, precision, cost, seconds) of adding a task."""
    (folder / "tasks").mkdir()
    shutil.copy(DATA / f"{task}.yaml", folder / "tasks")
    began = time.monotonic()
    adapt([], folder / "out", folder / "tasks", force=True)
    seconds = time.monotonic() - began
    before, after = Classifier.load(), Classifier.load(folder / "out")
    unseen = [after.classify(read_text(r.text)).task for r in corpus.read([DATA / f"{task}.jsonl"], None)]
    shipped = corpus.validation()
    found, taken = unseen.count(task), sum(after.classify(read_text(r.text)).task == task for r in shipped)

    def right(classify: Callable[[str], str]) -> float:
        return sum(classify(r.text) in (r.task, *r.accept) for r in shipped) / len(shipped)

    cost = right(lambda t: before.classify(read_text(t)).task) - right(lambda t: after.classify(read_text(t)).task)
    return found / len(unseen), found / max(found + taken, 1), cost, seconds


def main() -> int:
    """Print the table; 1 if a task does worse than promised."""
    lines, good = [], True
    for file in sorted(DATA.glob("*.yaml")):
        print(f"{file.stem} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            recall, precision, cost, seconds = measure(file.stem, Path(folder))
        good = good and recall >= RECALL and precision >= PRECISION and cost <= COST
        lines.append((file.stem, f"{recall:.2f}", f"{precision:.2f}", f"{cost:.3f}", f"{seconds:.0f}"))
    print(table(("a user's task, 20 examples", "recall", "precision", "cost", "seconds"), lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
