"""The robustness bench changes prompts as it says, the same way each time, and says what is worse than promised."""

from difflib import SequenceMatcher
from random import Random

import pytest

from bench import perturbing
from bench.pairs import CUES, LANGUAGES, PARAPHRASES, Pair
from bench.robustness import PERTURBED, Group, Judged, missed

ENGLISH = "could you please translate this letter for my uncle because his eyes are no longer good. " * 50
CHINESE = "请把下面这封信翻译成英文,因为我叔叔的眼睛已经看不清楚了。" * 50


def judged(name: str, before: str, after: str, task: str = "code") -> Judged:
    return Judged(Pair(name, "en", "a", "b", task), before, after)


@pytest.mark.parametrize("name", PERTURBED)
@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_equal_seeds_give_equal_prompts(name: str, text: str) -> None:
    perturb, _ = PERTURBED[name]
    assert perturb(text, Random("a")) == perturb(text, Random("a"))


def test_one_english_word_in_ten_is_mistyped_by_one_slip() -> None:
    before, after = ENGLISH.split(), perturbing.typos(ENGLISH, Random(1)).split()
    wrong = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert len(wrong) == pytest.approx(0.1 * len(before), abs=1)
    assert all(SequenceMatcher(None, b, a, autojunk=False).ratio() > 0.5 for b, a in wrong)
    assert all(abs(len(b) - len(a)) <= 1 for b, a in wrong)


def test_one_chinese_character_in_sixteen_is_mistaken() -> None:
    sentence = "请把下面这封信翻译成英文,因为我叔叔的眼睛已经看不清楚了。"
    slips = 0
    for seed in range(400):
        changes = SequenceMatcher(None, sentence, perturbing.typos(sentence, Random(seed))).get_opcodes()
        slips += sum(max(b - a, d - c) for what, a, b, c, d in changes if what != "equal")
    assert slips / 400 == pytest.approx((len(sentence) - 2) / 16, rel=0.1)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("Title Case", "don't shout, please", "Don't Shout, Please"),
        ("full width", "Hi 7!", "Ｈｉ　７！"),
        ("marks of prose dropped", "Well, isn't x[0] == 1? 好,对。", "Well isnt x[0] == 1 好对"),
        (
            "lines broken at 60 columns",
            "word " * 13 + "\n" + "字" * 31,
            "word " * 11 + "word\nword\n" + "字" * 30 + "\n字",
        ),
    ],
)
def test_a_perturbation_does_what_its_name_says(name: str, before: str, after: str) -> None:
    assert PERTURBED[name][0](before, Random(0)) == after


def test_blanks_and_emoji_leave_the_words() -> None:
    assert perturbing.spaced(ENGLISH, Random(0)).split() == ENGLISH.split()
    with_emoji = perturbing.emoji(ENGLISH, Random(0))
    assert with_emoji.translate({ord(c): None for e in perturbing.EMOJI for c in e}).split() == ENGLISH.split()
    assert any(with_emoji.endswith(e) for e in perturbing.EMOJI)


def test_more_changes_and_fewer_right_ones_than_promised_are_missed() -> None:
    steady = [judged(PARAPHRASES, "code", "code")] * 9
    groups: dict[Group, list[Judged]] = {
        (PARAPHRASES, "en"): [*steady, judged(PARAPHRASES, "code", "math")],
        (CUES, "en"): [judged(CUES, "code", "code")] * 4 + [judged(CUES, "math", "math")],
    }
    assert set(LANGUAGES) == {"en", "zh"}
    assert not list(missed(groups))
    groups[PARAPHRASES, "en"] += [judged(PARAPHRASES, "code", "math")]
    groups[CUES, "en"] += [judged(CUES, "math", "math")]
    assert list(missed(groups)) == [
        "paraphrases, English: 18.2% of the verdicts change, promised 10% at most",
        "paraphrases, English: 81.8% are right, promised 85% at least",
        "cue words of other tasks, English: 66.7% are right, promised 80% at least",
    ]
