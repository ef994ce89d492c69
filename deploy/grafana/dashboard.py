"""The Grafana dashboard, from the panels in panels.yml: run this file after an edit of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

HERE = Path(__file__).parent
PANELS, OUT = HERE / "panels.yml", HERE / "dashboards" / "setpoint.json"
SOURCE = {"type": "prometheus", "uid": "setpoint-prometheus"}  # provisioning/datasources/prometheus.yml
WIDTH = 24  # of Grafana's grid
Kind = Literal["timeseries", "stat", "table", "heatmap"]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `queries` is PromQL by legend, `limit` is where the colour turns red."""

    title: str
    help: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    low: float | None = 0
    high: float | None = None
    limit: float | None = None


def rows(text: str) -> list[tuple[str, list[Panel]]]:
    """The rows of panels.yml. Raises TypeError for a key that no panel has."""
    return [(row["row"], [Panel(**panel) for panel in row["panels"]]) for row in yaml.safe_load(text)]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "setpoint",
        "title": "Setpoint",
        "description": "Made by deploy/grafana/dashboard.py of panels.yml: edit that.",
        "tags": ["setpoint", "llm"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_variable("model"), _variable("task"), _parameter()]},
        "annotations": {"list": [_policy_changes()]},
        "panels": _placed(),
    }


def _variable(label: str) -> dict[str, Any]:
    return _query(label, f"label_values(setpoint_requests_total, {label})") | {
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _parameter() -> dict[str, Any]:
    return _query("parameter", "label_values(setpoint_parameter_value_count, parameter)") | {
        "current": {"text": "temperature", "value": "temperature"},
    }


def _query(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
    }


def _policy_changes() -> dict[str, Any]:
    return {
        "name": "policy taken over",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": 'sum(increase(setpoint_policy_reloads_total{result="ok"}[1m])) > 0',
        "step": "60s",
        "titleFormat": "policy taken over",
    }


def _placed() -> list[dict[str, Any]]:
    """Rows under one another, their panels from left to right and wrapped."""
    placed: list[dict[str, Any]] = []
    y = 0
    for title, panels in rows(PANELS.read_text("utf-8")):
        grid = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        placed.append({"id": len(placed) + 1, "type": "row", "title": title, "gridPos": grid, "panels": []})
        x, y, tallest = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            grid = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            placed.append({"id": len(placed) + 1, "gridPos": grid, **_panel(panel)})
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "targets": [_target(panel, i, *query) for i, query in enumerate(panel.queries.items())],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "transformations": _transformations(panel),
    }


def _target(panel: Panel, number: int, legend: str, expr: str) -> dict[str, Any]:
    now = panel.kind in ("stat", "table")
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": expr,
        "legendFormat": legend or "__auto",
        "instant": now,
        "range": not now,
        "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    found: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.low is not None:
        found["min"] = panel.low
    if panel.high is not None:
        found["max"] = panel.high
    if panel.kind == "timeseries":
        found["custom"] = _lines(panel)
    return found


def _lines(panel: Panel) -> dict[str, Any]:
    return {
        "lineWidth": 1,
        "fillOpacity": 30 if panel.stacked else 0,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if panel.limit is None else "dashed"},
        "showPoints": "never",
    }


def _options(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "stat":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "value",
                "graphMode": "none",
                "textMode": "name" if any(panel.queries) else "value",
            }
        case "heatmap":
            return {
                "calculate": False,
                "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
                "yAxis": {"axisPlacement": "left"},
                "cellGap": 1,
                "tooltip": {"mode": "single", "yHistogram": True},
                "legend": {"show": False},
            }
        case "table":
            return {"showHeader": True, "cellHeight": "sm"}


def _transformations(panel: Panel) -> list[dict[str, Any]]:
    if panel.kind != "table":
        return []
    hidden = dict.fromkeys(("Time", "Value", "__name__", "job"), True)
    return [{"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": {}}}]


if __name__ == "__main__":
    OUT.write_text(json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n", "utf-8")
