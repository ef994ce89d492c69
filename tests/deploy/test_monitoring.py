"""Prometheus and Grafana: the rules hold, every metric they name is exported, and every metric is shown."""

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.families import FAMILIES, PREFIX, Family


def _exported(family: Family) -> list[str]:
    """The names under which a family is found on the page."""
    suffixes = {
        "counter": ["_total"],
        "gauge": [""],
        "histogram": ["_bucket", "_count", "_sum"],
        "summary": ["_count", "_sum"],
    }
    found = suffixes[family.kind]
    if family.buckets and family.buckets[0] < 0:
        found = found[:2]  # a sum that can fall is not a counter, and prometheus_client leaves it out
    return [f"{PREFIX}{family.name}{suffix}" for suffix in found]


EXPORTED = {name: family for family in FAMILIES.values() for name in _exported(family)}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool not installed; .ci/run installs it"
)


def _rules(root: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((root / "deploy/prometheus/rules.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _rules_tests(root: Path) -> list[Path]:
    return sorted((root / "deploy/prometheus").glob("*_test.yml"))


def _board(root: Path) -> Any:
    return json.loads((root / "deploy/grafana/dashboards/setpoint.json").read_text("utf-8"))


def _shown(root: Path) -> list[str]:
    """All the PromQL of the dashboard."""
    board = _board(root)
    targets = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
    return [*targets, *(a["expr"] for a in board["annotations"]["list"])]


def _named(queries: list[str]) -> set[str]:
    """The exported metrics that queries name; recorded ones have a colon before and behind."""
    return {m for q in queries for m in re.findall(rf"(?<![\w:])({PREFIX}\w+)(?![\w:])", q)}


def _selected(query: str) -> Iterator[tuple[str, set[str]]]:
    """(metric, labels in its braces) of a query."""
    for metric, matchers in re.findall(rf"(?<![\w:])({PREFIX}\w+)\{{([^}}]*)\}}", query):
        yield metric, set(re.findall(r"(\w+)\s*[!=]", matchers))


def _promtool(*arguments: str | Path) -> str:
    run = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    return said


def test_every_metric_of_a_rule_or_a_panel_is_exported(root: Path) -> None:
    assert _named([*(r["expr"] for r in _rules(root)), *_shown(root)]) - set(EXPORTED) == set()


def test_every_label_that_is_asked_for_is_one_that_the_metric_has(root: Path) -> None:
    for query in [*(r["expr"] for r in _rules(root)), *_shown(root)]:
        for metric, labels in _selected(query):
            assert labels <= {*EXPORTED[metric].labels, "instance", "job"}, query


def test_every_recorded_metric_that_is_used_is_recorded(root: Path) -> None:
    queries = [*(r["expr"] for r in _rules(root)), *_shown(root)]
    used = {name for q in queries for name in re.findall(r"\w+:\w+:\w+", q)}
    assert used - {r["record"] for r in _rules(root) if "record" in r} == set()


def test_the_dashboard_shows_every_family(root: Path) -> None:
    recorded = {r["record"]: r["expr"] for r in _rules(root) if "record" in r}
    shown = _shown(root)
    behind = [expr for name, expr in recorded.items() if any(name in q for q in shown)]
    families = {EXPORTED[m].name for m in _named([*shown, *behind])}
    assert set(FAMILIES) - families == set(), "give each a panel in deploy/grafana/panels.yml"


def test_the_dashboard_is_the_one_that_the_table_of_panels_makes(root: Path) -> None:
    made = runpy.run_path(str(root / "deploy/grafana/dashboard.py"))["dashboard"]()
    assert _board(root) == made, "run deploy/grafana/dashboard.py"


def test_panels_fill_the_grid_without_overlapping(root: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for grid in (p["gridPos"] for p in _board(root)["panels"]):
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert grid["x"] + grid["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_every_alert_says_what_is_wrong_and_what_to_do(root: Path) -> None:
    alerts = [r for r in _rules(root) if "alert" in r]
    for alert in alerts:
        assert set(alert["annotations"]) == {"summary", "description"}, alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert len({a["alert"] for a in alerts}) == len(alerts)


def test_every_alert_is_seen_to_fire(root: Path) -> None:
    tests = [t for file in _rules_tests(root) for t in yaml.safe_load(file.read_text("utf-8"))["tests"]]
    expected = [s["labels"] for t in tests for e in t["promql_expr_test"] for s in e["exp_samples"]]
    fired = {name for labels in expected for name in re.findall(r'alertname="(\w+)"', labels)}
    assert {r["alert"] for r in _rules(root) if "alert" in r} - fired == set()


def test_prometheus_scrapes_the_proxy_and_reads_the_rules(root: Path, compose: Any) -> None:
    config = yaml.safe_load((root / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    mounted = {v.split(":")[1] for v in compose["services"]["prometheus"]["volumes"]}
    job = config["scrape_configs"][0]
    assert job["job_name"] == "setpoint"
    assert job["static_configs"][0]["targets"] == ["proxy:8300"]
    assert {f"/etc/prometheus/{f}" for f in config["rule_files"]} <= mounted


@needs_promtool
def test_prometheus_takes_the_configuration_and_the_rules(root: Path) -> None:
    _promtool("check", "config", "--lint=all", "--lint-fatal", root / "deploy/prometheus/prometheus.yml")
    _promtool("check", "rules", "--lint=all", "--lint-fatal", root / "deploy/prometheus/rules.yml")


@needs_promtool
def test_the_rules_do_what_their_own_tests_say(root: Path) -> None:
    files = _rules_tests(root)
    assert len(files) == 2
    assert _promtool("test", "rules", *files).count("SUCCESS") == len(files)


@needs_promtool
def test_every_query_of_the_dashboard_is_promql(root: Path, tmp_path: Path) -> None:
    queries = [q.replace("$__rate_interval", "5m") for q in _shown(root)]
    rules = [{"record": f"panel:query:{n}", "expr": q} for n, q in enumerate(queries)]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    assert f"{len(queries)} rules found" in _promtool("check", "rules", tmp_path / "queries.yml")
