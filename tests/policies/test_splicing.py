"""Splicing: between a client's bytes or all written anew, the upstream reads the same."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policies.splicing import Added, added, insert, rename
from policies.wire import Edit, apply

text = st.text('model":\\{}[], \t\né合😀', max_size=12)
names = st.sampled_from(["model", "Model", 'a"model', "temperature", "reasoning", "stop", "messages", "x"])
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), text
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(names, text), inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """An object as clients may write it: spaced, indented or escaped in any way, and keys twice."""
    rest = draw(st.dictionaries(names, values, max_size=5))
    items = draw(st.permutations([*rest.items(), ("model", draw(text))] if draw(st.booleans()) else list(rest.items())))
    items = [*items, *items[:1]] if draw(st.booleans()) else items
    colon, comma = draw(st.sampled_from([(":", ","), (": ", ", "), (" :\n", "\t,\r\n")]))
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))

    def told(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=(comma, colon))

    raw = "{" + draw(st.sampled_from(["", " \n"])) + comma.join(told(k) + colon + told(v) for k, v in items) + "}"
    if draw(st.booleans()):
        raw = raw.replace('"model"', '"mod\\u0065l"', draw(st.integers(1, 3)))
    return (draw(st.sampled_from(["", " ", "\r\n\t "])) + raw + draw(st.sampled_from(["", "\n"]))).encode()


edits = st.lists(
    st.one_of(
        st.builds(Edit, st.sampled_from([("temperature",), ("top_p",)]), st.sampled_from([0.2, 1, True])),
        st.builds(Edit, st.just(("stop",)), st.sampled_from([["a"], ["\n用户:"]])),
        st.builds(Edit, st.sampled_from([("reasoning", "effort"), ("reasoning", "max_tokens")]), st.just("low")),
        st.builds(Edit, st.sampled_from([("x",), ("reasoning", "effort")]), remove=st.just(True)),
    ),
    max_size=4,
).map(tuple)


@given(written(), edits)
def test_an_addition_is_read_as_the_edits_are(raw: bytes, changes: tuple[Edit, ...]) -> None:
    body = orjson.loads(raw)
    wanted = dict(body)
    apply(wanted, changes)
    addition = added(changes)
    spliced = insert(raw, body, addition) if addition else None
    if spliced is None:
        new: dict[str, Any] = {}
        apply(new, changes)
        assert not changes or any(e.remove for e in changes) or not body or new.keys() & body.keys()
    else:
        assert orjson.loads(spliced) == wanted == json.loads(spliced)
        assert spliced.endswith(raw[raw.index(b"{") + 1 :])


@given(written(), text)
@example(b'{"mod\\u0065l":"a","x":{"model":"b"}}', "c")
@example(b'{"model":"a","x":"\\"model\\":\\"b"}', "c")
@example(b'{"a\\"model":"b","model" : "a"}', "c")
@example(b'{"model":"a","model":"b"}', "c")
def test_a_name_is_replaced_where_the_key_is_certain(raw: bytes, name: str) -> None:
    body = orjson.loads(raw)
    if isinstance(body.get("model"), str):
        renamed = rename(raw, name)
        assert renamed is None or orjson.loads(renamed) == body | {"model": name}


def test_most_bodies_are_spliced_and_their_bytes_stay() -> None:
    raw = b' {"model" : "gpt\\"4", "big": 1e2, "messages": [{"content": "\\"model\\": \\ud83d\\ude00"}]}'
    addition = added((Edit(("temperature",), 0.2), Edit(("stop",), ["a"])))
    assert addition == Added(frozenset({"temperature", "stop"}), b'"temperature":0.2,"stop":["a"],')
    assert insert(raw, orjson.loads(raw), addition) == b' {"temperature":0.2,"stop":["a"],' + raw[2:]
    assert rename(raw, "gpt-5") == raw.replace(rb'"gpt\"4"', b'"gpt-5"')


@pytest.mark.parametrize("raw", [b"{}", b" { } "])
def test_an_empty_object_gets_no_comma(raw: bytes) -> None:
    assert insert(raw, {}, Added(frozenset({"a"}), b'"a":1,')) is None


def test_a_byte_order_mark_is_no_json_to_begin_with() -> None:
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(b'\xef\xbb\xbf{"model":"a"}')
