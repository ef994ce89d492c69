"""What the classifier adds to a process: run by `bench.classifier` in one of its own, prints JSON.

numpy is told apart, since learning loads it too. Nothing here may load what only training needs.
"""

import json
import os
import sys

from bench import rss_mib

TRAINING_ONLY = ("sklearn", "scipy")
PROMPTS = 2_500  # more than are remembered: the memory of verdicts is full


def main() -> int:
    """Print MiB; 1 if the classifier has loaded what only training needs."""
    bare = rss_mib(os.getpid())
    import numpy  # noqa: F401  # for its weight

    with_numpy = rss_mib(os.getpid())
    from classifier.ask import read_text
    from classifier.model import Classifier

    model = Classifier.load()
    for i in range(PROMPTS):
        model.classify(read_text(f"Write a function that sorts a list by date, and say how it copes with gaps. {i}"))
        model.classify(read_text(f"请帮我写一个函数,按照日期排序,并说明如何处理缺失的日期。{i}"))
    loaded = [name for name in TRAINING_ONLY if name in sys.modules]
    whole = rss_mib(os.getpid())
    print(json.dumps({"numpy": with_numpy - bare, "classifier": whole - with_numpy, "training_only": loaded}))
    return 1 if loaded else 0


if __name__ == "__main__":
    sys.exit(main())
