"""Comparing: how the shadow's verdicts differ from the live classifier's, and who is right where the task is known."""

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from rich.console import Console
from rich.table import Table

from metrics.page import Labels, series
from router.errors import SettingsError

MOST_SHOWN = 15  # pairs of tasks
FEWEST = 10  # asks that one alone was right about: from there on their difference is told with an interval


def fetch(urls: Sequence[str]) -> list[str]:
    """The metrics pages of running proxies. Raises SettingsError for one that does not answer."""
    pages = []
    for url in urls:
        try:
            with urllib.request.urlopen(f"{url.rstrip('/')}/metrics", timeout=10) as answer:  # noqa: S310 (the user's own)
                pages.append(answer.read().decode())
        except (OSError, ValueError, urllib.error.URLError) as e:
            raise SettingsError(f"{url}: no proxy answers there ({e}); give the address of a running one") from e
    return pages


def compared(pages: Sequence[str]) -> dict[str, Any]:
    """What the pages say, summed, as JSON. Shares are None where there is nothing to share."""
    pairs, judged = series(pages, "classifier_shadow"), series(pages, "classifier_judged")
    asks = sum(pairs.values())
    both = {key: n for key, n in judged.items() if key[3] != "none"}
    return {
        "artefacts": [
            {"role": role, "digest": digest, "rows": rows}
            for (role, digest, rows), used in sorted(series(pages, "classifier_info").items())
            if used
        ],
        "asks": round(asks),
        "same": _share(sum(n for (*_, same), n in pairs.items() if same == "yes"), asks),
        "pairs": [
            {"task": task, "shadow_task": other, "asks": round(n), "share": _share(n, asks)}
            for (task, other, same), n in sorted(pairs.items(), key=lambda item: -item[1])
            if same == "no" and n
        ],
        "live": _right(judged, 2),
        "known": {**_right(both, 2, "live_"), **_right(both, 3, "shadow_"), **_difference(both)},
        "tasks": [
            {"task": task, **_right(own, 2, "live_"), **_right(own, 3, "shadow_")}
            for task in sorted({key[0] for key, n in both.items() if n})
            if (own := {key: n for key, n in both.items() if key[0] == task})
        ],
    }


def _right(judged: Mapping[Labels, float], place: int, prefix: str = "") -> dict[str, Any]:
    """How many asks, and which share of them was judged rightly."""
    asks = sum(judged.values())
    right = sum(n for key, n in judged.items() if key[place] == "right")
    return {"asks": round(asks), f"{prefix}right": _share(right, asks)}


def _difference(both: Mapping[Labels, float]) -> dict[str, Any]:
    """Shadow's share of right verdicts less the live one's, with its interval of 95 %: of the same asks, so paired."""
    asks = sum(both.values())
    live = sum(n for (*_, mine, other), n in both.items() if mine == "right" and other != "right")
    shadow = sum(n for (*_, mine, other), n in both.items() if other == "right" and mine != "right")
    told: dict[str, Any] = {"only_live_right": round(live), "only_shadow_right": round(shadow)}
    if asks and live + shadow >= FEWEST:
        middle = (shadow - live) / asks
        spread = 1.96 * sqrt(max(live + shadow - (shadow - live) ** 2 / asks, 0.0)) / asks
        told |= {"difference": middle, "low": middle - spread, "high": middle + spread}
    return told


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def show(told: Mapping[str, Any], console: Console) -> None:
    """The comparison for people."""
    for a in told["artefacts"]:
        console.print(f"{a['role']}: {a['digest']}{', ' + a['rows'] + ' rows' if a['rows'] else ''}")
    if len({a["digest"] for a in told["artefacts"] if a["role"] == "live"}) > 1:
        console.print("[yellow]The proxies do not all use the same artefacts: these numbers are of several.[/]")
    if not any(a["role"] == "shadow" for a in told["artefacts"]):
        console.print("There is no shadow: name its folder as `classifier_shadow` in setpoint.yaml.")
    else:
        _show_pairs(told, console)
    _show_known(told, console)


def _show_pairs(told: Mapping[str, Any], console: Console) -> None:
    if not told["asks"]:
        console.print("Nothing has been compared yet.")
        return
    console.print(f"\n{told['asks']:,} asks compared, {_percent(told['same'])} of them with the same verdict")
    table = Table("live", "shadow", "asks", "share", box=None, pad_edge=False)
    for pair in told["pairs"][:MOST_SHOWN]:
        table.add_row(pair["task"], pair["shadow_task"], f"{pair['asks']:,}", _percent(pair["share"]))
    if told["pairs"]:
        console.print(table)


def _show_known(told: Mapping[str, Any], console: Console) -> None:
    known, live = told["known"], told["live"]
    if not live["asks"]:
        console.print("\nNo task is known: nobody declared one (x-setpoint-task) or told it later (feedback `task`).")
        return
    console.print(f"\nlive right on {_percent(live['right'])} of {live['asks']:,} asks whose task is known")
    if not known["asks"]:
        return
    console.print(
        f"on the {known['asks']:,} that both judged: live {_percent(known['live_right'])}, "
        f"shadow {_percent(known['shadow_right'])}; right alone: live {known['only_live_right']}, "
        f"shadow {known['only_shadow_right']}"
    )
    console.print(_verdict(known))
    table = Table("task", "asks", "live right", "shadow right", box=None, pad_edge=False)
    for row in told["tasks"]:
        table.add_row(row["task"], f"{row['asks']:,}", _percent(row["live_right"]), _percent(row["shadow_right"]))
    console.print(table)


def _verdict(known: Mapping[str, Any]) -> str:
    if "difference" not in known:
        return "too few of them tell the two apart"
    said = "better" if known["low"] > 0 else "worse" if known["high"] < 0 else "neither shown to be better nor worse"
    low, high = (f"{100 * known[end]:+.1f}" for end in ("low", "high"))
    return f"the shadow is {said}: {100 * known['difference']:+.1f} points (95 %: {low} to {high})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
