"""Text that stays aligned and harmless whatever names hold."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifier.tables import abbreviated, aligned, matrix, printable, shortened


def test_columns_line_up_also_below_chinese_names() -> None:
    lines = aligned(("", "rows"), [("问答", "7"), ("four", "12")]).splitlines()
    assert lines == ["      rows", "问答     7", "four    12"]


def test_a_wide_matrix_goes_on_below() -> None:
    names = ["alpha_particles", "beta", "gamma"]
    counts = np.array([[100_000, 0, 1], [0, 2, 0], [0, 0, 3]])
    whole, narrow = matrix(names, counts, 80), matrix(names, counts, 30)
    assert whole.splitlines()[1] == "alpha_particles 100000      .      1"
    assert max(map(len, narrow.splitlines())) <= 30
    assert [block.splitlines()[0].split() for block in narrow.split("\n\n")] == [["alpha", "beta"], ["gamma"]]


def test_names_are_told_apart_when_they_are_short() -> None:
    assert abbreviated(["open_qa", "code", "professional_writing"], 5) == ["open", "code", "profe"]
    assert abbreviated(["sql_review", "sql_rewrite", "sql_write"], 5) == ["sql_r", "sq_re", "sql_w"]
    assert abbreviated(["codes_a", "codes"], 5) == ["co_a", "codes"]


@given(st.lists(st.from_regex(r"[a-z][a-z0-9_]{1,40}", fullmatch=True), unique=True, max_size=40))
def test_short_names_are_short_and_no_two_alike(names: list[str]) -> None:
    short = abbreviated(names, 5)
    assert len(set(short)) == len(names)
    assert all(1 <= len(s) <= 5 for s in short)


def test_a_text_is_cut_by_what_it_takes_on_screen() -> None:
    assert shortened("日本国", 6) == "日本国"
    assert shortened("日本国家", 6) == "日本…"
    assert shortened("abcdef", 4) == "abc…"


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert printable("a\n\tb\x1b[31m\ud800") == "a b\ufffd[31m\ufffd"
