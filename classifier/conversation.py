"""Conversations: what surrounds an ask says what it is likely to be before it is read.

Each piece of evidence is a list of probabilities over the tasks. The ask's own is multiplied with what the system prompt, the
conversation so far and the shape of the request make likely, each with a share of doubt spread over all tasks, so that a clear
ask wins against any of them. The constants were chosen on 240 written conversations (classifier/validation/conversations.jsonl):
those that do best on the English half do on the Chinese half what its own do, within 0.08.
"""

from collections.abc import Sequence
from math import exp

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

Probabilities = tuple[float, ...]


def pooled(
    tasks: Sequence[str],
    ask: Ask,
    own: Probabilities | None,
    system: Probabilities | None,
    before: Probabilities | None,
) -> Probabilities | None:
    """(tasks,) probabilities of an ask, with what surrounds it; None without any evidence. `system` is as `instructed` has it."""
    if own is None and system is None and before is None:
        return None
    follows = before is not None and is_follow_up(ask.text)
    trust = (ASK_UNDER_SYSTEM if system else 1.0) * (FOLLOW_UP if follows else 1.0)
    # Products, not sums of logarithms: an operation a task and piece of evidence.
    said: Sequence[float] = system or [1.0] * len(tasks)
    if own:
        said = [(p + _LEAST) ** trust * s for p, s in zip(own, said, strict=True)]
    if before:
        doubt = 0.0 if follows else SHIFT + (1 - SHIFT) * min(length(ask.text) / STANDS_ALONE, 1.0)
        said = [s * b for s, b in zip(said, _likely(before, doubt), strict=True)]
    if own:
        for wanted, factors in ((ask.wants_json, JSON), (ask.images, IMAGES)):
            if wanted:
                said = [s * factors.get(t, 1.0) for s, t in zip(said, tasks, strict=True)]
    return _shares(said)


def normalised(said: Sequence[float], scale: float) -> Probabilities:
    """Probabilities from log-odds."""
    most = max(said)
    return _shares([exp((s - most) * scale) for s in said])


def instructed(tasks: Sequence[str], system: Probabilities) -> Probabilities:
    """How likely a system prompt with these probabilities makes each task: that it sounds like talk says nothing, it mostly
    describes who is talking."""
    talk = sum(p for t, p in zip(tasks, system, strict=True) if t == PERSONA) / len(tasks)
    said = [talk + (0.0 if t == PERSONA else p) for t, p in zip(tasks, system, strict=True)]
    return tuple(_likely(said, SYSTEM_DOUBT))


def _likely(said: Sequence[float], doubt: float) -> list[float]:
    """Probabilities with a share of doubt spread over all tasks; none is 0."""
    even = doubt / len(said) + _LEAST
    return [(1 - doubt) * p + even for p in said]


def _shares(said: Sequence[float]) -> Probabilities:
    """Of a whole of 1. A tuple: many are remembered, and Python's collector does not look at tuples of numbers."""
    mass = sum(said)
    return tuple([s / mass for s in said])
