"""What the terminal shows of a decision."""

import io
from typing import Any, cast

from rich.console import Console

from classifier.verdict import Verdict
from policies.allocation import Allocations
from policies.capability import Capabilities
from policies.context import Context
from policies.engine import Engine
from policies.loading import parse
from router.explaining import as_json, show
from router.pipeline import Prepared

POLICY = """
version: 1
defaults: {set: {temperature: 0.5, top_p: 0.9}}
adapt: {mode: apply, arms: {temperature: [0.5, 0.8], top_p: [0.5, 0.9]}}
"""
FIRST = "*|code|gpt-4.1|direct|1|temperature"


def prepared(session: str) -> Prepared:
    """A request of a session where temperature has settled at 0.8."""
    table = Allocations("v", {f"{FIRST[:-11]}top_p@temperature=0.8": {"0.5": 1.0}}, {FIRST: "0.8"})
    context = Context(task="code", model="gpt-4.1", provider="openai", session=session)
    decision = Engine(parse({"p.yaml": POLICY}, "p"), Capabilities.load()).decide(context, {}, table)
    none = cast(Any, None)
    verdict = Verdict("code", 1.0, (), "declared")
    return Prepared("dec_1", none, "t", none, none, verdict, None, context, decision, b"")


def test_both_parameters_stand_in_the_terminal_and_in_json() -> None:
    found = next(p for n in range(99) if (p := prepared(f"s{n}")).decision.draw and p.decision.params["top_p"] == 0.5)
    out = io.StringIO()
    show(found, Console(file=out, width=200))
    assert "arm top_p=0.5 of 0.5, 0.9, propensity 0.95, beside temperature=0.8" in out.getvalue()
    assert "0.8 has settled, and top_p is tuned beside it" in out.getvalue()
    arm = as_json(found)["arm"]
    assert (arm["parameter"], arm["beside"]) == ("top_p", {"temperature": "0.8"})
