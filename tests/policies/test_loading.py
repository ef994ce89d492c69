"""Policy files: what is taken, and what a refusal says."""

from pathlib import Path

import pytest

from policies.book import PolicyBook
from policies.errors import InvalidPolicyError
from policies.loading import LIBRARY, load, parse
from policies.values import UNSET


def problems(text: str, more: str | None = None) -> str:
    texts = {"a.yaml": text} | ({"b.yaml": more} if more else {})
    with pytest.raises(InvalidPolicyError) as e:
        parse(texts, "test")
    return str(e.value)


def test_the_shipped_library_loads() -> None:
    policy = load(LIBRARY)
    assert policy.name == "library"
    assert {"code", "chat", "creative_writing"} <= set(policy.tasks)
    assert policy.vendors


def test_vendor_recommendations_stand_below_any_policy(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("version: 1\n")
    assert load(file).vendors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "version: 1\ntasks: {code: {set: {top_j: 1}}}",
            "a.yaml: tasks.code.set.top_j: unknown parameter (did you mean top_p?)",
        ),
        ("version: 1\ntasks: {code: {cleint: clamp}}", "a.yaml: tasks.code.cleint: unknown key (did you mean client?)"),
        ("version: 1\ntasks: {code: {set: {temperature: 9}}}", "tasks.code.set.temperature: 9 is outside 0.0 to 2.0"),
        (
            "version: 1\nrules: [{name: x, when: {contain: a}}]",
            "rules.0.when: contain: unknown condition (did you mean contains?)",
        ),
        ("version: 1\nrules: [{name: x, when: {regex: '('}}]", "rules.0.when: regex:"),
        ("version: 1\nrules: [{name: x, when: {turn: 1}}, {name: x, when: {turn: 2}}]", "names two rules"),
        ("version: 1\ndefaults: {bounds: {temperature: [1, 0]}}", "the lowest, 1, is above the highest, 0"),
        ("version: 1\ndefaults: {client: {temprature: clamp}}", "did you mean temperature?"),
        ("version: 1\nadapt: {arms: {temperature: [0.1]}}", "needs 2 to 12 values"),
        ("version: 1\nadapt: {objective: {quality: 0, latency: 0, cost: 0}}", "all weights are 0"),
        ("version: 2", "a.yaml: version"),
        ("tasks: {}", "start the file with `version: 1`"),
        ("version: 1\nversion: 1", "stands twice"),
        ("- a", "is not a mapping"),
        ("a: [", "is not YAML"),
        ("version: 1\ntasks: {code: {set: {thinking: 1}}}", "is not true or false"),
        ("version: 1\ntasks: {code: {set: {reasoning_effort: hihg}}}", "did you mean high?"),
        ("version: 1\ntasks: {code: {set: {stop: ['']}}}", "list of non-empty strings"),
        ("version: 1\nblend: sometimes", "a.yaml: blend: should be a valid boolean, not 'sometimes'"),
        ("version: 1\ntasks: {code: {blend: 1}}", "a.yaml: tasks.code.blend: should be a valid boolean, not 1"),
        ("version: 1\nadapt: {sticky: conversation}", "a.yaml: adapt.sticky: "),
        ("version: 1\ntasks: {code: {blnd: true}}", "did you mean blend?"),
        ("version: 1\ndefaults: {blend: true}", "a.yaml: defaults.blend: unknown key"),
    ],
)
def test_a_refusal_names_file_key_reason_and_remedy(text: str, said: str) -> None:
    assert said in problems(text)


def test_all_problems_are_told_at_once() -> None:
    said = problems("version: 1\ntasks: {code: {set: {top_j: 1, temperature: 9}}}")
    assert len(said.splitlines()) == 2


def test_two_files_that_set_the_same_key_are_refused() -> None:
    text = "version: 1\ntasks: {code: {set: {temperature: 0.1}}}"
    assert "is also set in a.yaml" in problems(text, text)


def test_blending_is_off_unless_said_and_a_task_can_differ() -> None:
    assert not parse({"a.yaml": "version: 1"}, "t").blends("code")
    policy = parse({"a.yaml": "version: 1\nblend: true", "b.yaml": "version: 1\ntasks: {code: {blend: false}}"}, "t")
    assert (policy.blends("chat"), policy.blends("code")) == (True, False)


def test_two_files_that_say_whether_to_blend_are_refused() -> None:
    assert "b.yaml: blend: is also set in a.yaml" in problems("version: 1\nblend: true", "version: 1\nblend: false")
    text = "version: 1\ntasks: {code: {blend: true}}"
    assert "b.yaml: tasks.code.blend: is also set in a.yaml" in problems(text, text)


def test_unset_is_a_value_and_an_arm() -> None:
    policy = parse(
        {
            "a.yaml": "version: 1\ndefaults: {set: {temperature: unset}}\nadapt: {arms: {temperature: [1.1, unset, 0.1]}}"
        },
        "t",
    )
    assert policy.defaults[0].set["temperature"] is UNSET
    assert policy.adaptation.arms["temperature"] == (0.1, 1.1, None)


def test_learning_can_differ_by_task() -> None:
    policy = parse(
        {
            "a.yaml": """
version: 1
adapt: {mode: {default: observe, chat: apply}, arms: {temperature: [0.1, 0.5]}}
tasks: {code: {adapt: {mode: bypass, explore: 0.1}}}
"""
        },
        "t",
    )
    assert policy.adaptation_of("math").mode == "observe"
    assert policy.adaptation_of("chat").mode == "apply"
    assert policy.adaptation_of("code").mode == "bypass"
    assert policy.adaptation_of("code").explore == 0.1
    assert policy.adaptation_of("code").arms == policy.adaptation.arms


def test_an_edit_that_cannot_be_run_leaves_the_old_policy(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\ndefaults: {set: {temperature: 0.1}}")
    book = PolicyBook.open(file)
    good = book.policy

    file.write_text("version: 1\ndefaults: {set: {temprature: 0.12}}")
    assert book.refresh() == "refused"
    assert book.policy is good
    assert "did you mean temperature?" in str(book.problems[0])
    assert book.refresh() == "unchanged"

    file.write_text("version: 1\ndefaults: {set: {temperature: 0.123}}")
    assert book.refresh() == "loaded"
    assert book.policy.defaults[0].set["temperature"] == 0.123
    assert book.problems == ()


def test_a_deleted_policy_file_leaves_the_old_policy(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("version: 1")
    book = PolicyBook.open(file)
    file.unlink()
    assert book.refresh() == "refused"
    assert "cannot be read" in str(book.problems[0])


def test_a_folder_without_policies_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidPolicyError, match=r"has no \.yaml file"):
        load(tmp_path)
