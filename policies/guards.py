"""Guards: precedence, ignored values and bounds of all blocks that apply to a request."""

from collections.abc import Iterable
from typing import Any

from policies.document import ClientRule
from policies.parameters import Range
from policies.policy import Block


class Guards:
    """Later words win, and bounds only ever narrow."""

    __slots__ = ("bounds", "client", "ignored")

    def __init__(self, blocks: Iterable[Block]) -> None:
        self.client: dict[str, ClientRule] = {}
        self.ignored: dict[str, tuple[Any, ...]] = {}
        self.bounds: dict[str, Range] = {}
        for block in blocks:
            if "*" in block.client:
                self.client.clear()
            self.client.update(block.client)
            self.ignored.update(block.ignored)
            for param, limits in block.bounds.items():
                self.bounds[param] = self.bounds[param].narrowed(limits) if param in self.bounds else limits

    def client_wins(self, param: str, value: Any) -> bool:
        """Whether the client's value would decide the parameter, so that an arm could not."""
        rule = self.client.get(param) or self.client.get("*", "default")
        return rule != "override" and value not in self.ignored.get(param, ())
