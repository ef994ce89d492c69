"""The catalog: what two maintained tables say about a model, litellm's (prices, limits, flags) and modelparams' (ranges).

Both are read as the JSON files that their wheels carry; importing the packages would cost seconds and memory.
"""

import importlib.util
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from policies.parameters import EFFORTS, PARAMETERS, Range

_TABLES = {"litellm": "model_prices_and_context_window_backup.json", "modelparams": "_generated/catalog.json"}
# Our providers, where the tables call them something else: (litellm, modelparams).
_ALIASES: Mapping[str, tuple[str, str]] = {
    "azure": ("azure", "openai"),
    "gemini": ("gemini", "google"),
    "zhipu": ("zai", "z-ai"),
    "dashscope": ("dashscope", "alibaba"),
    "fireworks": ("fireworks_ai/accounts/fireworks/models", "fireworks"),
}
# Weights on one's own machines: prices and limits of somebody's API say nothing about them.
SELF_HOSTED = frozenset({"vllm", "sglang", "llamacpp", "ollama", "ollama_translated"})
MOST_MODELS = 10_000
_EFFORT_PATHS = ("reasoning_effort", "reasoning.effort", "output_config.effort")

_USUAL_EFFORTS = ("low", "medium", "high")

# What is read of a row. The tables say a hundred things more about each of thousands of models: 9 MB in the place of 1.
_READ = (
    "default_reasoning_effort", "reasoning_effort_levels", "litellm_provider", "supports_reasoning", "supports_sampling_params",
    "max_output_tokens", "input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost",
    *(f"supports_{effort}_reasoning_effort" for effort in EFFORTS),
)  # fmt: skip
_READ_OF_PARAMS = ("path", "range", "values")

Entry = Mapping[str, Any]


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
    cached_input_cost: float | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict)


class Catalog:
    """Look-ups by the names that people give models: with or without vendor, region, date or version."""

    def __init__(self, models: Mapping[str, Any], entries: list[Any]) -> None:
        self._models = {name: _only(row, _READ) for name, row in models.items() if isinstance(row, dict)}
        self._by_provider: dict[tuple[str, str], list[Entry]] = {}
        self._by_model: dict[str, list[Entry]] = {}
        for entry in filter(_usable, entries):
            model = str(entry["model"]).lower()
            params = [_only(p, _READ_OF_PARAMS) for p in entry["params"] if isinstance(p, dict)]
            self._by_provider.setdefault((str(entry.get("provider")), model), params)
            self._by_model.setdefault(model, params)
        self._found: dict[tuple[str, str], ModelFacts] = {}

    @classmethod
    def load(cls) -> "Catalog":
        """Read both tables; one that is missing or changed its shape is an empty one."""
        models, entries = _json("litellm"), _json("modelparams")
        return cls(models if isinstance(models, dict) else {}, entries if isinstance(entries, list) else [])

    def facts(self, model: str, provider: str = "compatible") -> ModelFacts:
        """Facts of a model as this provider serves it; unknown models have none."""
        found = self._found.get((model, provider))
        if found is None:
            if len(self._found) >= MOST_MODELS:
                self._found.clear()
            found = ModelFacts() if provider in SELF_HOSTED else self._look_up(model, provider)
            self._found[(model, provider)] = found
        return found

    def _look_up(self, model: str, provider: str) -> ModelFacts:
        theirs, params_of = _ALIASES.get(provider, (provider, provider))
        names = list(_names(model))
        exact = [n for name in names for n in (f"{theirs}/{name}", name)]
        row = next((r for n in exact if (r := self._models.get(n)) is not None), None)
        own = next((p for n in names if (p := self._by_provider.get((params_of, n)))), [])
        anybodys = own or next((p for n in names if (p := self._by_model.get(n))), [])
        return _facts(row or {}, own, anybodys, known=row is not None)


def base_name(model: str) -> str:
    """The model's own name: lower case, without vendor, cloud region or hosting variant (`:free`)."""
    base = re.sub(r":(free|nitro|floor|online|extended)$", "", model.lower().rsplit("/", 1)[-1])
    return re.sub(r"^((us|us-gov|eu|apac|au|jp|global)\.)?(anthropic|openai|deepseek|qwen|mistral|meta)\.", "", base)


def _names(model: str) -> Iterator[str]:
    """The names to try, the most exact one first."""
    lower, base = model.lower(), base_name(model)
    plain = re.sub(r"-v\d+(:\d+)?$", "", base)
    undated = re.sub(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|latest|default)$", "", plain)
    dashed = undated.replace(".", "-") if undated.startswith("claude") else undated
    tails = (lower.split("/", 1)[-1], lower.rsplit("/", 1)[-1], base, plain, undated, dashed)
    yield from dict.fromkeys((model, lower, *tails))


def _usable(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("model"), str) and isinstance(entry.get("params"), list)


def _json(package: str) -> Any:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        try:
            return orjson.loads((Path(place) / _TABLES[package]).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            continue
    return None


def _only(row: Entry, keys: Iterable[str]) -> Entry:
    return {key: row[key] for key in keys if key in row}


def _facts(row: Entry, own: list[Entry], anybodys: list[Entry], *, known: bool) -> ModelFacts:
    """Effort levels belong to the model; ranges to the provider, and another one's are left alone."""
    return ModelFacts(
        known=known,
        reasoning=row.get("supports_reasoning") is True,
        sampling=False if row.get("supports_sampling_params") is False else None,
        default_effort=_effort(row.get("default_reasoning_effort")),
        efforts=_efforts(row, anybodys),
        max_output_tokens=_tokens(row.get("max_output_tokens")),
        input_cost=_number(row.get("input_cost_per_token")),
        output_cost=_number(row.get("output_cost_per_token")),
        cached_input_cost=_number(row.get("cache_read_input_token_cost")),
        ranges=_ranges(own),
    )


def _ranges(params: list[Entry]) -> Mapping[str, Range]:
    """Only where the table's path is the parameter's own name: `generationConfig.*` and the like are other wires."""
    return {
        str(p["path"]): Range(_number(p["range"].get("min")), _number(p["range"].get("max")))
        for p in params
        if p.get("path") in PARAMETERS and isinstance(p.get("range"), dict)
    }


def _efforts(row: Entry, params: list[Entry]) -> tuple[str, ...]:
    """The effort levels that a model takes, as either table lists them, or by litellm's flags around low to high."""
    said = (row.get("reasoning_effort_levels"), *(p.get("values") for p in params if p.get("path") in _EFFORT_PATHS))
    for levels in said:
        known = tuple(e for e in EFFORTS if isinstance(levels, list) and e in levels)
        if len(known) > 1 and row.get("litellm_provider") != "openai":  # whose levels litellm's flags have exactly
            return known
    if row.get("supports_reasoning") is not True:
        return ()
    flags = {e: row.get(f"supports_{e}_reasoning_effort") for e in EFFORTS}
    return tuple(e for e in EFFORTS if flags[e] is True or (e in _USUAL_EFFORTS and flags[e] is not False))


def _effort(value: Any) -> str | None:
    return value if value in EFFORTS else None


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None


def _tokens(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 1 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
