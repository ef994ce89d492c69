"""The image and its settings: what the container runs is there, is pinned, and starts without any vendor's key."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from policies import loading
from router import settings


def _instructions(root: Path) -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, continued lines joined."""
    text = (root / "Dockerfile").read_text("utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]


def test_the_image_runs_the_proxy_directly_and_not_as_root(root: Path) -> None:
    said = dict(_instructions(root))
    assert json.loads(said["CMD"]) == ["setpoint", "serve"]
    assert said["USER"].split(":")[0].isdigit()
    assert int(said["USER"].split(":")[0]) > 0


def test_nothing_is_installed_without_its_hash(root: Path) -> None:
    runs = " && ".join(rest for word, rest in _instructions(root) if word == "RUN")
    installs = [c for c in runs.split("&&") if "install" in shlex.split(c) and "pip" in c]
    assert len(installs) == 3
    for command in installs:
        assert "--no-deps" in command
        assert "--require-hashes" in command or "--no-index" in command
    assert "pip wheel --no-deps --no-build-isolation" in runs


def test_everything_copied_is_in_the_checkout_and_reaches_the_builder(root: Path) -> None:
    copied = [rest.split()[:-1] for word, rest in _instructions(root) if word == "COPY" and "--from" not in rest]
    allowed = {line[1:] for line in (root / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    for source in (s.rstrip("/") for sources in copied for s in sources):
        assert (root / source).exists(), source
        assert source in allowed


def test_the_builder_sees_nothing_that_was_not_asked_for(root: Path) -> None:
    rules = [line for line in (root / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert rules[0] == "*"


def test_the_health_check_is_the_same_in_the_image_and_in_compose(root: Path, compose: Any) -> None:
    check = dict(_instructions(root))["HEALTHCHECK"].partition("CMD ")[2]
    assert ["CMD", *json.loads(check)] == compose["services"]["proxy"]["healthcheck"]["test"]


def test_the_container_serves_the_local_model_without_a_vendors_key(
    root: Path, container_environment: dict[str, str]
) -> None:
    found = settings.read(root / "deploy/setpoint.yaml")
    settings.require_safe(found)
    assert found.upstreams[0].kind == "local"
    assert found.store == "redis://redis:6379/0"
    assert found.host == "0.0.0.0"
    assert found.keys[0].key == container_environment["SETPOINT_API_KEY"]
    assert {u.name: u.api_key for u in found.upstreams} == {"local": None, "deepseek": None}


def test_the_policies_that_are_mounted_beside_the_settings_are_the_ones_in_force(
    root: Path, tmp_path: Path, container_environment: dict[str, str]
) -> None:
    shutil.copy(root / "deploy/setpoint.yaml", tmp_path)
    shutil.copytree(root / "policies/library", tmp_path / "policies/library")
    found = settings.read(tmp_path / "setpoint.yaml")
    assert found.policies == tmp_path / "policies/library"
    assert loading.load(found.policies).tasks
