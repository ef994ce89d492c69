"""Labels from traffic: features that many have, and nothing that tells what was written."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.ask import read_text
from classifier.features import hashed
from classifier.labels import packed, unpacked
from classifier.model import Classifier
from classifier.vocabulary import document

SHIPPED = Classifier.load()


def test_an_ask_comes_back_as_the_document_that_it_was() -> None:
    ask = read_text("Please translate this letter into French for me")
    label = unpacked("translation", SHIPPED.features(ask))
    assert label is not None
    assert (label.task, label.language) == ("translation", "en")
    body, head = document(ask.text)
    keys = SHIPPED.linear.keys
    assert [part.tolist() for part in label.document(keys)] == [np.intersect1d(p, keys).tolist() for p in (body, head)]


def test_what_only_one_prompt_says_is_not_kept() -> None:
    plain, private = (
        SHIPPED.features(read_text(t)) for t in ("write to my boss", "write to my boss Zebediah Quackenbush")
    )
    names = hashed("zebediah quackenbush")[0] >> np.uint64(32)
    kept = {n for part in private.split(".")[1:] for n in np.frombuffer(base64.b64decode(part), "<u4").tolist()}
    assert not kept & set(names.tolist())
    assert len(private) <= len(plain) + 16


@given(st.text(max_size=300))
def test_any_ask_is_packed_in_bounds_and_read_again(text: str) -> None:
    stored = SHIPPED.features(read_text(text))
    assert len(stored) < 16 * max(len(text), 10) + 64
    assert unpacked("code", stored) is not None


@pytest.mark.parametrize("stored", ["", "en", "en.!!.!!", "en.AAA=.AAAA", "a.b.c.d", "en.AAAAAA==.AAAAAAA="])
def test_what_is_no_label_is_none(stored: str) -> None:
    assert unpacked("code", stored) is None


def test_hashes_are_kept_by_their_first_half() -> None:
    hashes = np.array([0x0102_0304_0506_0708], np.uint64)
    label = unpacked("code", packed("en", hashes, hashes[:0]))
    assert label is not None
    assert label.body.tolist() == [0x0102_0304]
