"""The reference is as the tables are, and everything that a user can say is in it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from docs.generate import FOLDER, pages
from policies.loading import LIBRARY
from policies.parameters import PARAMETERS
from router.settings import Settings

ROOT = FOLDER.parent.parent
GUIDE = ROOT / "tests" / "policies" / "guide_as_data.yaml"


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_says_what_the_tables_say(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == pages()[name], "run `make docs`"


def test_every_setting_and_parameter_is_described() -> None:
    settings = (FOLDER / "settings.md").read_text("utf-8")
    assert all(f.description and f"`{n}`" in settings for n, f in Settings.model_fields.items())
    policy = (FOLDER / "policy.md").read_text("utf-8")
    assert all(f"`{p}`" in policy for p in PARAMETERS)


def schema() -> Any:
    return json.loads((FOLDER / "policy.schema.json").read_text("utf-8"))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", [*LIBRARY.glob("*.yaml"), GUIDE], ids=lambda f: f.name)
def test_the_schema_takes_what_ships(file: Path) -> None:
    jsonschema.validate(yaml.safe_load(file.read_text("utf-8")), schema())


@pytest.mark.parametrize(
    "text",
    [
        "{version: 1, tasks: {code: {set: {temprature: 1}}}}",
        "{version: 1, tasks: {code: {set: {temperature: 3}}}}",
        "{version: 1, rules: [{name: x, when: {contain: a}}]}",
        "{version: 1, defaults: {client: sometimes}}",
        "{version: 1, blend: sometimes}",
        "{version: 1, tasks: {code: {blend: 1}}}",
        "{tasks: {}}",
    ],
)
def test_the_schema_refuses_what_loading_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), schema())


def test_no_page_or_lock_names_a_registry() -> None:
    hosts = ("pypi.org", "pythonhosted", "npmjs", "debian.org", "index-url")
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("requirements/*"),
        *ROOT.glob("bench/*.txt"),
        ROOT / "Makefile",
    ]
    assert not [(f.name, h) for f in files for h in hosts if h in f.read_text("utf-8")]


def test_every_link_between_pages_leads_somewhere() -> None:
    import re

    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
