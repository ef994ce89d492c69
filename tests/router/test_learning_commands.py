"""`setpoint learning` and `setpoint report` on a real store, as an operator types them."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest
import redis
from click.testing import CliRunner

from metrics import keys, records
from metrics.correlation import paired
from metrics.embedded import EmbeddedServer, start_embedded
from metrics.tally import Slot, Tally, epoch_of, growth
from router.cli import main

CELL = "*|code|m|direct|1|temperature"
META: dict[str, object] = {"parameter": "temperature", "grid": ["0.1", "0.3", "0.5"], "baseline": "0.3", "task": "code"}
POLICY = "version: 1\nadapt: {mode: apply, arms: {temperature: [0.1, 0.3, 0.5]}, objective: {quality: 1, latency: 0, cost: 0}}"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setpoint.yaml in the folder, with the embedded store of a data folder there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SETPOINT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SETPOINT_CONFIG", raising=False)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "setpoint.yaml").write_text(
        "upstreams: [{name: a, base_url: 'http://127.0.0.1:1'}]\npolicies: policy.yaml\n"
    )


@pytest.fixture
def server(tmp_path: Path, here: None) -> Iterator[EmbeddedServer]:
    """The store that the settings name, with one cell in it."""
    running = start_embedded(tmp_path / "data")
    earn(running.url, {"0.3": Tally(100, 50, 30), "0.5": Tally(100, 90, 85)})
    yield running
    running.stop()


def pair(url: str, *pairs: tuple[float, float], signal: str = "repetition") -> None:
    """Explicit rewards beside what was observed: (observed, explicit)."""
    with redis.Redis.from_url(url) as client:
        for x, y in pairs:
            for arm, name, tally in paired(time(), [(signal, x)], y):
                for field, value in zip("nsq", tally, strict=True):
                    client.hincrbyfloat(keys.sums(CELL, epoch_of(time())), f"{field}|{name}|{arm}", value)


def earn(url: str, arms: dict[str, Tally], cell: str = CELL, meta: dict[str, object] = META) -> None:
    now = time()
    weight = growth(now)
    sums = [(arm, "rating", Tally(*(weight * x for x in tally))) for arm, tally in arms.items()]
    fields = records.fields(sums)
    with redis.Redis.from_url(url) as client:
        client.sadd(keys.CELLS, cell)
        client.set(keys.meta(cell), records.pack_meta(meta))
        slot = Slot(cell, epoch_of(now), "", "")
        client.hset(keys.sums(cell, slot.epoch), mapping=dict(zip(fields[::2], fields[1::2], strict=True)))


def test_pause_and_resume_say_what_they_did_and_the_report_shows_it(server: EmbeddedServer) -> None:
    assert "committed: 0.5 gets" in run("report")
    assert "Learning is paused: within" in run("learning", "pause", "--why", "incident [42]")
    assert "was paused already" in run("learning", "pause", "--why", "incident [43]")
    said = run("report")
    assert "Learning is paused since 20" in said
    assert "incident [43]" in said
    assert "paused: all learning is paused" in said
    found = json.loads(run("report", "--json"))
    assert found["paused"]["why"] == "incident [43]"
    assert [row["share"] for row in found["cells"][CELL]] == [0.0, 1.0, 0.0]
    assert "Learning goes on" in run("learning", "resume")
    assert "was not paused" in run("learning", "resume")
    assert "committed: 0.5 gets" in run("report")


def test_the_report_shows_a_second_parameter_below_the_first(server: EmbeddedServer, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY.replace("0.5]}", "0.5], min_p: [0, 0.1]}"))
    cells = [CELL.replace("temperature", f"min_p@temperature={arm}") for arm in ("0.5", "0.1")]
    for cell, arm in zip(cells, ("0.5", "0.1"), strict=True):
        meta: dict[str, object] = {
            "parameter": "min_p",
            "grid": ["0", "0.1"],
            "baseline": "0",
            "task": "code",
            "beside": {"temperature": arm},
        }
        earn(server.url, {"0": Tally(50, 25, 20), "0.1": Tally(50, 40, 35)}, cell, meta)
    said = run("report")
    assert (
        said.index("code on m, direct, turn 1\n") < said.index("turn 1, beside temperature=0.5") < said.index("min_p")
    )
    assert "waiting: nothing is served from here until temperature=0.1 has settled again" in said
    found = json.loads(run("report", "--json"))
    assert list(found["cells"]) == [CELL, *cells]
    assert [found["standing"][c]["beside"] for c in cells] == ["temperature=0.5", "temperature=0.1"]
    assert found["standing"][cells[0]]["standing"] in ("exploring", "committed")
    run("report", "--export", "learned.json")
    other = start_embedded(tmp_path / "other")
    (tmp_path / "other.yaml").write_text((tmp_path / "setpoint.yaml").read_text() + f"data: {tmp_path / 'other'}\n")
    assert "3 cells added" in run("report", "--import", "learned.json", "--config", "other.yaml")
    assert list(json.loads(run("report", "--json", "--config", "other.yaml"))["cells"]) == list(found["cells"])
    other.stop()


def test_a_pause_survives_a_restart_of_the_embedded_store(tmp_path: Path) -> None:
    run("learning", "pause")
    assert "Learning is paused since" in run("report")


def test_release_ends_a_rollback_and_knows_its_cells(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(keys.rolled_back(CELL), records.pack_mark("cause", "reward fell", time()), ex=3600)
        client.set(keys.last_changed(CELL), "1790000000.0")
    said = run("report")
    assert "rolled back: reward fell, until 20" in said
    assert f"setpoint learning release '{CELL}'" in said
    assert "last change found: 2026-09-21 14:13 UTC" in said
    assert f"{CELL} is released" in run("learning", "release", CELL)
    assert "was not rolled back; nothing has changed" in run("learning", "release", CELL)
    assert f"did you mean '{CELL}'?" in run("learning", "release", CELL[:-1], code=1)
    assert "`setpoint report --json` names all cells" in run("learning", "release", "x", code=1)


def test_the_report_has_the_lift_of_each_arm_with_its_interval(server: EmbeddedServer) -> None:
    low, own, high = json.loads(run("report", "--json"))["cells"][CELL]
    assert low["lift"] is None
    assert own["lift"] is None
    assert own["baseline"]
    assert high["lift"]["mean"] == pytest.approx(0.4, abs=1e-3)
    assert 0.3 < high["lift"]["low"] < 0.4 < high["lift"]["high"] < 0.5
    assert "+0.400 (+0.3" in run("report")


def test_the_report_says_what_observed_signals_are_worth(server: EmbeddedServer) -> None:
    assert json.loads(run("report", "--json"))["observed"] == {}
    pair(server.url, *[(1.0, 1.0), (0.0, 0.0)] * 20, (1.0, 0.0), (0.0, 1.0))
    row = json.loads(run("report", "--json"))["observed"]["code"]["repetition"]
    assert row["pairs"] == pytest.approx(42, abs=0.1)
    assert row["low"] < row["r"] < row["high"]
    assert row["r"] == pytest.approx(38 / 42)
    assert row["weight"] == pytest.approx((50 * 0.5 + 42 * row["r"] ** 2) / 92, abs=1e-3)
    text = run("report")
    assert "+0.90 (+0.84 to +0.94)" in text
    assert "(table 0.5)" in text


def test_pairs_are_no_arm_and_go_to_another_store_with_the_rest(server: EmbeddedServer, tmp_path: Path) -> None:
    pair(server.url, *[(1.0, 1.0), (0.0, 0.0)] * 20)
    found = json.loads(run("report", "--json"))
    assert [row["arm"] for row in found["cells"][CELL]] == META["grid"]
    run("report", "--export", "learned.json")
    other = start_embedded(tmp_path / "other")
    (tmp_path / "other.yaml").write_text((tmp_path / "setpoint.yaml").read_text() + f"data: {tmp_path / 'other'}\n")
    run("report", "--import", "learned.json", "--config", "other.yaml")
    there = json.loads(run("report", "--json", "--config", "other.yaml"))
    assert there["observed"]["code"]["repetition"]["r"] == pytest.approx(found["observed"]["code"]["repetition"]["r"])
    assert there["observed"]["code"]["repetition"]["pairs"] == pytest.approx(40, abs=0.1)
    assert there["standing"] == found["standing"]
    other.stop()


def test_decisions_are_written_as_lines_whole_or_not_at_all(server: EmbeddedServer, tmp_path: Path) -> None:
    assert "out.jsonl: 0 decisions and rewards" in run("report", "--decisions", "out.jsonl")
    with redis.Redis.from_url(server.url) as client:
        for n in range(1_500):
            client.xadd(keys.STREAM, {"e": f"dec_{n}", "v": '["rating", 0.75, 1]'})
        client.xadd(keys.STREAM, {"e": "dec_x"})
    said = run("report", "--decisions", "out.jsonl")
    assert "out.jsonl: 1500 decisions and rewards; 1 entries that make no sense were left out" in said
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"dec_{n}" for n in range(1_500)]
    assert {(line["kind"], line["signal"], line["reward"], line["weight"]) for line in lines} == {
        ("reward", "rating", 0.75, 1.0)
    }
    assert "nowhere" in run("report", "--decisions", "nowhere/out.jsonl", code=2)
    assert "do not go together" in run("report", "--decisions", "a", "--json", code=2)
    assert not list(tmp_path.glob("*.part"))
    with (tmp_path / "setpoint.yaml").open("a") as file:
        file.write("store: redis://127.0.0.1:1\n")
    assert "Error: store: " in run("report", "--decisions", "other.jsonl", code=1)
    assert not list(tmp_path.glob("other*"))


@pytest.mark.parametrize("what", ["--decisions", "--export"])
def test_what_is_no_file_is_written_into_and_never_replaced(server: EmbeddedServer, tmp_path: Path, what: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.xadd(keys.STREAM, {"e": "dec_1", "v": '["rating", 0.75, 1]'})
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    run("report", what, "pipe")
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    piped = os.read(reader, 65_536)
    os.close(reader)
    Path("linked").symlink_to("kept.json")
    run("report", what, "linked")
    assert Path("linked").is_symlink()
    result = CliRunner().invoke(main, ["report", what, "-"])
    assert not Path("-").exists()
    assert result.exit_code == 0, result.output
    for text in (piped, Path("kept.json").read_bytes(), result.stdout):
        told = json.loads(text)
        assert told["id"] == "dec_1" if what == "--decisions" else told["cells"].keys() == {CELL}
    Path("folder").mkdir()
    assert "folder: Is a directory" in run("report", what, "folder", code=2)
    assert f"nowhere{os.sep}out: No such file" in run("report", what, "nowhere/out", code=2)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("command", [("pause",), ("resume",), ("release", CELL)])
def test_without_its_store_nothing_is_done_and_that_is_said(tmp_path: Path, command: tuple[str, ...]) -> None:
    with (tmp_path / "setpoint.yaml").open("a") as file:
        file.write("store: redis://127.0.0.1:1\n")
    assert run("learning", *command, code=1).startswith("Error: store: ")


@pytest.mark.parametrize("command", [("pause",), ("resume",), ("release", CELL)])
def test_the_store_of_a_newer_version_is_left_alone(server: EmbeddedServer, command: tuple[str, ...]) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(keys.SCHEMA, "2")
        before = sorted(client.keys("*"))
        assert "upgrade" in run("learning", *command, code=1)
        assert sorted(client.keys("*")) == before


def test_what_was_learned_goes_to_another_store_once(server: EmbeddedServer, tmp_path: Path) -> None:
    assert "learned.json: 1 cells" in run("report", "--export", "learned.json")
    exported = json.loads((tmp_path / "learned.json").read_text())
    assert (exported["format"], exported["version"]) == ("setpoint-learning", 1)
    assert exported["cells"][CELL]["meta"] == META
    assert exported["cells"][CELL]["allocation"]["0.5"] > 0.6
    other = start_embedded(tmp_path / "other")
    earn(other.url, {"0.1": Tally(10, 5, 3), "0.3": Tally(100, 50, 30)})
    (tmp_path / "other.yaml").write_text((tmp_path / "setpoint.yaml").read_text() + f"data: {tmp_path / 'other'}\n")
    assert "1 cells added" in run("report", "--import", "learned.json", "--config", "other.yaml")
    once = json.loads(run("report", "--json", "--config", "other.yaml"))["cells"][CELL]
    assert [row["labels"] for row in once] == pytest.approx([10, 200, 100], abs=0.2)
    (tmp_path / "laid_out_anew.json").write_text(json.dumps(exported))
    for file in ("learned.json", "laid_out_anew.json"):
        assert "was imported into this store before" in run(
            "report", "--import", file, "--config", "other.yaml", code=1
        )
    again = json.loads(run("report", "--json", "--config", "other.yaml"))["cells"][CELL]
    assert [row["labels"] for row in again] == pytest.approx([10, 200, 100], abs=0.2)
    other.stop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "of version 2; this Setpoint reads 1"),
        ({"format": "?"}, "not made by"),
        ({"at": "soon"}, "`at` or `cells`"),
        ({"cells": {CELL: 7}}, f"cell '{CELL}' cannot be read"),
        ({"cells": {"c": {"meta": {}, "arms": {}}}}, "'c' is not a name of a cell"),
        ({"cells": {f"*|code|{'m' * 121}|direct|1|temperature": {"meta": {}, "arms": {}}}}, "is not a name of a cell"),
        ({"cells": {"*|code|{m}|direct|1|temperature": {"meta": {}, "arms": {}}}}, "is not a name of a cell"),
        ({"cells": {CELL: {"meta": {}, "arms": {"0.1": {"rating": {"n": 1, "s": 9, "q": 1}}}}}}, "no sum of rewards"),
        ({"cells": {CELL: {"meta": {}, "arms": {"0.1": {"rating": {"n": float("nan"), "s": 1, "q": 1}}}}}}, "no sum"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_whole(
    server: EmbeddedServer, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    run("report", "--export", "learned.json")
    file = tmp_path / "learned.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with redis.Redis.from_url(server.url) as client:
        before = sorted(client.keys("*"))
        assert said in run("report", "--import", "learned.json", code=1)
        assert sorted(client.keys("*")) == before


def test_a_file_that_is_none_and_options_that_exclude_one_another_are_errors(tmp_path: Path) -> None:
    assert "cannot be read" in run("report", "--import", "nope.json", code=1)
    (tmp_path / "no.json").write_text("{")
    assert "no JSON" in run("report", "--import", "no.json", code=1)
    assert "do not go together" in run("report", "--json", "--export", "x.json", code=2)
