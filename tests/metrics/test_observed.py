"""Each detector, on answers that show the thing and on answers that look like it."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.grams import UNITS
from metrics.observed import _REFUSAL, Repeats, json_valid, observe, refusal, repetition, rewards, truncated
from metrics.outcome import DecisionRecord, Outcome

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]

PROSE = (
    "The harbour lay quiet under a sky of pewter, and the fishermen who had come down before dawn stood about in twos "
    "and threes talking of weather, of nets that wanted mending, and of a cousin who had gone to sea and written only "
    "once since. Nobody expected the ferry before noon, yet the baker kept looking up from his tray each time a gull "
    "cried, as if the sound were a horn and every passing cloud a sail."
)
PROSE_ZH = (
    "清晨的港口静悄悄的，天色灰白，几个渔夫三三两两站在岸边，聊着天气、需要修补的渔网，还有那位出海之后只写过一封信的表兄。"
    "谁也没指望渡船会在中午之前到来，可是面包师每听见一声海鸥叫，就要从托盘上抬起头，仿佛那是汽笛，而每一朵飘过的云都是船帆。"
)


def test_ordinary_prose_does_not_repeat_itself_in_either_language() -> None:
    for text in (PROSE, PROSE_ZH):
        ratio = repetition(text)
        assert ratio is not None
        assert ratio < 0.1


@pytest.mark.parametrize("phrase", ["I will check the value again. ", "我们再检查一遍这个数值。"])
def test_a_loop_is_seen_in_words_and_in_chinese_characters(phrase: str) -> None:
    ratio = repetition(phrase * 30)
    assert ratio is not None
    assert ratio > 0.8


def test_a_loop_at_the_end_of_a_long_answer_is_seen() -> None:
    words = " ".join(f"word{n}" for n in range(500))
    looped = f"{words} {'and then the same eleven words came back to him again ' * 3}"
    ratio = repetition(looped)
    assert ratio is not None
    assert ratio >= 0.5
    assert rewards({"repetition": ratio}) == {"repetition": 0.0}


def test_short_answers_are_not_judged_for_repetition() -> None:
    assert repetition("no, no, no, no, no") is None
    assert repetition("好" * 20) is None


@given(st.text(max_size=400))
def test_repetition_is_a_share_whatever_the_text(text: str) -> None:
    ratio = repetition(text)
    assert ratio is None or 0 <= ratio <= 1


PARTS = st.sampled_from(
    ["a", "Of_1", " ", ", ", "-", "\n", "\x00", "é", "İ", "—", "好", "的", "ひ", "。", "😀", "𝐀", "\ud800"]
)


@given(st.lists(PARTS, max_size=100) | st.lists(PARTS, min_size=200, max_size=300))
def test_repetition_is_what_counting_4_grams_gives_however_the_text_is_split(parts: list[str]) -> None:
    text = "".join(parts)
    units = UNITS.findall(text.lower())
    if len(units) < 50:
        assert repetition(text) is None
        return
    grams = [tuple(units[n : n + 4]) for n in range(len(units) - 3)]
    assert repetition(text) in (ratio := 1 - len(set(grams)) / len(grams), max(ratio, 0.5))


WAYS = re.findall(r"[a-z]+|'t|[\u4e00-\u9fff]+", _REFUSAL.pattern, re.IGNORECASE)


@given(st.lists(st.sampled_from([*WAYS, "I", "I'm", " ", " ", "，", ", ", "\u2019t", "Not"]), max_size=20))
def test_no_refusal_is_missed_by_looking_for_hints_first(parts: list[str]) -> None:
    text = "".join(parts)
    found = _REFUSAL.search(text[:200].replace("\u2019", "'")) is not None
    assert refusal(text) == (found if text.strip() else None)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist with this request.",
        "I cannot provide instructions for that.",
        "As an AI language model, I don't have opinions.",
        "I'm unable to create that content.",
        "抱歉，我无法回答这个问题。",
        "对不起，这个请求我不能完成。",
        "作为一个人工智能，我不能提供医疗建议。",
        "我无法提供这方面的信息。",
    ],
)
def test_refusals_are_seen(text: str) -> None:
    assert refusal(text) is True


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        PROSE_ZH,
        "I can help with that. Here is the function.",
        "You cannot divide by zero, so the loop stops early.",
        "Sorry to hear about your cat. Here is what a vet would do.",
        "不能除以零，所以循环提前结束。",
        "抱歉让你久等了，这是你要的代码。",
        "x" * 300 + " I'm sorry, but I can't help with that.",
    ],
)
def test_what_is_no_refusal_is_not_taken_for_one(text: str) -> None:
    assert refusal(text) is False


def test_json_is_judged_only_where_it_was_asked_for(finish: Finish) -> None:
    assert json_valid(finish(text="{not json")) is None
    assert json_valid(finish(text='{"a": [1, 2]}', wants_json=True)) is True
    assert json_valid(finish(text='{"a": [1, 2', wants_json=True)) is False
    assert json_valid(finish(text="", wants_json=True)) is False
    assert json_valid(finish(text="", wants_json=True, finish="tool_calls")) is None
    assert json_valid(finish(text='"\ud800"', wants_json=True)) is False


def test_truncation_counts_unless_a_label_was_wanted(finish: Finish) -> None:
    assert truncated(finish(finish="length")) is True
    assert truncated(finish(finish="stop")) is False
    assert truncated(finish(finish="length", label_task=True)) is None
    assert truncated(finish(finish=None)) is None


def test_failures_of_the_system_say_nothing_about_an_arm(finish: Finish) -> None:
    assert observe(finish(result="error", text="{", wants_json=True)) == {}


def test_observed_rewards_are_in_0_to_1_and_absurd_numbers_are_left_out(finish: Finish) -> None:
    seen = observe(finish(text=PROSE, seconds=10.0, ttft=float("nan"), cost_usd=0.01))
    assert rewards(seen) == {"repetition": 1.0, "truncated": 1.0, "refusal": 1.0, "latency": 0.5, "cost": 0.5}


def test_the_same_question_again_within_ten_minutes_is_a_regeneration(decide: Decide, finish: Finish) -> None:
    repeats = Repeats()
    first = decide(session="s", at=1000.0)
    assert repeats.previous(finish(first, prompt="hash")) is None
    assert repeats.previous(finish(decide(session="other", at=1001.0), prompt="hash")) is None
    assert repeats.previous(finish(decide(session="s", at=1002.0), prompt="another")) is None
    second = decide(session="s", at=1300.0)
    assert repeats.previous(finish(second, prompt="hash")) == first
    assert repeats.previous(finish(decide(session="s", at=2000.0), prompt="hash")) is None


def test_without_a_session_nothing_is_a_regeneration(decide: Decide, finish: Finish) -> None:
    repeats = Repeats()
    for _ in range(2):
        assert repeats.previous(finish(decide(session=None), prompt="hash")) is None
