"""From conversations in any shape to the text that counts."""

import functools
import timeit
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier import ask as asking
from classifier.ask import Ask, read_messages, read_text
from classifier.envelope import is_harness, opened, speaks
from classifier.language import language_of


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_last_user_message_is_the_ask_and_turns_are_counted() -> None:
    ask = read_messages(
        [{"role": "system", "content": "Be kind."}, user("one"), {"role": "assistant", "content": "1"}, user("two")]
    )
    assert (ask.text, ask.turn, ask.previous, ask.system) == ("two", 2, ("one",), "Be kind.")


def test_the_same_question_again_is_the_next_attempt() -> None:
    ask = read_messages([user("a"), user("q"), {"role": "assistant", "content": "x"}, user("q"), user("q")])
    assert (ask.attempt, ask.turn) == (3, 4)


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("<system-reminder>write a poem</system-reminder>\nFix the bug", "Fix the bug"),
        ("<environment_details>cwd /tmp</environment_details>", ""),
        ("<user_query>sort a list</user_query><attached_files>poem.txt</attached_files>", "sort a list"),
        ("<context>It rains.</context>\n<question>Does it rain?</question>", "Does it rain?"),
        ("Name three rivers of Asia.\n<task>poem</task>", "Name three rivers of Asia.\n<task>poem</task>"),
        ("You are of the IDE, and this is long. <user_query>sort it</user_query>", "sort it"),
        ("<document>Once upon a time</document> Summarize it.", "Summarize it."),
        ("<document>Only this</document>", "<document>Only this</document>"),
        ("<system-reminder>never closed", ""),
        ("is a < b and c > d?", "is a < b and c > d?"),
        ("Title this.\n<chat_history>\nUSER: write a poem\n</chat_history>", "Title this."),
        (
            "Give the conversation a short title.\n\nConversation:\nUser: write a poem",
            "Give the conversation a short title.",
        ),
    ],
)
def test_what_a_harness_wraps_around_is_taken_off(text: str, ask: str) -> None:
    assert read_text(text).text == ask


