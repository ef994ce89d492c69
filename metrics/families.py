"""The table of metrics: every series that Setpoint exports, with its labels. The reference page is derived from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "summary"]
# How a gauge is put together from several workers.
Merge = Literal["mostrecent", "livesum", "livemin"]

# OpenTelemetry's buckets for gen_ai.client.operation.duration (semantic-conventions-genai, gen-ai-metrics.md), and less
# than a millisecond to 50 ms for what this proxy adds itself.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
_LAG = (1, 10, 60, 600, 3_600, 21_600, 86_400, 259_200, 604_800)
_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_VALUES = (-2, -1, 0, *_TENTHS, 1.2, 1.5, 2, 8, 64, 256, 1_024, 4_096, 16_384, 65_536)  # from penalties to token limits


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, named without the prefix `setpoint_`; counters are exported with `_total` behind the name."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Merge = "mostrecent"


_TABLE: tuple[Family, ...] = (
    Family("requests", "counter", "Requests by how they ended.", ("surface", "model", "task", "outcome")),
    Family("rejected", "counter", "Requests refused before a decision, by error code.", ("surface", "code")),
    Family("request_seconds", "histogram", "Time from the request to the end of its answer.", ("model",), _SECONDS),
    Family("overhead_seconds", "histogram", "Part of that not spent waiting for the upstream.", (), _OVERHEAD),
    Family("time_to_first_token_seconds", "histogram", "Time to the first token of a stream.", ("model",), _SECONDS),
    Family("tokens", "counter", "Tokens that upstreams reported.", ("model", "direction")),
    Family("cost_usd", "counter", "Price of answered requests, in US dollars.", ("model",)),
    Family("parameter_value", "histogram", "Effective values of numeric parameters.", ("parameter", "task"), _VALUES),
    Family("parameter_decided", "counter", "Parameters by which rung decided them.", ("parameter", "by")),
    Family("parameter_dropped", "counter", "Parameters that were not sent, by reason.", ("parameter", "reason")),
    Family("parameter_adjusted", "counter", "Parameters that were sent changed, by reason.", ("parameter", "reason")),
    Family("not_effective", "counter", "Requests whose tuned parameter did not reach the model.", ("model",)),
    Family("classifier_confidence", "histogram", "Confidence of verdicts.", ("task",), _TENTHS),
    Family("classifier_abstained", "counter", "Prompts that the classifier left at general."),
    Family("classifier_failures", "counter", "Prompts on which the classifier failed."),
    Family("classifier_info", "gauge", "1 for the artefact in use.", ("role", "digest", "rows")),
    Family("classifier_reloads", "counter", "Reloads of a classifier artefact.", ("role", "result")),
    Family("classifier_invalid", "gauge", "1 while the artefact on disk is refused.", ("role",)),
    Family(
        "classifier_shadow",
        "counter",
        "Asks by the live verdict and by the shadow's, since either artefact was changed.",
        ("task", "shadow_task", "same"),
    ),
    Family(
        "classifier_judged",
        "counter",
        "Asks whose task the app declared or feedback told, by what live and shadow had said: right, wrong, abstained, none.",
        ("task", "by", "live", "shadow"),
    ),
    Family("classifier_not_audited", "counter", "Answered asks that were not compared, by reason.", ("reason",)),
    Family("arm_draws", "counter", "Draws of an arm.", ("task", "model", "parameter", "arm")),
    Family(
        "reward", "summary", "Rewards in [0, 1] by arm and signal.", ("task", "model", "parameter", "arm", "signal")
    ),
    Family("arm_probability", "gauge", "Allocation.", ("task", "model", "turn", "parameter", "arm")),
    Family("explored", "counter", "Requests that got another arm than the policy's own value."),
    Family("decided", "counter", "Requests for which an arm was drawn."),
    Family("learning_paused", "gauge", "1 while the operator has paused learning."),
    Family("rollbacks", "counter", "Cells held at the policy's own value, by cause.", ("task", "model", "cause")),
    Family(
        "changes_found", "counter", "Cells whose evidence was discounted as of a world that changed.", ("task", "model")
    ),
    Family("feedback", "counter", "Feedback items by what became of them.", ("signal", "result")),
    Family("feedback_lag_seconds", "histogram", "Time from a decision to its feedback.", (), _LAG),
    Family("regenerations", "counter", "Answers that the user asked for again.", ("model",)),
    Family("truncated", "counter", "Answers cut off by the token limit.", ("model", "task")),
    Family("json_invalid", "counter", "Answers that should have been JSON and are not.", ("model", "task")),
    Family("refusals", "counter", "Answers that open with a refusal.", ("model", "task")),
    Family("repetition_ratio", "histogram", "Share of repeated 4-grams in answers.", ("model",), _TENTHS),
    Family("store_up", "gauge", "1 while the store answers.", merge="livemin"),
    Family("store_buffered_events", "gauge", "Events that wait for the store.", merge="livesum"),
    Family("store_shed", "counter", "Events dropped because a buffer was full.", ("kind",)),
    Family("store_down_seconds", "counter", "Time without a store."),
    Family("store_corrupt", "counter", "Stored values that made no sense and were skipped."),
    Family("policy_reloads", "counter", "Policy reloads.", ("result",)),
    Family("policy_failures", "counter", "Requests that went out as they came because the policy failed on them."),
    Family("policy_info", "gauge", "1 for the policy in force.", ("policy", "digest")),
    Family("policy_invalid", "gauge", "1 while the policy on disk is refused and the one before is in force."),
    Family("upstream_errors", "counter", "Failed calls of upstreams.", ("upstream", "kind")),
    Family("client_disconnects", "counter", "Clients that hung up before the end."),
    Family("learning_failures", "counter", "Failures of learning that requests did not notice."),
)

PREFIX = "setpoint_"
FAMILIES: Mapping[str, Family] = MappingProxyType({f.name: f for f in _TABLE})
