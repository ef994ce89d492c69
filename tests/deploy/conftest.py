"""The deployment's files, read once as their readers would read them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def compose() -> Any:
    """docker-compose.yml, with its variables as they stand."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


@pytest.fixture
def container_environment(compose: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The proxy's environment in its container when nothing but SETPOINT_API_KEY is set."""
    told = compose["services"]["proxy"]["environment"]
    found = {k: re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", r"\1", v) for k, v in told.items()}
    found["SETPOINT_API_KEY"] = "a key of the test's own"
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found
