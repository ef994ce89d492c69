"""Rung 10: make the decided parameters legal for the model that will answer, and say what that took."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from policies.catalog import Catalog, ModelFacts
from policies.fitting import ASKED, Fitting, fixed, refused_by_mode, thinks, yields
from policies.overlay import Limits, Overlay, merged
from policies.parameters import PARAMETERS, Change, Range, Value
from policies.wire import READ, Place

OVERLAY = Path(__file__).parent / "capabilities.yaml"

MOST_TARGETS = 4_096


@dataclass(frozen=True, slots=True)
class Target:
    """Who will answer: the model's name as it is sent, the dialect of its server, and the API shape."""

    model: str
    provider: str = "compatible"
    surface: str = "chat"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters as they are sent, and every change on the way there."""

    params: Mapping[str, Value]
    changes: tuple[Change, ...] = ()


class Capabilities:
    """The overlay over the catalog. Everything about one target is merged once and kept.

    `looked_at`: the keys of a body that anything here, or a place in the body that it names, depends on.
    """

    def __init__(self, overlay: Overlay, catalog: Catalog) -> None:
        self._overlay, self._catalog = overlay, catalog
        self._targets: dict[Target, Limits] = {}
        places = [
            Place.parse(text) for row in (*overlay.providers.values(), *overlay.models) for text in row.names.values()
        ]
        self.looked_at = READ | ASKED | {place.path[0] for place in places}

    @classmethod
    def load(cls, path: Path = OVERLAY, catalog: Catalog | None = None) -> "Capabilities":
        """Read the overlay. Raises pydantic's ValidationError for an overlay that says what it may not."""
        return cls(Overlay.model_validate(yaml.safe_load(path.read_text("utf-8"))), catalog or Catalog.load())

    def facts(self, target: Target) -> ModelFacts:
        """What the catalog knows about the model."""
        return self._limits(target).facts

    def names(self, target: Target) -> Mapping[str, Place]:
        """Where this target wants parameters that do not stand in the usual place."""
        return self._limits(target).names

    def thinking(self, target: Target, body: Mapping[str, Any], params: Mapping[str, Value] | None = None) -> bool:
        """Whether the model will think before it answers: as the request says, or as the model does by itself."""
        return thinks(self._limits(target), params or {}, body)

    def honours(
        self, param: str, target: Target, params: Mapping[str, Value], body: Mapping[str, Any]
    ) -> Range | tuple[str, ...] | None:
        """The values of a parameter that have an effect beside the others; None when it has none, and so no arms."""
        limits = self._limits(target)
        thinking = thinks(limits, params, body)
        if limits.refusal(param) or refused_by_mode(limits, param, thinking) or param in fixed(limits, thinking):
            return None
        if yields(limits, param, params, body) or (param == "thinking_budget" and params.get("thinking") is False):
            return None
        if param == "reasoning_effort":
            return limits.efforts or None
        row = PARAMETERS[param]
        return row.choices or limits.ranges.get(param) or Range(row.low, row.high)

    def fit(
        self, params: Mapping[str, Value], target: Target, body: Mapping[str, Any], client: frozenset[str] = frozenset()
    ) -> Fitted:
        """Parameters that the target takes. `client`: those whose value is the client's own. Adds no parameter."""
        fitting = Fitting(dict(params), self._limits(target), body, client)
        fitting.refuse_unknown()
        fitting.agree_on_thinking()
        fitting.clamp()
        fitting.make_room_for_thinking()
        fitting.refuse_by_mode()
        fitting.settle_pairs()
        return Fitted(fitting.params, tuple(fitting.changes))

    def _limits(self, target: Target) -> Limits:
        found = self._targets.get(target)
        if found is None:
            if len(self._targets) >= MOST_TARGETS:
                self._targets.clear()
            facts = self._catalog.facts(target.model, target.provider)
            found = merged(self._overlay, facts, target.model, target.provider, target.surface)
            self._targets[target] = found
        return found
