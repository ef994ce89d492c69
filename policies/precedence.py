"""Rung 8: the client's own values against the policy's, parameter by parameter."""

from collections.abc import Mapping
from typing import Any

from policies.document import ClientRule
from policies.errors import PolicyError
from policies.ladder import Ladder
from policies.parameters import PARAMETERS, Range, Value


class ParameterForbiddenError(PolicyError):
    """The policy forbids clients to send a parameter; the request is refused."""

    def __init__(self, param: str) -> None:
        self.param = param
        super().__init__(f"The policy does not let clients set {param}; leave it out of the request.")


def settle(
    ladder: Ladder,
    client: Mapping[str, Value],
    rules: Mapping[str, ClientRule],
    ignored: Mapping[str, tuple[Any, ...]],
    bounds: Mapping[str, Range],
) -> frozenset[str]:
    """Let each value that the client sent win, lose or be clamped; returns the parameters whose value is the client's.

    Raises ParameterForbiddenError.
    """
    won = set()
    for param, value in client.items():
        rule = rules.get(param) or rules.get("*", "default")
        if value in ignored.get(param, ()):
            ladder.note("client", f"ignored: the client's {value!r} counts as not sent", param)
        elif rule == "forbid":
            raise ParameterForbiddenError(param)
        elif rule == "override" and param in ladder.values:
            ladder.note("client", f"override: the client's {value!r} is not used", param)
        else:
            ladder.put(
                "client", rule, param, _clamped(ladder, param, value, bounds.get(param)) if rule == "clamp" else value
            )
            won.add(param)
    return frozenset(won)


def _clamped(ladder: Ladder, param: str, value: Value, bounds: Range | None) -> Value:
    """Within the bounds; without any, the policy's own value is the ceiling of what costs money (max_tokens)."""
    row, own = PARAMETERS[param], ladder.values.get(param)
    if not row.numeric or isinstance(value, str | tuple):
        return value
    if bounds is None and row.ceiling and isinstance(own, int | float):
        bounds = Range(None, own)
    clamped = bounds.clamp(value) if bounds else value
    return int(clamped) if row.kind == "integer" else clamped
