"""The examples of README and docs run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from policies.loading import parse
from router.settings import read

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block of a language; an indented fence is a step of a list."""
    found = []
    for page in PAGES:
        for indent, text in re.findall(
            rf"^( *)```{language}\n(.*?)^\1```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            found.append((page.name, "\n".join(line.removeprefix(indent) for line in text.splitlines())))
    return found


@pytest.mark.parametrize(("page", "text"), [b for b in blocks("yaml") if b[1].startswith("version:")])
def test_a_policy_of_the_docs_loads(page: str, text: str) -> None:
    assert parse({page: text}, "docs")


@pytest.mark.parametrize(("page", "text"), [b for b in blocks("yaml") if "upstreams:" in b[1]])
def test_settings_of_the_docs_load(page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "k")
    monkeypatch.setenv("TEAM_A_KEY", "k")
    (tmp_path / "setpoint.yaml").write_text(text, "utf-8")
    assert read(tmp_path / "setpoint.yaml").upstreams


async def test_the_python_of_the_readme_runs(proxy: Any) -> None:
    import asyncio

    ((_, code),) = blocks("python")
    assert "127.0.0.1:8300" in code
    scope: dict[str, Any] = {}
    await asyncio.to_thread(exec, code.replace("http://127.0.0.1:8300", proxy.url), scope)
    assert scope["answer"].choices[0].message.content == "Hello there."
    scope["client"].close()


@pytest.mark.parametrize(("page", "text"), blocks("jsonl"))
def test_labelled_prompts_of_the_docs_can_be_scored(page: str, text: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from router.cli import main

    (tmp_path / page).write_text(text, "utf-8")
    said = CliRunner().invoke(main, ["classify", "--eval", str(tmp_path / page), "--json"])
    assert json.loads(said.stdout)["all"]["rows"] == len(text.splitlines()), said.output


async def test_the_comparison_of_the_examples_runs(start: Any, artefacts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio
    import runpy

    proxy = await start(classifier=artefacts["sum"], classifier_shadow=artefacts["both"])
    monkeypatch.setenv("SETPOINT_URL", proxy.url)
    rows = proxy.policy.with_name("rows.jsonl")
    rows.write_text('{"text": "add two and three", "task": "sum"}\n{"text": "good morning", "task": "greet"}\n')
    example = runpy.run_path(str(ROOT / "examples" / "compare-classifiers" / "ask.py"))
    await asyncio.to_thread(example["main"], [str(rows)])
    await asyncio.sleep(0.2)
    _, page = await proxy.get("/metrics")
    assert 'setpoint_classifier_judged_total{by="declared",live="right",shadow="right",task="sum"} 1.0' in page
