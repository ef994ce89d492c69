"""Temperatures: how far apart tasks are, since a wrong task that gets the same temperature does little harm.

What DeepSeek recommends by use (api-docs.deepseek.com/quick_start/parameter_settings): coding and maths 0.0, data cleaning and
analysis 1.0, general conversation and translation 1.3, creative writing and poetry 1.5; its default is 1.0. A scale to judge
verdicts by and nothing else: what a request gets, its policy says.
"""

from collections.abc import Iterable

from classifier.verdict import GENERAL

TEMPERATURE = {
    "code": 0.0,
    "math": 0.0,
    "extraction": 1.0,
    "classification": 1.0,
    "closed_qa": 1.0,  # as data analysis: the answer stands in the text
    "summarization": 1.0,
    GENERAL: 1.0,
    "open_qa": 1.3,
    "chat": 1.3,
    "translation": 1.3,
    "rewriting": 1.3,  # as translation: the same content in other words
    "professional_writing": 1.3,
    "creative_writing": 1.5,
    "brainstorming": 1.5,
}


def is_right(said: str, task: str, accept: Iterable[str] = ()) -> bool | None:
    """Whether a verdict has the temperature of the label or of an accepted task; None where a task has none here."""
    if said not in TEMPERATURE or task not in TEMPERATURE:
        return None
    return TEMPERATURE[said] in {TEMPERATURE[t] for t in (task, *accept) if t in TEMPERATURE}
