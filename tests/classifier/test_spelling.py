"""Spelling: slips are mended, words are not."""

import pytest

from classifier.spelling import FEWEST, REAL, REMEMBERED, Spelling, Words, counted, joined

SPELLING = Spelling(Words(["translate", "summarize", "write", "story", "poem", "about", "just", "how", "stork"], 8))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("tranlsate", "translate"),  # exchanged
        ("transalte", "translate"),
        ("summrize", "summarize"),  # left out
        ("wriite", "write"),  # doubled
        ("wrote", "write"),  # changed, and nobody writes it here
        ("Stroy", "story"),
        ("jst", "just"),
        ("ohw", "how"),
        ("transalte “this” 😀", "translate “this” 😀"),
    ],
)
def test_a_slip_is_taken_for_the_word(written: str, meant: str) -> None:
    assert SPELLING.mended(f"{written} about") == f"{meant} about"


@pytest.mark.parametrize(
    "text",
    [
        "write a story",
        "a stork",
        "xylophone",
        "",
        "wr",
        "hox",
        "请你把下面这段话transalte一下给我",
        "trànsalte",
        "pöem",
    ],
)
def test_what_is_a_word_or_near_none_stays(text: str) -> None:
    assert SPELLING.mended(text) is None


def test_a_slip_that_stands_in_another_leaves_it_alone() -> None:
    """In the order of a set, which differs from process to process, half of them became `acles acle`."""
    for c in "bcdfghkmnprstvwz":
        spelling = Spelling(Words([f"a{c}le", f"{c}ates"], 2))
        assert spelling.mended(f"{c}ales {c}ale") == f"{c}ates a{c}le"


def test_a_strange_word_that_comes_again_is_mended_again_and_many_are_not_kept() -> None:
    spelling = Spelling(Words(["write", "about"], 2))
    assert [spelling.mended("wriet abuot") for _ in range(2)] == ["write about"] * 2
    for n in range(3 * REMEMBERED):
        spelling.mended(f"write {'abcdefghij'[n % 10]}{n:x}".translate(str.maketrans("0123456789", "qrstuvwxyz")))
    assert len(spelling._slips) <= REMEMBERED
    assert spelling.mended("wriet abuot") == "write about"


def test_a_text_of_strange_words_is_no_misspelt_english() -> None:
    assert SPELLING.mended("wriet stroy peom abuot summrize tranlsate wrtie sotry bonjour madame") is None


def test_words_are_those_that_several_texts_have() -> None:
    texts = [f"word{'abcdefghij'[n % 10]} " * 2 for n in range(10)]
    assert counted(texts, ["worda"]) == Words((), 0)  # too small a corpus to tell
    letters = "abcdefghijklmnopqrstuvwxyz"
    many = [a + b + c + d for a in letters[:8] for b in letters for c in letters for d in letters[:1]]
    assert len(many) > FEWEST
    words = counted(
        [" ".join([*many, "rare"] if n < REAL - 1 else many) for n in range(REAL)], ["abca", "rare", "never"]
    )
    assert (words.words[0], words.targets, "rare" in words.words) == ("abca", 1, False)


def test_a_users_words_are_words() -> None:
    words = joined(Words(["write", "story"], 2), ["a stroy is what we call it"])
    assert Spelling(words).mended("write a stroy") is None
