"""Matching: which rules of a policy hold for a request, without asking each of them everything."""

from collections.abc import Sequence

from policies.conditions import Condition
from policies.context import Context
from policies.cues import Cues
from policies.policy import Rule

MANY = 64  # cues from which on an index is cheaper than a look for each
MOST_TASKS = 256

Entry = tuple[int, Condition]


class Line:
    """The rules that may hold for one task, in the order of the policy."""

    __slots__ = ("_cued", "_index", "_plain")

    def __init__(self, entries: Sequence[Entry]) -> None:
        cued = {i: when for i, when in entries if when.cues}
        indexed = sum(len(when.cues) for when in cued.values()) >= MANY
        self._index = Cues({i: when.cues for i, when in cued.items()}) if indexed else None
        self._cued = cued if indexed else {}
        self._plain = [entry for entry in entries if not (indexed and entry[1].cues)]

    def matched(self, context: Context) -> tuple[int, ...]:
        """The places of the rules that hold."""
        lowered: str | None = None
        found = []
        for i, when in self._plain:
            for test in when.tests:
                if not test(context):
                    break
            else:
                if when.cues:
                    if lowered is None:
                        lowered = context.text.lower()
                    if not when.hears(lowered):
                        continue
                if when.reads(context):
                    found.append(i)
        if self._index is None:
            return tuple(found)
        heard = [(i, self._cued[i]) for i in self._index.found(context.text.lower())]
        found += [i for i, when in heard if when.allows(context) and when.reads(context)]
        return tuple(sorted(found))


class Matching:
    """All rules of a policy, lined up by task."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._entries: list[Entry] = [(i, rule.when) for i, rule in enumerate(rules)]
        self._lines: dict[str, Line] = {}

    def matched(self, context: Context) -> tuple[int, ...]:
        """Which rules hold, by their place in the policy."""
        line = self._lines.get(context.task)
        if line is None:
            if len(self._lines) >= MOST_TASKS:
                self._lines.clear()
            mine = [(i, when) for i, when in self._entries if not when.tasks or context.task in when.tasks]
            line = self._lines[context.task] = Line(mine)
        return line.matched(context)
