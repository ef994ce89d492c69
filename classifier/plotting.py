"""Plotting: an evaluation as pictures, for those who have matplotlib (the extra `plots`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.errors import PlotError
from classifier.evaluation import Bin
from classifier.marking import Evaluation

CONFUSION, CALIBRATION = "confusion.png", "calibration.png"
DPI = 150
_BLUE, _DARK = "#2a6f97", "#222222"
_LARGEST = 40.0  # inches
_READABLE = 60  # tasks up to which a cell has room for its number


def ready(folder: Path) -> None:
    """See to it that plots can be drawn into a folder, before hours are spent on what they show. Raises PlotError."""
    _figure(1, 1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise PlotError(f"{folder}: cannot be a folder for plots: {e.strerror or e}") from e


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `confusion.png` and `calibration.png`, and give their paths. Raises PlotError."""
    figures = {
        CONFUSION: _confusion(evaluation.names, evaluation.counts),
        CALIBRATION: _calibration(evaluation.calibration),
    }
    ready(folder)
    for name, figure in figures.items():
        try:
            figure.savefig(folder / name, dpi=DPI)
        except OSError as e:
            raise PlotError(f"{folder / name}: cannot be written: {e.strerror or e}") from e
    return [folder / name for name in figures]


def _figure(width: float, height: float) -> Any:
    """A figure by itself: without pyplot there is no window system and no state of the process."""
    try:
        import matplotlib  # noqa: F401  # the parent first: it says what is missing
        from matplotlib.figure import Figure
    except ImportError as e:
        raise PlotError(
            f"plots need matplotlib ({e}): run `make plots`, or install setpoint with its extra `plots`"
        ) from e
    return Figure(figsize=(min(width, _LARGEST), min(height, _LARGEST)), layout="constrained")


def _confusion(names: Sequence[str], counts: NDArray[np.int64]) -> Any:
    """A row a label: its colour is the share of the label's rows, its number how many."""
    side = 3.0 + 0.45 * len(names)
    figure = _figure(side + 0.8, side)
    axes = figure.add_subplot()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("verdict")
    axes.set_ylabel("label")
    if len(names) <= _READABLE:
        for y, x in zip(*counts.nonzero(), strict=True):
            colour = "white" if share[y, x] > 0.5 else _DARK
            axes.text(x, y, f"{counts[y, x]}", ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the label's rows")
    return figure


def _calibration(bins: Sequence[Bin]) -> Any:
    """How right against how sure, and below it how many verdicts that is. On the diagonal, confidence is honest."""
    full = [b for b in bins if b.right is not None]
    figure = _figure(5, 5.5)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], "--", color="#888888", linewidth=1, label="honest")
    axes.bar(
        [b.low for b in full],
        [b.right for b in full],
        [b.high - b.low for b in full],
        align="edge",
        color="#b8c4cc",
        edgecolor="white",
    )
    axes.plot([b.confidence for b in full], [b.right for b in full], "o-", color=_BLUE, markersize=4, label="verdicts")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share right (label or accepted)")
    axes.legend(loc="upper left", frameon=False)
    bars = below.bar(
        [b.low for b in bins], [b.rows for b in bins], 1 / len(bins), align="edge", color=_BLUE, ec="white"
    )
    below.bar_label(bars, [f"{b.rows:,}" if b.rows else "" for b in bins], fontsize=7)
    below.margins(y=0.2)
    below.set_xlabel("confidence")
    below.set_ylabel("verdicts")
    for each in (axes, below):
        each.spines[["top", "right"]].set_visible(False)
    return figure