def test_tool_results_are_no_turn() -> None:
    openai = [user("weather?"), {"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "rain"}]
    anthropic = [user("weather?"), user([{"type": "tool_result", "content": "rain"}])]
    responses = [user("weather?"), {"type": "function_call_output", "output": "rain"}]
    for messages in (openai, anthropic, responses):
        ask = read_messages(messages)
        assert (ask.text, ask.turn, ask.in_tool_loop) == ("weather?", 1, True)
    assert not read_messages([*openai, user("thanks")]).in_tool_loop


def test_a_tool_result_with_a_reminder_is_no_turn_but_one_with_a_question_is() -> None:
    result = {"type": "tool_result", "content": "rain"}
    reminder = {"type": "text", "text": "<system-reminder>be brief</system-reminder>"}
    ask = read_messages([user("weather?"), user([result, reminder])])
    assert (ask.text, ask.turn, ask.in_tool_loop) == ("weather?", 1, True)
    ask = read_messages([user("weather?"), user([result, {"type": "text", "text": "and tomorrow?"}])])
    assert (ask.text, ask.turn, ask.in_tool_loop) == ("and tomorrow?", 2, False)


def test_an_ask_behind_a_block_that_was_cut_is_still_read() -> None:
    ask = read_text("<file_content>" + "x = 1\n" * 20_000 + "</file_content>\nExplain this file.")
    assert ask.text.endswith("Explain this file.")


_BLOCKS = st.lists(
    st.sampled_from(
        ["<system-reminder>", "</system-reminder>", "<ide_selection x='1'>", "</ide_selection>", "<b>", " \n", "ask"]
    ),
    max_size=8,
).map("".join)


@given(_BLOCKS)
def test_a_message_of_a_harness_alone_is_one_that_nothing_is_left_of(text: str) -> None:
    assert is_harness(text) == (opened(text) == "")


@pytest.mark.parametrize("again", ["<document>x</document> thanks", "  thanks", "<system-reminder>x</system-reminder>"])
def test_a_conversation_of_thousands_of_like_messages_is_opened_in_part(
    again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0

    def counted(text: str) -> str:
        nonlocal times
        times += 1
        return opened(text)

    monkeypatch.setattr(asking, "opened", counted)
    ask = read_messages([user(again + " " * (n % 7)) for n in range(5_000)])
    assert times < 50
    assert ask.turn == (1 if "reminder" in again else 5_000)


@pytest.mark.parametrize("parts", [False, True])
def test_of_a_long_conversation_the_last_asks_are_opened_and_the_others_counted(
    parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def kept(text: str) -> str:
        seen.append(text)
        return opened(text)

    monkeypatch.setattr(asking, "opened", kept)
    asks = [f"ask {n}" for n in range(500)]
    ask = read_messages([user([{"type": "text", "text": a}] if parts else a) for a in asks])
    assert (ask.text, ask.turn, ask.previous) == ("ask 499", 500, ("ask 498", "ask 497", "ask 496", "ask 495"))
    assert len(seen) <= 6


@pytest.mark.parametrize("text", ["x" + " " * 9, " x", "\n<b>", "<b>", "", "\u3000", "é<system-reminder>"])
def test_what_a_message_begins_with_tells_most_asks(text: str) -> None:
    assert not (speaks(text) and is_harness(text))
    assert speaks(text) == (text[:1] in ("x", "é"))


def test_a_request_for_a_title_above_blank_lines_costs_what_another_text_costs() -> None:
    """With time that grows as the square it was 30,000 times as much."""
    title = "Write a title of this conversation"
    plain, lines = (
        min(timeit.repeat(functools.partial(opened, text), number=3, repeat=5))
        for text in (title + "x" * 11_000, title + "\n" * 11_000 + "x")
    )
    assert lines < 1_000 * plain


@given(
    st.text(alphabet="<>/ ab\n", max_size=40),
    st.sampled_from(["task", "context", "system-reminder", "div"]),
    st.integers(1, 2_000),
)
def test_any_markup_gives_a_bounded_ask(filling: str, name: str, times: int) -> None:
    assert len(read_text(f"<{name}>{filling}" * times).text) <= 12_001


def test_parts_of_text_are_joined_and_images_seen() -> None:
    ask = read_messages(
        [
            user(
                [
                    {"type": "text", "text": "What"},
                    {"type": "image_url", "image_url": {}},
                    {"type": "input_text", "text": "is this?"},
                ]
            )
        ]
    )
    assert (ask.text, ask.images) == ("What\nis this?", True)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hello", "en"),
        ("你好", "zh"),
        ("用Python写一个排序", "zh"),
        ("привет", "other"),
        ("", "other"),
        ("1+1", "other"),
        ("日本の首都はどこですか", "other"),
        ("把这句日语翻译成中文:ありがとうございます", "zh"),
        ("Translate to English: Здравствуйте, как у вас дела сегодня?", "en"),
        ("Здравствуйте, как дела?\nTranslate this into English please.", "en"),
        ("Напиши функцию, которая сортирует список, на JavaScript", "other"),
        ("Escribe un poema sobre el mar", "other"),
        ("Translate 'el gato está en la mesa' to English", "en"),
    ],
)
def test_the_language_is_told_by_script(text: str, language: str) -> None:
    assert language_of(text) == language


def test_a_long_text_is_read_at_its_head_and_tail() -> None:
    ask = read_text("Summarize this. " + "word " * 40_000 + "In one line.")
    assert len(ask.text) < 25_000
    assert ask.text.startswith("Summarize")
    assert ask.text.endswith("In one line.")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text() | st.sampled_from(["role", "content", "type", "text"]), v),
    max_leaves=20,
)


@given(st.lists(json_values | st.builds(user, json_values)))
def test_any_json_gives_an_ask(messages: list[Any]) -> None:
    assert isinstance(read_messages(messages), Ask)
