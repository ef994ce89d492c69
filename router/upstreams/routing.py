"""Routing: which upstream serves a model, and under which name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate

from router.errors import RequestError
from router.upstreams import translated
from router.upstreams.seam import Upstream

MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model is served. `model` is its name upstream."""

    upstream: Upstream
    model: str
    provider: str


class Routes:
    """Finds the upstream of a model: the first whose globs match, in the order of the settings."""

    def __init__(self, upstreams: Sequence[tuple[Upstream, Mapping[str, str]]]) -> None:
        self._upstreams = tuple(upstreams)
        self._patterns = [
            (u, re.compile(translate(glob), re.IGNORECASE), target)
            for u, serves in upstreams
            for glob, target in serves.items()
        ]
        self._known: dict[str, Route] = {}

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """All of them, the default one first."""
        return tuple(u for u, _ in self._upstreams)

    @property
    def named(self) -> list[tuple[str, str]]:
        """(model, upstream) for every model that the settings name without a wildcard."""
        return [(m, u.name) for u, serves in self._upstreams for m in serves if not set(m) & set("*?[")]

    def serves(self, upstream: Upstream, model: str) -> bool:
        """Whether requests for a model go to that upstream."""
        route = self._find(model)
        return route is not None and route.upstream is upstream

    def of(self, model: str) -> Route:
        """The route of a model. Raises RequestError model_not_found."""
        route = self._known.get(model) or self._find(model)
        if route is None:
            raise RequestError(
                "model_not_found",
                f"No upstream serves the model {model[:100]!r}; GET /v1/models lists those that are served.",
                "model",
            )
        if len(self._known) < MOST_REMEMBERED and route.provider != "compatible":
            self._known[model] = route
        return route

    def _find(self, model: str) -> Route | None:
        for upstream, pattern, target in self._patterns:
            if pattern.match(model):
                name = target or model
                provider = (
                    translated.provider_of(name)
                    if isinstance(upstream, translated.TranslatedUpstream)
                    else upstream.provider
                )
                return Route(upstream, name, provider)
        return None
