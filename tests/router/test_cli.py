"""The command line, as a user types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from router.cli import main


def run(*arguments: str, stdin: str | None = None, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setpoint.yaml and no key of the machine that runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SETPOINT_DATA", str(tmp_path / "data"))
    for name in ("DEEPSEEK_API_KEY", "OPENAI_API_KEY", "SETPOINT_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_explain_shows_the_ladder_and_what_is_not_sent() -> None:
    said = run("explain", "这份合同里的违约金条款合法吗？", "--model", "o3")
    assert "library.yaml" not in said
    assert "rules.legal" in said
    assert "not sent temperature" in said


def test_explain_takes_what_the_client_would_send() -> None:
    told = json.loads(run("explain", "Write a poem about rain", "--set", "temperature=1.5", "--turn", "2", "--json"))
    assert told["params"]["temperature"] == 1.5
    assert told["turn"] == 2


def test_explain_shows_what_an_unclear_prompt_is_blended_from(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "version: 1\nblend: true\ntasks: {code: {set: {top_p: 0.2}}, creative_writing: {set: {top_p: 0.8}}}\ndefaults: {set: {top_p: 0.5}}"
    )
    said = run("explain", "Write a poem in the form of a Python function", "--policies", str(policy), "--model", "m")
    assert "blend " in said
    assert "creative_writing 0.8 ×" in said


def test_check_is_quiet_about_good_files_and_clear_about_bad_ones(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\ntasks: {code: {set: {temprature: 1}}}")
    assert "good" in run("check")
    assert "did you mean temperature?" in run("check", str(bad), code=1)
    assert "cannot be read" in run("check", str(tmp_path / "nope"), code=1)
    assert json.loads(run("check", "--schema"))["title"] == "Setpoint policy"


def test_classify_reads_an_argument_or_lines() -> None:
    assert json.loads(run("classify", "用Python写一个快速排序"))["task"] == "code"
    lines = run("classify", stdin='{"text": "hello"}\nnonsense\n{"text": ""}\n').splitlines()
    assert json.loads(lines[0])["task"] == "chat"
    assert "line 2" in json.loads(lines[1])["error"]
    assert json.loads(lines[2])["task"] == "general"


def test_train_says_what_it_did_and_what_is_wrong(tmp_path: Path) -> None:
    assert "is not JSON" in run("train", "--data", str(_file(tmp_path, "{")), "--out", str(tmp_path / "out"), code=1)


def _file(folder: Path, text: str) -> Path:
    file = folder / "data.jsonl"
    file.write_text(text)
    return file


def test_report_of_an_empty_store_says_that_nothing_was_learned() -> None:
    assert "Nothing has been learned yet" in run("report")


def test_a_port_in_use_or_a_bad_file_ends_with_one_line(tmp_path: Path) -> None:
    assert "cannot be read" in run("serve", "--config", str(tmp_path / "nope.yaml"), code=1)
    assert "Add keys" in run("serve", "--host", "0.0.0.0", code=1)
