"""Records as JSON: what goes in comes out, and nothing that is stored can raise."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metrics import records
from metrics.outcome import DecisionRecord

Decide = Callable[..., DecisionRecord]
texts = st.text(max_size=20)
decisions = st.builds(
    DecisionRecord,
    id=st.just("dec_1"), tenant=texts, task=texts, model=texts, upstream=texts, turn=st.integers(0, 999),
    cell=st.none() | texts, parameter=st.none() | texts, arm=st.none() | texts, propensity=st.floats(0, 1),
    mode=texts, policy=texts, session=st.none() | texts, effective=st.booleans(), at=st.floats(0, 4e9),
    features=st.none() | texts, declared=st.booleans(), live=st.none() | texts, shadow=st.none() | texts,
    table=st.none() | texts, odds=st.none() | st.dictionaries(texts, st.floats(0, 1, exclude_min=True)),
    sticky=st.none() | texts,
    observed=st.none() | st.dictionaries(texts, st.integers(0, 1000).map(lambda x: x / 1000)).map(lambda d: tuple(d.items())),
)  # fmt: skip


@given(decisions)
def test_a_record_comes_back_as_it_went(record: DecisionRecord) -> None:
    assert records.unpack(record.id, records.pack(record)) == record


@given(st.text())
def test_what_is_no_record_is_none(text: str) -> None:
    assert records.unpack("dec_1", text) is None


def test_values_of_other_types_make_no_record(decide: Decide) -> None:
    good = records.pack(decide())
    assert records.unpack("d", good.replace('"code"', "7")) is None
    assert records.unpack("d", good.replace("true", '"yes"')) is None
    assert records.unpack("d", good[:-1] + ",1]") is None


def test_records_of_before_the_classifiers_were_compared_are_read(decide: Decide) -> None:
    values = json.loads(records.pack(decide(features="en..", declared=True, live="code@abc", shadow="math@def")))
    assert records.unpack("d", json.dumps(values[:14])) == decide(id="d")
    assert records.unpack("d", json.dumps(values[:16])) == decide(id="d", features="en..", declared=True)
    assert records.unpack("d", json.dumps(values[:18])) == records.unpack("d", json.dumps(values))
    assert records.unpack("d", json.dumps(values[:13])) is None


def test_records_of_before_odds_were_kept_are_read_and_odds_that_are_none_are_not(decide: Decide) -> None:
    values = json.loads(
        records.pack(decide(shadow="math@def", table="v1", odds={"0.3": 0.25, "0.5": 0.75}, sticky="session"))
    )
    assert records.unpack("d", json.dumps(values[:18])) == decide(id="d", shadow="math@def")
    for odds in ({"0.3": "much"}, {"0.3": 0}, {"0.3": 1.5}, {"0.3": None}, {"0.3": float("nan")}, [0.3]):
        values[19] = odds
        assert records.unpack("d", json.dumps(values)) is None


def test_observed_rewards_that_are_none_are_left_out(decide: Decide) -> None:
    values = json.loads(records.pack(decide()))
    found = records.unpack("d", json.dumps([*values[:21], {"a": 0.5, "b": 7, "c": None, "d": "x", "e": 1}]))
    assert found is not None
    assert found.observed == (("a", 0.5), ("e", 1.0))
    assert records.unpack("d", json.dumps([*values[:21], [1]])) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | texts, lambda x: st.lists(x) | st.dictionaries(texts, x)))
def test_any_meta_is_stored(meta: Any) -> None:
    assert records.unpack_meta(records.pack_meta({"grid": meta})) is not None


def test_text_that_is_no_unicode_holds_nothing_up(decide: Decide) -> None:
    assert records.pack(decide(session="\ud800"))
    assert records.unpack_meta(records.pack_meta({"x": "\ud800"})) is None


@given(st.dictionaries(st.text(), st.text()))
def test_any_hash_can_be_read_as_tallies(stored: dict[str, str]) -> None:
    good, bad = records.tallies(stored)
    assert len(good) + bad <= len(stored)
