"""Settings: where requests go and how the proxy listens, from setpoint.yaml or, without one, from the environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from policies.errors import did_you_mean
from policies.loading import LIBRARY
from router.errors import SettingsError

PORT = 8300
# Inside `{...}` a YAML reader takes the braces of `${NAME}` for its own; so they are marked otherwise before it looks.
_VARIABLE = re.compile(r"\$\{(\w+)(:-[^}]*)?\}")
_MARKED = re.compile("\ue000(\\w+)(:-[^\ue001]*)?\ue001")
Provider = Literal[
    "openai", "azure", "deepseek", "anthropic", "gemini", "mistral", "groq", "xai", "moonshot", "zhipu", "dashscope",
    "openrouter", "fireworks", "vllm", "sglang", "llamacpp", "ollama", "compatible",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UpstreamSettings(_Strict):
    """One place that answers."""

    name: str = Field(pattern=r"^[\w.-]+$", description="Its name in rules, metrics and logs.")
    kind: Literal["openai", "litellm", "local"] = Field(
        "openai",
        description="`openai`: straight through; `litellm`: translated; `local`: a small model on this machine.",
    )
    base_url: str | None = Field(None, description="Where its /chat/completions is, for kind openai.")
    api_key: str | None = Field(None, description="Sent upstream; without it the client's own key goes through.")
    models: list[str] | dict[str, str] = Field(
        default_factory=lambda: ["*"], description="Globs of the models it serves, or name → its name upstream."
    )
    provider: Provider | None = Field(
        None, description="Which dialect it speaks; found out from the address if not given."
    )
    http2: bool = Field(
        True,
        description="For https: HTTP/2 where the upstream offers it. false: HTTP/1.1 through OpenSSL, which also takes a "
        "self-signed certificate that SSL_CERT_FILE names.",
    )
    tags: dict[str, Any] = Field(default_factory=dict, description="Free marks that rules can ask for.")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers sent upstream.")

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"https?://[^/]+", url):
            raise ValueError("is not an http:// or https:// address")
        return url.rstrip("/") if url else url

    def serves(self) -> Mapping[str, str]:
        """Model globs → the name to send upstream; an empty name leaves the model as it is."""
        return self.models if isinstance(self.models, dict) else dict.fromkeys(self.models, "")


class KeySettings(_Strict):
    """A key that clients present, and whose it is."""

    tenant: str = Field(min_length=1, description="Whose key it is.")
    key: str = Field(min_length=1, description="The bearer token.")
    requests_per_minute: int | None = Field(None, ge=1, description="More are answered 429; per worker.")


class Limits(_Strict):
    """What one request may take."""

    body_mb: float = Field(20, gt=0, description="Largest request body, in MB; larger ones are answered 413.")
    connect_seconds: float = Field(10, gt=0, description="Longest wait for a connection to an upstream.")
    read_seconds: float = Field(600, gt=0, description="Longest silence of an upstream.")


class Settings(_Strict):
    """All of setpoint.yaml."""

    upstreams: Annotated[
        list[UpstreamSettings], Field(min_length=1, description="Where requests go, the default one first.")
    ]
    store: str = Field(
        "embedded",
        description="`embedded`, or the URL of a Redis: redis://, rediss://, redis+sentinel://, redis+cluster://.",
    )
    policies: Path = Field(LIBRARY, description="A policy file or a folder of them; reloaded when it changes.")
    keys: list[KeySettings] = Field(default_factory=list, description="Who may call; none: open, on loopback only.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(PORT, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=256, description="Processes that share the port.")
    data: Path = Field(default_factory=lambda: data_folder(), description="Folder of the embedded store.")
    classifier: Path | None = Field(
        None, description="Folder of a classifier artefact, reloaded when it changes; the shipped one if not given."
    )
    classifier_shadow: Path | None = Field(
        None, description="Folder of another artefact that is compared with the live one, and decides nothing."
    )
    keep_corrections: bool = Field(
        False,
        description="Whether the features of asks (never their text) are kept for 30 days where an app declares the task or "
        "feedback gives it, for `setpoint train --from-traffic`.",
    )
    limits: Limits = Field(default_factory=Limits, description="What one request may take.")
    refresh_seconds: float = Field(
        2,
        ge=0.1,
        le=300,
        description="How often allocations are computed anew; with many cells less often, for a sixtieth of a core.",
    )


def data_folder() -> Path:
    """Where state is kept: $SETPOINT_DATA, or the user's data folder."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get("SETPOINT_DATA") or Path(base) / "setpoint")


