"""What is read of a client's headers."""

import pytest

from router.endpoints import FeedbackItem
from router.incoming import Incoming, session_of
from router.surfaces import SURFACES


@pytest.mark.parametrize("name", ["job-42", "x" * 200, " padded ", "prüfung", "会" * 200])
def test_feedback_means_the_session_that_the_header_names(name: str) -> None:
    header = name.encode().decode("latin-1")  # as servers read it
    incoming = Incoming(SURFACES["chat"], b'{"model": "m", "messages": [{}]}', {"x-setpoint-session": header})
    said = FeedbackItem(session=name, signal="success", value=True).said("t", closed=False, now=0.0)
    assert said.session == incoming.session
    assert len(said.session or "") <= 200


def test_sessions_that_only_begin_alike_are_two() -> None:
    same = "x" * 500
    assert session_of(same) == session_of(same)
    assert session_of(same + "1") != session_of(same + "2")
    assert session_of(" ") is None
