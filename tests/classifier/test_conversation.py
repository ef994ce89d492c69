"""What surrounds an ask: evidence beside it, and never more than that."""

from typing import Any

import pytest

from classifier.ask import Ask, read_messages
from classifier.conversation import instructed, pooled
from classifier.corpus import VALIDATION
from classifier.marking import evaluate
from classifier.model import Classifier

TASKS = ("chat", "code", "extraction", "translation")
UNSURE, SURE = (0.4, 0.2, 0.2, 0.2), (0.01, 0.97, 0.01, 0.01)
TRANSLATES = (0.02, 0.02, 0.02, 0.94)


def best(**given: Any) -> str:
    own = given.pop("own", UNSURE)
    system = instructed(TASKS, given["system"]) if "system" in given else None
    p = pooled(TASKS, Ask("x" * 20, **given.pop("ask", {})), own, system, given.get("before"))
    assert p is not None
    assert sum(p) == pytest.approx(1.0)
    return TASKS[p.index(max(p))]


def test_a_system_prompt_that_instructs_decides_what_is_unclear_and_not_what_is_clear() -> None:
    assert best(system=TRANSLATES) == "translation"
    assert best(own=SURE, system=(0.1, 0.3, 0.3, 0.3)) == "code"


def test_a_system_prompt_that_only_describes_who_talks_says_nothing() -> None:
    assert best(own=(0.2, 0.5, 0.2, 0.1), system=(0.97, 0.01, 0.01, 0.01)) == "code"


def test_a_short_ask_goes_on_with_the_conversation_and_a_clear_one_does_not() -> None:
    assert best(before=TRANSLATES) == "translation"
    assert best(own=SURE, before=(0.7, 0.1, 0.1, 0.1)) == "code"


def test_an_answer_wanted_as_json_makes_extraction_likelier() -> None:
    even = (0.25, 0.25, 0.25, 0.25)
    assert best(own=even, ask={"wants_json": True}) == "extraction"


def test_without_any_evidence_there_is_none() -> None:
    assert pooled(TASKS, Ask("?"), None, None, None) is None
    assert pooled(TASKS, Ask("?", wants_json=True), None, None, None) is None


def test_a_conversation_never_raises_and_says_where_its_verdict_comes_from() -> None:
    classifier = Classifier.load()
    system = {"role": "system", "content": "You are a translation engine. Translate every message into German."}
    verdict = classifier.classify(read_messages([system, {"role": "user", "content": "The boiler is broken again."}]))
    assert (verdict.task, verdict.source) == ("translation", "conversation")


def test_the_written_conversations_stay_as_right_as_they_were() -> None:
    classifier = Classifier.load()
    report = evaluate([VALIDATION / "conversations.jsonl"], classifier.classify, classifier.tasks)
    assert report.scores.lenient > 0.80  # 0.85 when this was written