def load(path: Path | None = None) -> Settings:
    """Settings of a file, of ./setpoint.yaml if there is one, or else of the environment. Raises SettingsError."""
    if path is None and (given := os.environ.get("SETPOINT_CONFIG")):
        path = Path(given)
    if path is None and Path("setpoint.yaml").is_file():
        path = Path("setpoint.yaml")
    return read(path) if path else from_environment(os.environ)


def from_environment(env: Mapping[str, str]) -> Settings:
    """A vendor whose key is set, or else the small model on this machine."""
    upstreams = []
    if key := env.get("DEEPSEEK_API_KEY"):
        upstreams.append(
            UpstreamSettings(
                name="deepseek",
                base_url="https://api.deepseek.com/v1",
                api_key=key,
                models=["deepseek-*"],
                provider="deepseek",
            )
        )
    if key := env.get("OPENAI_API_KEY"):
        base = env.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        upstreams.append(UpstreamSettings(name="openai", base_url=base, api_key=key, models=["*"]))
    if not upstreams:
        upstreams.append(
            UpstreamSettings(name="local", kind="local", models=["smollm2*", "local"], provider="llamacpp")
        )
    return Settings(upstreams=upstreams)


def read(path: Path) -> Settings:
    """Settings of one file; relative paths in it are relative to it. Raises SettingsError."""
    try:
        raw = yaml.safe_load(_VARIABLE.sub("\ue000\\1\\2\ue001", path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"{path}: cannot be read: {getattr(e, 'strerror', None) or 'is not UTF-8 text'}") from e
    except yaml.YAMLError as e:
        raise SettingsError(f"{path}: is not YAML: {e}") from e
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: is not a mapping; start with `upstreams:`")
    try:
        settings = Settings.model_validate(_expanded(raw, str(path)))
    except ValidationError as e:
        raise SettingsError("\n".join(_message(path, error) for error in e.errors())) from e
    return _placed(_checked(settings, path), path)


def _expanded(raw: Any, place: str) -> Any:
    """`${NAME}` and `${NAME:-default}` from the environment."""
    if isinstance(raw, dict):
        return {k: _expanded(v, f"{place}: {k}") for k, v in raw.items()}
    if isinstance(raw, list):
        return [_expanded(v, f"{place}[{i}]") for i, v in enumerate(raw)]
    if not isinstance(raw, str):
        return raw

    def value(m: re.Match[str]) -> str:
        found = os.environ.get(m[1], m[2] and m[2][2:])
        if found is None:
            raise SettingsError(
                f"{place}: the environment variable {m[1]} is not set; set it, or write ${{{m[1]}:-}} for none"
            )
        return found

    expanded = _MARKED.sub(value, raw)
    return expanded or None if expanded != raw else raw


def _message(path: Path, error: Any) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        known = {
            **Settings.model_fields,
            **UpstreamSettings.model_fields,
            **KeySettings.model_fields,
            **Limits.model_fields,
        }
        return f"{path}: {place}: unknown key ({did_you_mean(str(error['loc'][-1]), known)})"
    return f"{path}: {place}: {error['msg']}"


def _checked(settings: Settings, path: Path) -> Settings:
    names = [u.name for u in settings.upstreams]
    if len(set(names)) < len(names):
        raise SettingsError(f"{path}: upstreams: two have the same name")
    for u in settings.upstreams:
        if u.kind == "openai" and not u.base_url:
            raise SettingsError(
                f"{path}: upstreams.{u.name}.base_url: is missing; write where its /chat/completions is"
            )
        if u.kind == "litellm" and not isinstance(u.models, dict):
            raise SettingsError(f"{path}: upstreams.{u.name}.models: write name: provider/model pairs for kind litellm")
    return settings


def _placed(settings: Settings, path: Path) -> Settings:
    """A relative path is looked for beside the file, then in the working folder; policies then in the installation."""
    shipped = LIBRARY.parent.parent / settings.policies
    update = {
        "policies": next((p for p in (*_places(settings.policies, path), shipped) if p.exists()), settings.policies)
    }
    for key in ("classifier", "classifier_shadow"):
        if wanted := getattr(settings, key):
            beside, here = _places(wanted, path)
            update[key] = here if here.exists() and not beside.exists() else beside
    return settings.model_copy(update=update)


def _places(wanted: Path, path: Path) -> tuple[Path, Path]:
    return path.parent / wanted, wanted


def own_address(settings: Settings) -> str:
    """Where a proxy with these settings is reached from its own machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 (compared, not bound)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def require_safe(settings: Settings) -> None:
    """Without keys only loopback is served. Raises SettingsError."""
    if not settings.keys and settings.host not in ("127.0.0.1", "::1", "localhost"):
        raise SettingsError(
            f"host is {settings.host} but `keys:` is empty: anyone who reaches it could spend your keys. Add keys, or listen on 127.0.0.1"
        )
