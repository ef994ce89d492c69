"""From what the files say to what the engine runs: every value checked against the parameter table."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from policies import document as doc
from policies.conditions import compile_when, globs
from policies.errors import Problem, did_you_mean
from policies.parameters import PARAMETERS, Param, Range, Value
from policies.policy import Adaptation, Block, ModelBlock, Policy, Rule, Vendor
from policies.values import UNSET, Setting, parse, plain

T = TypeVar("T")
MOST_ARMS = 12


class Compiler:
    """Takes documents in order and collects problems; `policy` gives the whole."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._file = ""
        self._vendors: list[Vendor] = []
        self._defaults: list[Block] = []
        self._tasks: dict[str, list[Block]] = {}
        self._models: dict[str, list[ModelBlock]] = {}
        self._rules: list[Rule] = []
        self._blend = False
        self._task_blend: dict[str, bool] = {}
        self._adapt: dict[str, Any] = {}
        self._task_adapt: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, str] = {}

    def add(self, file: str, document: doc.Document) -> None:
        """Compile one file's document after those before it."""
        self._file = file
        self._vendors += [self._vendor(i, v) for i, v in enumerate(document.vendors)]
        self._defaults.append(self._block("defaults", document.defaults))
        if document.blend is not None:
            self._own("blend")
            self._blend = document.blend
        for name, task in document.tasks.items():
            self._tasks.setdefault(name, []).append(self._block(f"tasks.{name}", task))
            self._models.setdefault(name, []).extend(
                ModelBlock(globs(m.match), self._block(f"tasks.{name}.models.{i}", m))
                for i, m in enumerate(task.models)
            )
            if task.blend is not None:
                self._own(f"tasks.{name}.blend")
                self._task_blend[name] = task.blend
            if task.adapt:
                self._task_adapt.setdefault(name, {}).update(self._adaptation(f"tasks.{name}.adapt", task.adapt))
        for i, rule in enumerate(document.rules):
            self._rule(i, rule)
        self._adapt.update(self._adaptation("adapt", document.adapt))

    def policy(self, name: str, digest: str) -> Policy:
        """All that was added, as one policy."""
        modes = self._adapt.pop("mode", {})
        base = Adaptation(**{**self._adapt, "mode": modes.get("default", "observe")})
        tasks = {
            t: {**self._adapt, **({"mode": m} if (m := modes.get(t)) else {"mode": base.mode})}
            for t in {*modes, *self._task_adapt}
        }
        for task, own in self._task_adapt.items():
            mode = own.pop("mode", {})
            tasks[task] |= own | ({"mode": mode["default"]} if mode else {})
        return Policy(
            name,
            digest,
            tuple(self._vendors),
            tuple(b for b in self._defaults if b.set or b.client or b.ignored or b.bounds),
            {t: tuple(b) for t, b in self._tasks.items()},
            {t: tuple(m) for t, m in self._models.items() if m},
            tuple(self._rules),
            self._blend,
            dict(self._task_blend),
            base,
            {t: Adaptation(**a) for t, a in tasks.items() if t != "default"},
        )

    def _problem(self, key: str, reason: str, suggestion: str = "") -> None:
        self._problems.append(Problem(self._file, key, reason, suggestion))

    def _checked(self, key: str, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except ValueError as e:
            self._problem(key, str(e))
            return None

    def _param(self, key: str, name: str) -> Param | None:
        if name not in PARAMETERS:
            self._problem(f"{key}.{name}", "unknown parameter", did_you_mean(name, PARAMETERS))
        return PARAMETERS.get(name)

    def _settings(self, key: str, raw: Mapping[str, Any]) -> dict[str, Setting]:
        settings = {}
        for name, value in raw.items():
            param = self._param(key, name)
            setting = self._checked(f"{key}.{name}", lambda p=param, v=value: parse(p, v)) if param else None  # type: ignore[misc]
            if setting is not None:
                settings[name] = setting
        return settings

    def _block(self, key: str, block: doc.Block) -> Block:
        for name in block.set:
            self._own(f"{key}.set.{name}")
        return Block(
            f"{self._file}: {key}",
            self._settings(f"{key}.set", block.set),
            self._client(key, block.client),
            self._ignored(f"{key}.ignore_client_values", block.ignore_client_values),
            self._bounds(f"{key}.bounds", block.bounds),
        )

    def _own(self, key: str) -> None:
        """Two files that set the same key differ by accident; nobody would guess which wins."""
        owner = self._owners.setdefault(key, self._file)
        if owner != self._file:
            self._problem(key, f"is also set in {owner}", "keep it in one file")

    def _client(self, key: str, raw: Any) -> dict[str, doc.ClientRule]:
        if raw is None:
            return {}
        if isinstance(raw, str):
            return {"*": cast(doc.ClientRule, raw)}
        return {name: rule for name, rule in raw.items() if self._param(f"{key}.client", name)}

    def _ignored(self, key: str, raw: Mapping[str, list[Any]]) -> dict[str, tuple[Any, ...]]:
        known = {n: v for n, v in raw.items() if self._param(key, n)}
        return {n: tuple(tuple(x) if isinstance(x, list) else x for x in v) for n, v in known.items()}

    def _bounds(self, key: str, raw: Mapping[str, list[float | None]]) -> dict[str, Range]:
        bounds = {}
        for name, (low, high) in raw.items():
            param = self._param(key, name)
            if param and not param.numeric:
                self._problem(f"{key}.{name}", f"{name} has no range to bound")
            elif low is not None and high is not None and low > high:
                self._problem(f"{key}.{name}", f"the lowest, {low:g}, is above the highest, {high:g}")
            elif param:
                bounds[name] = Range(low, high)
        return bounds

    def _rule(self, i: int, rule: doc.Rule) -> None:
        owner = self._owners.setdefault(f"rule {rule.name}", self._file)
        if owner != self._file or any(r.name == rule.name for r in self._rules):
            self._problem(f"rules.{i}.name", f"{rule.name!r} names two rules", "give each its own name")
        when = self._checked(f"rules.{i}.when", lambda: compile_when(rule.when))
        block = self._block(f"rules.{rule.name}", rule)
        if when is not None:
            self._rules.append(Rule(rule.name, when, block))

    def _vendor(self, i: int, vendor: doc.Vendor) -> Vendor:
        thinking = None if vendor.mode is None else vendor.mode == "thinking"
        tasks = {t: self._settings(f"vendors.{i}.tasks.{t}", s) for t, s in vendor.tasks.items()}
        name = f"{self._file}: {vendor.match[0]}"
        return Vendor(globs(vendor.match), thinking, name, self._settings(f"vendors.{i}.set", vendor.set), tasks)

    def _adaptation(self, key: str, adapt: doc.Adapt) -> dict[str, Any]:
        said = adapt.model_dump(exclude_none=True)
        if "mode" in said:
            said["mode"] = {"default": adapt.mode} if isinstance(adapt.mode, str) else adapt.mode
        if adapt.arms is not None:
            said["arms"] = {n: a for n, values in adapt.arms.items() if (a := self._arms(f"{key}.arms", n, values))}
        if adapt.objective is not None:
            said["objective"] = self._weights(f"{key}.objective", adapt.objective)
        return said

    def _weights(self, key: str, objective: doc.Objective) -> dict[str, float]:
        weights = objective.model_dump()
        total = sum(weights.values())
        if total <= 0:
            self._problem(key, "all weights are 0", "give quality a weight above 0")
        return {k: v / total for k, v in weights.items()} if total > 0 else weights

    def _arms(self, key: str, name: str, values: list[Any]) -> tuple[Value | None, ...]:
        param = self._param(key, name)
        if param is None:
            return ()
        if param.kind == "strings" or not 2 <= len(values) <= MOST_ARMS:
            self._problem(f"{key}.{name}", f"needs 2 to {MOST_ARMS} values of a number, a choice or a flag")
            return ()
        arms = [
            None if v == UNSET.value else self._checked(f"{key}.{name}.{i}", lambda v=v: plain(param, v))  # type: ignore[misc]
            for i, v in enumerate(values)
        ]
        return tuple(dict.fromkeys(_in_order(param, arms)))


def _in_order(param: Param, arms: list[Value | None]) -> list[Value | None]:
    """Numbers ascend and choices keep the table's order, `unset` last: neighbours in the list are neighbours in effect."""
    given = [a for a in arms if a is not None]
    rank: Callable[[Any], float] = param.choices.index if param.choices else float
    return [*sorted(given, key=rank), *([None] if None in arms else [])]
