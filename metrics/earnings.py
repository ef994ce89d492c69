"""Earnings: observed rewards, added up where they go to the same arm before statistics and metrics hear of them."""

from collections.abc import Mapping
from math import exp2, floor

from metrics.failures import WEIGHT
from metrics.instruments import Instruments
from metrics.outbox import Outbox
from metrics.outcome import DecisionRecord
from metrics.tally import EPOCH, HALF_LIFE, Slot, Tally


class Earnings:
    """What the answers of one slice of time earned. Plain lists: a tally for each reward would cost four times as much."""

    def __init__(self) -> None:
        # By arm, and by signal: how many, their sum, and both with their squares as tallies weigh them.
        self._arms: dict[tuple[str, int, str, str, str, str], dict[str, list[float]]] = {}

    def __len__(self) -> int:
        """How many arms have earned."""
        return len(self._arms)

    def add(self, record: DecisionRecord, rewards: Mapping[str, float], failed: float | None = None) -> None:
        """Takes the rewards of a decision by signal, and the one for `failed` where there is one, which weighs half; of a decision
        that learns nothing, none."""
        at = record.at
        if record.cell is None or record.arm is None or not record.effective:
            return
        epoch = floor(at / EPOCH)
        key = (record.cell, epoch, record.arm, record.task, record.model, record.parameter or "")
        signals = self._arms.get(key)
        if signals is None:
            signals = self._arms[key] = {}
        weight = exp2((at - epoch * EPOCH) / HALF_LIFE)  # metrics.tally.growth, without calls
        for signal, value in rewards.items():
            w = weight * value
            sums = signals.get(signal)
            if sums is None:
                signals[signal] = [1, value, weight, w, w * value]
                continue
            sums[0] += 1
            sums[1] += value
            sums[2] += weight
            sums[3] += w
            sums[4] += w * value
        if failed is not None:
            w, sums = weight * WEIGHT, signals.setdefault("failed", [0, 0.0, 0.0, 0.0, 0.0])
            for n, more in enumerate((1, failed, w, w * failed, w * failed * failed)):
                sums[n] += more

    def pass_on(self, outbox: Outbox, instruments: Instruments) -> None:
        """Tells both, and starts anew."""
        arms, self._arms = self._arms, {}
        for (cell, epoch, arm, task, model, parameter), signals in arms.items():
            for signal, (count, total, n, s, q) in signals.items():
                outbox.add(Slot(cell, epoch, arm, signal), Tally(n, s, q), int(count))
                if signal != "regenerate":  # may be taken back, which a summary cannot
                    instruments.earned((task, model, parameter, arm, signal), int(count), total)
