"""The ladder while it is climbed: current values, who set them, and the steps so far."""

from collections.abc import Mapping

from policies.decision import Climbed, Rung
from policies.parameters import PARAMETERS, Value
from policies.schedule import Curve, Schedule, Steps, describe
from policies.values import Setting, Unset


class Ladder:
    """Mutable while one decision is made; nothing keeps it afterwards."""

    __slots__ = ("by", "schedules", "steps", "values")

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.schedules: dict[str, tuple[Schedule, str]] = {}
        self.by: dict[str, Rung] = {}
        self.steps: list[Climbed] = []

    def copy(self) -> "Ladder":
        """An independent ladder at the same height: the part that does not change between requests is climbed once."""
        other = Ladder()
        other.values, other.schedules = dict(self.values), dict(self.schedules)
        other.by, other.steps = dict(self.by), list(self.steps)
        return other

    def put(self, rung: Rung, source: str | None, param: str, value: Value | None) -> None:
        """Set a parameter, or take it away with None. Without a source it is the draw that says why."""
        before = self.values.get(param)
        if value is None:
            self.values.pop(param, None)
        else:
            self.values[param] = value
        self.by[param] = rung
        self.steps.append((rung, source, param, before, value))

    def note(self, rung: Rung, source: str, param: str) -> None:
        """A step that leaves the value, and whose word it is, as they were."""
        value = self.values.get(param)
        self.steps.append((rung, source, param, value, value))

    def apply(self, rung: Rung, source: str, settings: Mapping[str, Setting]) -> None:
        """Take over the settings of a block; a schedule waits for its own rung."""
        for param, setting in settings.items():
            self.schedules.pop(param, None)
            if isinstance(setting, Steps | Curve):
                self.schedules[param] = (setting, source)
                self.by[param] = rung
            else:
                self.put(rung, source, param, None if isinstance(setting, Unset) else setting)

    def at(self, param: str, turn: int, attempt: int) -> Value | None:
        """What a parameter would be if nothing stood above; where a schedule waits, its value for this turn or attempt."""
        waiting = self.schedules.get(param)
        return _exact(param, waiting[0].at(turn, attempt)) if waiting else self.values.get(param)

    def run_schedules(self, turn: int, attempt: int) -> None:
        """Rung 6: each schedule gives its value for this turn or attempt."""
        for param, (schedule, source) in self.schedules.items():
            n = turn if schedule.by == "turn" else attempt
            value = _exact(param, schedule.at(turn, attempt))
            self.put("schedule", f"{source}: {schedule.by} {n} of {describe(schedule)}", param, value)


def _exact(param: str, value: float) -> float:
    return round(value) if PARAMETERS[param].kind == "integer" else round(value, 6)
