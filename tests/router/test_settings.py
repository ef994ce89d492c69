"""setpoint.yaml and the environment."""

from pathlib import Path

import pytest

from router.errors import SettingsError
from router.serving import greeting
from router.settings import Settings, from_environment, load, own_address, read, require_safe

DESIGN = """
upstreams:
  - name: deepseek
    kind: openai                       # straight through
    base_url: https://api.deepseek.com/v1
    api_key: ${DEEPSEEK_API_KEY}
    models: ["deepseek-*"]
  - name: edge
    kind: openai
    base_url: http://127.0.0.1:8081/v1
    models: ["smollm2*", "local"]
    tags: {precision: int8, hardware: cpu, max_concurrency: 4}
  - name: claude
    kind: litellm
    models: {claude-sonnet: anthropic/claude-sonnet-4-6}
store: embedded                        # or redis://...
policies: policies/library             # a file or a folder; reloaded when it changes
keys:                                  # none: open on loopback only
  - {tenant: team-a, key: ${TEAM_A_KEY}, requests_per_minute: 600}
"""


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "setpoint.yaml"
    file.write_text(text)
    return read(file)


def test_the_file_of_the_documentation_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-d")
    monkeypatch.setenv("TEAM_A_KEY", "sk-a")
    found = settings(tmp_path, DESIGN)
    assert found.upstreams[0].api_key == "sk-d"
    assert found.upstreams[2].serves() == {"claude-sonnet": "anthropic/claude-sonnet-4-6"}
    assert found.keys[0].key == "sk-a"
    assert found.policies.is_dir()
    assert "sk-" not in "\n".join(greeting(found))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "upstreams: [{name: a, base_url: 'http://x/v1', api_key: '${NOT_SET_HERE}'}]",
            "the environment variable NOT_SET_HERE is not set",
        ),
        ("upstreams: [{name: a, bas_url: 'http://x/v1'}]", "did you mean base_url?"),
        ("upstreams: [{name: a}]", "base_url: is missing"),
        ("upstreams: [{name: a, base_url: 'ftp://x'}]", "is not an http"),
        ("upstreams: [{name: a, kind: litellm, models: ['x']}]", "provider/model pairs"),
        ("upstreams: []", "upstreams"),
        ("upstreams: [{name: a, base_url: 'http://x'}, {name: a, base_url: 'http://y'}]", "two have the same name"),
        ("stores: x", "did you mean store?"),
        ("- a", "is not a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as e:
        settings(tmp_path, text)
    assert said in str(e.value)


def test_without_a_file_the_environment_chooses() -> None:
    assert [u.name for u in from_environment({}).upstreams] == ["local"]
    assert [u.name for u in from_environment({"DEEPSEEK_API_KEY": "a", "OPENAI_API_KEY": "b"}).upstreams] == [
        "deepseek",
        "openai",
    ]


def test_an_open_proxy_is_refused_outside_loopback() -> None:
    with pytest.raises(SettingsError, match="Add keys"):
        require_safe(from_environment({}).model_copy(update={"host": "0.0.0.0"}))


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "nope.yaml")


def test_classifiers_are_found_beside_the_file_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "beside").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    upstreams = "upstreams: [{name: a, base_url: 'http://x/v1'}]\n"
    for live, shadow, expected in (
        ("beside", "here", (tmp_path / "conf" / "beside", Path("here"))),
        (tmp_path / "conf", "later", (tmp_path / "conf", tmp_path / "conf" / "later")),
    ):
        found = settings(tmp_path / "conf", f"{upstreams}classifier: {live}\nclassifier_shadow: {shadow}")
        assert (found.classifier, found.classifier_shadow) == expected
    assert settings(tmp_path / "conf", upstreams).classifier is None


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")],
)
def test_a_proxy_is_reached_on_its_own_machine(host: str, address: str) -> None:
    assert own_address(from_environment({}).model_copy(update={"host": host, "port": 1})) == address
