"""Explain: the ladder of one decision, as JSON and as a table for people."""

from typing import Any

from rich.console import Console
from rich.table import Table

from policies.parameters import Value
from router.pipeline import Prepared


def as_json(prepared: Prepared) -> dict[str, Any]:
    """Everything that was decided and why."""
    context, decision, draw = prepared.context, prepared.decision, prepared.decision.draw
    return {
        "task": prepared.verdict.task,
        "confidence": round(prepared.verdict.confidence, 4),
        "runners_up": [{"task": t, "confidence": round(c, 4)} for t, c in prepared.verdict.runners_up],
        "verdict": prepared.verdict.source,
        "turn": context.turn,
        "attempt": context.attempt,
        "language": context.language,
        "model": context.model,
        "upstream": context.upstream,
        "provider": context.provider,
        "policy": decision.policy,
        "mode": decision.mode,
        "rules": list(decision.rules),
        "params": dict(decision.params),
        "decided_by": dict(decision.decided_by),
        "dropped": [{"parameter": p, "reason": r} for p, r in decision.dropped],
        "arm": draw and {
            "cell": draw.cell, "parameter": draw.parameter, "arm": draw.arm, "propensity": draw.propensity,
            "baseline": draw.baseline, "grid": list(draw.grid), "beside": dict(draw.held),
        },
        "effective": decision.effective,
        "ladder": [
            {"rung": s.rung, "source": s.source, "parameter": s.param, "before": s.before, "after": s.after} for s in decision.steps
        ],
    }  # fmt: skip


def show(prepared: Prepared, console: Console) -> None:
    """The ladder in the terminal."""
    context, decision = prepared.context, prepared.decision
    confidence = f"{prepared.verdict.confidence:.2f}"
    console.print(
        f"[bold]{prepared.verdict.task}[/] (confidence {confidence}, {prepared.verdict.source}), turn {context.turn}",
        highlight=False,
    )
    others = ", ".join(f"{t} {c:.2f}" for t, c in prepared.verdict.runners_up[:3])
    if others:
        console.print(f"runners-up: {others}", style="dim", highlight=False)
    console.print(
        f"model {context.model} by {context.upstream} ({context.provider}), policy {decision.policy}\n", highlight=False
    )
    table = Table("rung", "parameter", "before", "after", "why", box=None, pad_edge=False)
    for step in decision.steps:
        changed = step.before != step.after
        table.add_row(
            step.rung,
            step.param,
            _shown(step.before),
            _shown(step.after),
            step.source,
            style=None if changed else "dim",
        )
    console.print(table)
    console.print(
        "\n[bold]sent[/] " + (", ".join(f"{k}={_shown(v)}" for k, v in decision.params.items()) or "nothing of ours"),
        highlight=False,
    )
    for name, reason in decision.dropped:
        console.print(f"[yellow]not sent[/] {name}: {reason}", highlight=False)
    if draw := decision.draw:
        console.print(
            f"[bold]arm[/] {draw.parameter}={draw.arm} of {', '.join(draw.grid)}, propensity {draw.propensity:.3g}"
            + "".join(f", beside {parameter}={arm}" for parameter, arm in draw.held),
            highlight=False,
        )


def _shown(value: Value | None) -> str:
    if value is None:
        return "-"
    return (
        ", ".join(repr(v) for v in value)
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
