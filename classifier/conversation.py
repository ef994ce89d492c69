"""Conversations: what surrounds an ask says what it is likely to be before it is read.

Each piece of evidence is a list of probabilities over the tasks. The ask's own is multiplied with what the system prompt, the
conversation so far and the shape of the request make likely, each with a share of doubt spread over all tasks, so that a clear
ask wins against any of them. The constants were chosen on 240 written conversations (classifier/validation/conversations.jsonl):
those that do best on the English half do on the Chinese half what its own do, within 0.08.
"""

import math
from collections.abc import Sequence

from classifier.ask import Ask
from classifier.followup import is_follow_up, length

SYSTEM_DOUBT = 0.1  # the system prompt may be about something else
ASK_UNDER_SYSTEM = 0.7  # what an ask says counts less where the system prompt instructs: it may be the material
SHIFT = 0.1  # the doubt that a very short ask goes on with what was asked before
STANDS_ALONE = 300  # characters (a Chinese one counts as three) from which on an ask says nothing about the one before
FOLLOW_UP = 0.1  # what the words of a mere follow-up ("shorter please") count
JSON = {"extraction": 2.0, "classification": 1.5}  # an answer wanted as JSON makes these likelier, by these factors
IMAGES = {"closed_qa": 2.0, "extraction": 1.5}  # and an image these: it is the text that a question is about
PERSONA = "chat"  # what system prompts without an instruction look like

_LEAST = 1e-6

Probabilities = Sequence[float]


def pooled(
    tasks: Sequence[str],
    ask: Ask,
    own: Probabilities | None,
    system: Probabilities | None,
    before: Probabilities | None,
) -> list[float] | None:
    """(tasks,) probabilities of an ask, with what surrounds it; None without any evidence."""
    if own is None and system is None and before is None:
        return None
    follows = before is not None and is_follow_up(ask.text)
    trust = (ASK_UNDER_SYSTEM if system else 1.0) * (FOLLOW_UP if follows else 1.0)
    said = [trust * math.log(p + _LEAST) for p in own] if own else [0.0] * len(tasks)
    if system:
        said = _plus(said, _instructed(tasks, system), SYSTEM_DOUBT)
    if before:
        doubt = 0.0 if follows else SHIFT + (1 - SHIFT) * min(length(ask.text) / STANDS_ALONE, 1.0)
        said = _plus(said, before, doubt)
    if own:
        for wanted, factors in ((ask.wants_json, JSON), (ask.images, IMAGES)):
            if wanted:
                said = [s + math.log(factors.get(t, 1.0)) for s, t in zip(said, tasks, strict=True)]
    return normalised(said)


def normalised(said: Sequence[float], scale: float = 1.0) -> list[float]:
    """Probabilities from log-odds."""
    most = max(said)
    e = [math.exp((s - most) * scale) for s in said]
    mass = sum(e)
    return [x / mass for x in e]


def _instructed(tasks: Sequence[str], system: Probabilities) -> list[float]:
    """What a system prompt makes likely: that it sounds like talk says nothing, it mostly describes who is talking."""
    talk = sum(p for t, p in zip(tasks, system, strict=True) if t == PERSONA) / len(tasks)
    return [talk + (0.0 if t == PERSONA else p) for t, p in zip(tasks, system, strict=True)]


def _plus(said: list[float], likely: Probabilities, doubt: float) -> list[float]:
    even = doubt / len(said)
    return [s + math.log((1 - doubt) * p + even + _LEAST) for s, p in zip(said, likely, strict=True)]
