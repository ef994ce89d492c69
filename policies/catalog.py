"""The catalog: what two maintained tables say about a model, litellm's (prices, limits, flags) and modelparams' (ranges).

Both are read as the JSON files that their wheels carry; importing the packages would cost seconds and memory.
"""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from policies.parameters import EFFORTS, PARAMETERS, Range

_TABLES = {"litellm": "model_prices_and_context_window_backup.json", "modelparams": "_generated/catalog.json"}
_VENDOR_PREFIXES = (
    "openai",
    "anthropic",
    "gemini",
    "deepseek",
    "xai",
    "mistral",
    "groq",
    "moonshot",
    "zai",
    "dashscope",
)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known about one model. Costs in USD per token; None where nobody says."""

    known: bool = False
    reasoning: bool = False
    sampling: bool | None = None  # False: takes no temperature, top_p and the like
    default_effort: str | None = None
    efforts: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    input_cost: float | None = None
    output_cost: float | None = None
    deprecation_date: str | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict)


class Catalog:
    """Look-ups by the names that people give models: with or without vendor, region, date or version."""

    def __init__(
        self, models: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, list[Mapping[str, Any]]]
    ) -> None:
        self._models, self._parameters = models, parameters
        self._found: dict[str, ModelFacts] = {}

    @classmethod
    def load(cls) -> "Catalog":
        """Read both tables; one that is missing or changed its shape is an empty one."""
        models = _json("litellm")
        entries = _json("modelparams")
        rows = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
        parameters = {
            str(e.get("model", "")).lower(): e["params"] for e in reversed(rows) if isinstance(e.get("params"), list)
        }
        return cls(models if isinstance(models, dict) else {}, parameters)

    def facts(self, model: str) -> ModelFacts:
        """Facts of a model; unknown models have none."""
        found = self._found.get(model)
        if found is None:
            if len(self._found) > 10_000:
                self._found.clear()
            found = self._found[model] = self._look_up(model)
        return found

    def _look_up(self, model: str) -> ModelFacts:
        names = _names(model)
        row = next((self._models[n] for n in names if isinstance(self._models.get(n), dict)), {})
        params = next((self._parameters[n] for n in names if n in self._parameters), [])
        return ModelFacts(
            known=bool(row),
            reasoning=row.get("supports_reasoning") is True,
            sampling=False if row.get("supports_sampling_params") is False else None,
            default_effort=_text(row.get("default_reasoning_effort")),
            efforts=_efforts(row, params),
            max_output_tokens=_number(row.get("max_output_tokens"), int),
            input_cost=_number(row.get("input_cost_per_token"), float),
            output_cost=_number(row.get("output_cost_per_token"), float),
            deprecation_date=_text(row.get("deprecation_date")),
            ranges={
                str(p["path"]): _range(p["range"])
                for p in params
                if p.get("path") in PARAMETERS and isinstance(p.get("range"), dict)
            },
        )


def _json(package: str) -> Any:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    try:
        return orjson.loads((Path(next(iter(places or ()))) / _TABLES[package]).read_bytes())
    except (StopIteration, OSError, orjson.JSONDecodeError):
        return {}


def _names(model: str) -> list[str]:
    """The names to try, the most exact one first."""
    lower = model.lower()
    base = lower.rsplit("/", 1)[-1].split(":")[0]
    base = re.sub(r"^(us|eu|apac|global)\.", "", base).removeprefix("anthropic.")
    undated = re.sub(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|latest)(-v\d+)?$", "", base)
    dashed = undated.replace(".", "-") if undated.startswith("claude") else undated
    bare = list(dict.fromkeys((model, lower, base, undated, dashed)))
    return bare + [f"{vendor}/{name}" for name in bare[2:] for vendor in _VENDOR_PREFIXES]


def _efforts(row: Mapping[str, Any], params: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """The effort levels that a model takes: as modelparams lists them, or by litellm's flags around low to high."""
    listed = next(
        (p.get("values") for p in params if p.get("path") in ("reasoning_effort", "output_config.effort")), None
    )
    if isinstance(listed, list) and listed:
        return tuple(e for e in EFFORTS if e in listed)
    if row.get("supports_reasoning") is not True:
        return ()
    flags = {e for e in EFFORTS if row.get(f"supports_{e}_reasoning_effort") is True}
    return tuple(e for e in EFFORTS if e in flags | {"low", "medium", "high"})


def _range(raw: Mapping[str, Any]) -> Range:
    return Range(_number(raw.get("min"), float), _number(raw.get("max"), float))


def _number(value: Any, kind: type) -> Any:
    return kind(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
