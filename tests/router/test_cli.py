"""The command line, as a user types it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import time

import pytest
import redis
from click.testing import CliRunner

from classifier.ask import read_text
from classifier.model import ARTEFACT, Classifier
from metrics import keys
from metrics.embedded import start_embedded
from metrics.records import pack_label
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
    lines = run("classify", stdin='{"text": "hello"}\nnonsense\n{"text": ""}\n', code=1).splitlines()
    assert json.loads(lines[0])["task"] == "chat"
    assert "line 2" in json.loads(lines[1])["error"]
    assert json.loads(lines[2])["task"] == "general"
    assert json.loads(run("classify", stdin='\ufeff{"text": "hello"}\n'))["task"] == "chat"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"text": "\xff"}', "is not UTF-8"),
        (b'{"text": ' + b"[" * 100_000, "is not JSON"),
        (b'{"text": "a", "messages": [{"role": "user", "content": "b"}]}', "one of them is the prompt"),
        (b'{"messages": []}', "not a list with a message of the user"),
        (b'{"text": "a", "wants_json": 1}', "neither true nor false"),
        (b"[]", "is not a JSON object"),
        (b"{}", 'lacks a "text" or "messages"'),
    ],
)
def test_a_line_that_is_none_says_why_and_the_others_are_classified(line: bytes, why: str) -> None:
    result = CliRunner().invoke(main, ["classify"], input=line + b'\n{"text": "hello"}\n')
    assert result.exit_code == 1
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["error"].startswith("line 1: ")
    assert why in first["error"]
    assert second["task"] == "chat"


def test_lines_say_what_else_a_request_brings() -> None:
    rows = [{"text": "Turn this into JSON: Ada, 36", "wants_json": wanted} for wanted in (False, True)]
    plain, wanted = map(json.loads, run("classify", stdin="\n".join(map(json.dumps, rows))).splitlines())
    assert plain != wanted


def test_output_that_cannot_be_written_ends_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "router", "classify"]
    with Path("/dev/full").open("w") as full:
        for more in (["hello"], ["--eval", str(_file(tmp_path, ROWS))]):
            done = subprocess.run([*command, *more], stdout=full, stderr=subprocess.PIPE, text=True)
            assert (done.returncode, done.stderr) == (2, "Error: the output: No space left on device\n")


def test_a_closed_standard_input_says_so() -> None:
    done = subprocess.run(f"{sys.executable} -m router classify <&-", shell=True, capture_output=True, text=True)
    assert done.returncode == 2
    assert "standard input is closed" in done.stderr


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out"))
    assert "go with --eval" in run("classify", "hello", "--mistakes", "10", code=2)
    assert "--config goes with --from-traffic" in run("train", "--config", "setpoint.yaml", *out, code=2)
    assert "nor --force" in run("train", "--from-scratch", "--force", *out, code=2)


def test_train_says_at_once_where_it_cannot_write(tmp_path: Path) -> None:
    data = _file(tmp_path, "{")
    said = run("train", "--data", str(data), "--out", str(data), code=2)
    assert said == f"Error: {data}: an artefact cannot be written there: File exists\n"
    assert "is the shipped artefact" in run("train", "--data", str(data), "--out", str(ARTEFACT), code=2)


ROWS = """\
{"text": "Write a function that reverses a list", "task": "code"}
{"text": "你好", "task": "open_qa", "accept": ["chat"], "source": "mine"}
{"messages": [{"role": "user", "content": "Translate to German: good night"}], "task": "translation", "accept": ["proofreading"]}
{"text": "Write a poem about the rain in November", "task": "math"}
{"text": "zzzz", "task": "general"}
{"text": "Review this query: DELETE FROM users", "task": "sql_review"}
"""


def test_evaluating_scores_labelled_prompts_and_shows_where_it_is_wrong(tmp_path: Path) -> None:
    said = run("classify", "--eval", str(_file(tmp_path, ROWS)))
    assert said.startswith("5 rows judged by the classifier ")
    assert "not answerable, left out: 1 of 6 rows; the classifier has no task sql_review (1)" in said
    assert "accepted in vain: the classifier has no task proofreading (1)" in said
    scores = {
        line.split()[0]: line.split()[1:4] for line in said.splitlines() if line.startswith(("all", "mine", "data "))
    }
    assert scores == {"all": ["5", "0.600", "0.800"], "data": ["4", "0.750", "0.750"], "mine": ["1", "0.000", "1.000"]}
    assert "math → creative_writing  data, " in said
    assert "Write a poem about the rain in November" in said
    assert "language zh" in said


def test_evaluating_can_leave_prompts_out(tmp_path: Path) -> None:
    assert "November" not in run("classify", "--eval", str(_file(tmp_path, ROWS)), "--mistakes", "0")


def test_evaluating_gives_one_json_document_and_pictures(tmp_path: Path) -> None:
    file, plots = str(_file(tmp_path, ROWS)), tmp_path / "plots"
    arguments = ("classify", "--eval", file, "--eval", file, "--json", "--plots", str(plots))
    result = CliRunner().invoke(main, arguments)
    told = json.loads(result.stdout)
    assert told["all"]["rows"] == 10
    assert (told["all"]["accuracy"], told["all"]["lenient"], told["all"]["right_temperature"]) == (0.6, 0.8, 0.8)
    assert told["languages"]["zh"]["lenient"] == told["sources"]["mine"]["lenient"] == 1
    assert told["tasks"]["translation"]["precision"] == 1
    assert told["not_answerable"] == {"rows": 2, "tasks": {"sql_review": 2}}
    assert told["mistakes"][0]["verdict"] == "creative_writing"
    names, counts = told["confusion"]["tasks"], told["confusion"]["counts"]
    assert counts[names.index("math")][names.index("creative_writing")] == 2
    assert sum(b["rows"] for b in told["calibration"]) == 8  # two abstentions
    assert sorted(f.name for f in plots.iterdir()) == ["calibration.png", "confusion.png"]
    assert "confusion.png" in result.stderr


def test_evaluating_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(_file(tmp_path, '{"text": "hello"}'))
    assert f'Error: {file}:1: lacks a "task"\n' == run("classify", "--eval", file, code=1)
    assert "do not go together" in run("classify", "hello", "--eval", file, code=2)
    for option in (("--json",), ("--plots", "x")):
        assert "go with --eval" in run("classify", "hello", *option, code=2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    said = run("classify", "--eval", file, "--plots", str(tmp_path / "plots"), code=1)
    assert "run `make plots`" in said  # before anything is read
    assert said.count("\n") == 1


def test_a_source_each_does_not_flood_the_terminal(tmp_path: Path) -> None:
    rows = [json.dumps({"text": "hello", "task": "chat", "source": f"s{i:03}"}) for i in range(100)]
    said = run("classify", "--eval", str(_file(tmp_path, "\n".join(rows))))
    assert "... and 60 sources with fewer rows; --json has all" in said
    assert "s039" in said
    assert "s040" not in said


def test_evaluating_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "router", "classify", "--eval", str(pipe)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs the tests may ignore it
    ) as process:
        assert process.stderr
        with pipe.open("w") as rows:
            rows.write('{"text": "hello", "task": "chat"}\n' * 20_000)
            rows.flush()
            assert "20,000 lines" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("", "Interrupted.\n")
        assert process.returncode == 130


def test_train_says_what_it_did_and_what_is_wrong(tmp_path: Path) -> None:
    assert "is not JSON" in run("train", "--data", str(_file(tmp_path, "{")), "--out", str(tmp_path / "out"), code=1)


def test_train_goes_on_from_the_live_artefact_with_what_traffic_said(tmp_path: Path) -> None:
    live, data = tmp_path / "live", tmp_path / "data"
    rows = [json.dumps({"text": f"mealplan for {who}", "task": "meals"}) for who in ("two", "a club", "my aunt", "us")]
    run("train", "--data", str(_file(tmp_path, "\n".join(rows))), "--out", str(live))
    shipped = Classifier.load()
    asks = {"meals": "mealplan for my boss", "rewriting": "Put this politely", "mine": "hello"}
    kept = {task: pack_label(task, shipped.features(read_text(text))) for task, text in asks.items()}
    server = start_embedded(data)
    with redis.Redis.from_url(server.url) as client:
        client.hset(
            keys.corrections(int(time()) // keys.DAY), mapping={**kept, "damaged": "[1", "old": '["code", "?"]'}
        )
    server.stop()
    config = tmp_path / "setpoint.yaml"
    config.write_text("upstreams: [{name: a, base_url: 'http://127.0.0.1:1'}]\nclassifier: live\n")
    out = tmp_path / "out"
    said = run("train", "--from-traffic", "--config", str(config), "--out", str(out))
    assert "3 labels from traffic, and 2 that cannot be read" in said
    assert "1 of 3 labels from traffic are of tasks that the model does not know: mine (1)" in said
    assert Classifier.load(out).tasks == (*shipped.tasks, "meals")
    assert Classifier.load(out).manifest["adapted_from"] == Classifier.load(live).digest
    run("train", "--from-traffic", "--base", str(ARTEFACT), "--out", str(out))
    assert Classifier.load(out).manifest["adapted_from"] == shipped.digest


def _file(folder: Path, text: str) -> Path:
    file = folder / "data.jsonl"
    file.write_text(text, "utf-8")
    return file


def test_report_of_an_empty_store_says_that_nothing_was_learned() -> None:
    assert "Nothing has been learned yet" in run("report")


def test_a_port_in_use_or_a_bad_file_ends_with_one_line(tmp_path: Path) -> None:
    assert "cannot be read" in run("serve", "--config", str(tmp_path / "nope.yaml"), code=1)
    assert "Add keys" in run("serve", "--host", "0.0.0.0", code=1)
