"""Earnings: observed rewards, added up where they go to the same arm before statistics and metrics hear of them."""

from collections.abc import Mapping

from metrics.instruments import Instruments
from metrics.outbox import Outbox
from metrics.outcome import DecisionRecord
from metrics.tally import Slot, Tally, epoch_of, growth


class Earnings:
    """What the answers of one slice of time earned. Plain lists: a tally for each reward would cost four times as much."""

    def __init__(self) -> None:
        # By arm, and by signal: how many, their sum, and both with their squares as tallies weigh them.
        self._arms: dict[tuple[str, int, str, str, str, str], dict[str, list[float]]] = {}

    def __len__(self) -> int:
        """How many arms have earned."""
        return len(self._arms)

    def add(self, record: DecisionRecord, rewards: Mapping[str, float], part: float = 1.0) -> None:
        """Takes the rewards of a decision by signal, or that part of them; of one that learns nothing, none."""
        if record.cell is None or record.arm is None or not record.effective:
            return
        key = (record.cell, epoch_of(record.at), record.arm, record.task, record.model, record.parameter or "")
        signals = self._arms.get(key)
        if signals is None:
            signals = self._arms[key] = {}
        weight = part * growth(record.at)
        for signal, value in rewards.items():
            sums = signals.get(signal)
            if sums is None:
                signals[signal] = [1, value, weight, weight * value, weight * value * value]
            else:
                sums[0] += 1
                sums[1] += value
                sums[2] += weight
                sums[3] += weight * value
                sums[4] += weight * value * value

    def pass_on(self, outbox: Outbox, instruments: Instruments) -> None:
        """Tells both, and starts anew."""
        arms, self._arms = self._arms, {}
        for (cell, epoch, arm, task, model, parameter), signals in arms.items():
            for signal, (count, total, n, s, q) in signals.items():
                outbox.add(Slot(cell, epoch, arm, signal), Tally(n, s, q), int(count))
                if signal != "regenerate":  # may be taken back, which a summary cannot
                    instruments.earned((task, model, parameter, arm, signal), int(count), total)
