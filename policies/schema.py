"""The JSON Schema of a policy file, for editors: the document's own, with every parameter spelt out from the table."""

from typing import Any

from policies.conditions import CONDITIONS
from policies.document import ClientRule, Document
from policies.parameters import PARAMETERS, Param
from policies.schedule import SHAPES

_BY = {"enum": ["turn", "attempt"], "default": "turn", "description": "What the schedule counts."}
_OVER = {"type": "integer", "minimum": 1, "default": 1}


def schema() -> dict[str, Any]:
    """The schema as JSON, draft 2020-12."""
    document = Document.model_json_schema()
    document |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Setpoint policy"}
    settings = _mapping({p.name: _setting(p) for p in PARAMETERS.values()})
    numeric = {p.name: {"$ref": "#/$defs/Bound"} for p in PARAMETERS.values() if p.numeric}
    definitions = document["$defs"]
    definitions["Bound"] = {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2, "maxItems": 2}
    definitions["Settings"] = settings
    for name in ("Block", "ModelBlock", "Task", "Rule"):
        properties = definitions[name]["properties"]
        properties["set"] |= {"$ref": "#/$defs/Settings"}
        properties["bounds"] |= _mapping(numeric)
        properties["ignore_client_values"] |= _mapping({p: {"type": "array"} for p in PARAMETERS})
        properties["client"] = {"anyOf": [_client(), _mapping({p: _client() for p in PARAMETERS})]}
    definitions["Rule"]["properties"]["when"] |= _mapping({key: {} for key in CONDITIONS})
    definitions["Vendor"]["properties"]["set"] |= {"$ref": "#/$defs/Settings"}
    definitions["Vendor"]["properties"]["tasks"]["additionalProperties"] = {"$ref": "#/$defs/Settings"}
    return document


def _mapping(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _client() -> dict[str, Any]:
    return {"enum": list(ClientRule.__args__)}  # type: ignore[attr-defined]  # a Literal has its members there


def _setting(param: Param) -> dict[str, Any]:
    """A plain value, `unset`, or a schedule of plain values."""
    choices = [_plain(param), {"const": "unset"}]
    if param.numeric:
        values = {"type": "array", "items": _plain(param), "minItems": 1}
        ends = {**values, "minItems": 2, "maxItems": 2}
        steps = {"first": _plain(param), "then": _plain(param), "over": _OVER, "by": _BY}
        choices += [values, _mapping({"values": values, "by": _BY}), {**_mapping(steps), "required": ["first", "then"]}]
        choices += [{**_mapping({s: ends, "over": _OVER, "by": _BY}), "required": [s]} for s in SHAPES]
    return {"description": param.help, "anyOf": choices}


def _plain(param: Param) -> dict[str, Any]:
    if param.kind == "strings":
        return {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    if param.kind == "flag":
        return {"type": "boolean"}
    if param.kind == "choice":
        return {"enum": list(param.choices)}
    limits = {"minimum": param.low, "maximum": param.high}
    return {"type": param.kind, **{k: v for k, v in limits.items() if v is not None}}
