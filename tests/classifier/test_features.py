"""Features: what is the same to them and what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.characters import FORM, KIND, VALUE, salt
from classifier.features import HEAD, LONGEST, arranged, hashed, spelled


@given(st.text(max_size=300))
def test_every_hash_has_a_spelling_and_equal_spellings_equal_hashes(text: str) -> None:
    hashes, body = hashed(text)
    names = spelled(text)
    assert len(names) == len(hashes)
    assert all(name.startswith("\t") for name in names[body:])
    by_name: dict[str, int] = {}
    for name, value in zip(names, hashes.tolist(), strict=True):
        assert by_name.setdefault(name, value) == value


BASE = 0x9E37_79B9_7F4A_7C15
VALUES = dict(zip(FORM.tolist(), VALUE.tolist(), strict=True))
SALTS = (1, int(salt(1)), int(salt(2)))  # of the whole text, its head, its beginning


@given(st.text(max_size=200) | st.text("aA1 .,\n您é", max_size=200))
def test_a_hash_is_what_its_definition_says(text: str) -> None:
    """Artefacts and labels in stores are made of these numbers: none of them may ever change."""
    wanted = []
    for name in spelled(text):
        plain = name.lstrip("\t")
        sums = sum(VALUES[ord(c)] * pow(BASE, n, 1 << 64) for n, c in enumerate(plain))
        wanted.append(sums * SALTS[len(name) - len(plain)] % (1 << 64))
    assert hashed(text)[0].tolist() == wanted


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_stretch_has_the_same_hash_wherever_it_stands(before: str, after: str) -> None:
    wanted = set(hashed("write a poem")[0][:5].tolist())  # write, a, poem, write a, a poem
    found = hashed(f"{before} write a poem {after}")
    assert wanted <= set(found[0][: found[1]].tolist())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Summarize THIS, please!", "summarize this, please!"),
        ("請幫我寫一首關於電腦的詩", "请帮我写一首关于电脑的诗"),
        ("ｗｒｉｔｅ　１２３", "write 7"),
        ("café naïve", "cafe naive"),
        ("what  is\n\n\nthis", " what is this "),
        ("它有12个，共345元。", "它有9个,共6元."),
        ("说“好”", '说"好"'),
    ],
)
def test_what_makes_no_difference(one: str, other: str) -> None:
    assert hashed(one)[0].tolist() == hashed(other)[0].tolist()


@pytest.mark.parametrize(
    ("one", "other"), [("a b", "ab"), ("write a poem", "a poem write"), ("好人", "人好"), ("?", "!")]
)
def test_what_makes_one(one: str, other: str) -> None:
    assert set(hashed(one)[0].tolist()) != set(hashed(other)[0].tolist())


@pytest.mark.parametrize("text", ["", " ", "\n\u200b", "\ud800", "a\x00b", "𝒜🙂", "ﷺ"])
def test_odd_texts_have_features_or_none_and_raise_nothing(text: str) -> None:
    hashes, body = hashed(text)
    assert body <= len(hashes) == len(spelled(text))


def test_the_head_counts_apart_and_of_a_long_text_both_ends_are_read() -> None:
    names = spelled("x " * HEAD + "translate")
    assert "translate" in names
    assert "\ttranslate" not in names
    names = spelled(f"begin {'middle ' * LONGEST} end")
    assert {"begin", "end", "\tbegin", "\t\tbegin"} <= set(names)


def test_an_instruction_below_its_material_comes_first() -> None:
    material = "It was a long and quiet evening by the river.\n" * 12
    assert arranged(f"{material}Summarize the above.").startswith("Summarize the above.\n")
    assert arranged(f"Summarize this.\n{material}Was it quiet?").startswith("Summarize this.")
    assert arranged("The train left the old station at ten.\nInto German please?").startswith("Into German")
    broken = "I should like to know from all of you whether the\nwhole of it is what was meant by it in the end?"
    assert arranged(broken) == broken


def test_emoji_are_blanks_wherever_they_stand() -> None:
    assert hashed("😀 write a ❤️ poem 👩‍💻")[0].tolist() == hashed("write a poem")[0].tolist()


def test_every_form_has_a_value_of_its_own() -> None:
    assert len(KIND) == len(VALUE) == 0x1_0001
    assert len(np.unique(VALUE)) == len(np.unique(FORM))
