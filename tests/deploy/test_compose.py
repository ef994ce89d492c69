"""docker-compose.yml: what it must say for the four services to start, to be safe, and to find one another."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import yaml

SECRETS = re.compile(r"KEY|PASSWORD|TOKEN|SECRET")


def _services(compose: Any) -> list[tuple[str, Any]]:
    return list(compose["services"].items())


def _binds(root: Path, compose: Any) -> list[tuple[Path, str, str]]:
    """(path here, path in the container, mode) of everything that is mounted from the checkout."""
    volumes = [v for _, s in _services(compose) for v in s.get("volumes", []) if v.startswith("./")]
    return [(root / here, there, mode) for here, there, mode in (v.split(":") for v in volumes)]


def test_the_file_is_what_the_compose_specification_allows(compose: Any) -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(compose)


def test_everything_that_is_mounted_exists_and_cannot_be_written(root: Path, compose: Any) -> None:
    binds = _binds(root, compose)
    assert [here for here, _, _ in binds if not here.exists()] == []
    assert {mode for _, _, mode in binds} == {"ro"}


def test_every_named_volume_is_declared_and_used(compose: Any) -> None:
    volumes = [v.split(":")[0] for _, s in _services(compose) for v in s.get("volumes", [])]
    assert {v for v in volumes if not v.startswith(".")} == set(compose["volumes"])


def test_images_are_pinned_by_version_and_name_no_registry(compose: Any) -> None:
    for _, service in _services(compose):
        name, _, version = service["image"].partition(":")
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", version), service["image"]
        assert "." not in name


def test_nothing_is_published_beyond_loopback_unless_asked_for(compose: Any) -> None:
    ports = [p for _, s in _services(compose) for p in s.get("ports", [])]
    assert len(ports) == 3
    assert [p for p in ports if not p.startswith(("127.0.0.1:", "${SETPOINT_BIND:-127.0.0.1}:"))] == []
    assert "ports" not in compose["services"]["redis"]


def test_no_service_can_gain_privileges_or_write_to_its_image(compose: Any) -> None:
    for name, service in _services(compose):
        assert service["read_only"], name
        assert service["init"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "healthcheck" in service, name
    assert not compose["services"]["proxy"]["user"].startswith("0")


def test_no_secret_stands_in_the_file(compose: Any) -> None:
    for _, service in _services(compose):
        given = {k: v for k, v in service.get("environment", {}).items() if SECRETS.search(k)}
        assert [v for v in given.values() if not v.startswith("${")] == []


def test_a_missing_key_is_said_with_what_to_do(compose: Any) -> None:
    key = compose["services"]["proxy"]["environment"]["SETPOINT_API_KEY"]
    assert key.startswith("${SETPOINT_API_KEY:?set SETPOINT_API_KEY")


def test_the_proxy_waits_for_redis_and_can_do_without_it(compose: Any) -> None:
    assert compose["services"]["proxy"]["depends_on"]["redis"] == {"condition": "service_healthy", "required": False}


def test_redis_never_evicts_statistics_and_survives_a_restart(compose: Any) -> None:
    command = compose["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "volatile-ttl"
    assert any(v.endswith(":/data") for v in compose["services"]["redis"]["volumes"])


def test_grafana_finds_its_datasource_its_dashboard_and_prometheus(root: Path, compose: Any) -> None:
    mounted = {there: here for here, there, _ in _binds(root, compose)}
    provisioning = mounted["/etc/grafana/provisioning"]
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text("utf-8"))["datasources"][0]
    provider = yaml.safe_load((provisioning / "dashboards/setpoint.yml").read_text("utf-8"))["providers"][0]
    board = json.loads((mounted[provider["options"]["path"]] / "setpoint.json").read_text("utf-8"))

    host = source["url"].removeprefix("http://").partition(":")[0]
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert host in compose["services"]
    assert home == f"{provider['options']['path']}/setpoint.json"
    assert {p["datasource"]["uid"] for p in board["panels"] if p["type"] != "row"} == {source["uid"]}
