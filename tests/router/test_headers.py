"""Response headers: one line each, whatever the names in them hold."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from classifier.verdict import Verdict
from router import offline
from router.pipeline import headers_of

PREPARED = offline.prepare({"messages": [{"role": "user", "content": "hello"}]}, None, None, "m")


def told(task: str, policy: str, dropped: str) -> dict[bytes, bytes]:
    decision = replace(PREPARED.decision, policy=policy, dropped=((dropped, task),))
    return dict(headers_of(replace(PREPARED, verdict=Verdict(task, 0.5, (), "declared"), decision=decision)))


@given(st.text(), st.text(), st.text())
def test_no_name_ends_a_header(task: str, policy: str, dropped: str) -> None:
    assert all(0x20 <= byte < 0x7F for value in told(task, policy, dropped).values() for byte in value)


def test_what_is_plain_stays_and_what_is_not_is_escaped() -> None:
    headers = told("a\r\nset-cookie: b", "gut@1", "温度")
    assert headers[b"x-setpoint-task"] == rb"a\r\nset-cookie: b"
    assert headers[b"x-setpoint-policy"] == b"gut@1"
    assert headers[b"x-setpoint-dropped"] == rb"\u6e29\u5ea6=a\r\nset-cookie: b"
