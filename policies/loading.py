"""From policy files to a Policy: read, check everything, say every problem with file, key, reason and suggestion."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from policies.compiling import Compiler
from policies.document import Document
from policies.errors import InvalidPolicyError, Problem, did_you_mean
from policies.policy import Policy

LIBRARY = Path(__file__).parent / "library"
VENDORS = LIBRARY / "vendors.yaml"


class _Loader(yaml.SafeLoader):
    """YAML without its two traps: a key given twice is an error."""


def _unique(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, list | dict) or key in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:map", _unique)


def load(path: Path) -> Policy:
    """The policy of a file, or of all `*.yaml` in a folder, over the shipped recommendations of the vendors.

    Raises InvalidPolicyError with every problem found; also when there is nothing to read.
    """
    texts = _read(path)
    name = path.stem if path.is_file() else path.name
    if not any(Path(p).resolve() == VENDORS.resolve() for p in texts) and VENDORS.is_file():
        texts = {str(VENDORS): VENDORS.read_text("utf-8"), **texts}
    return parse(texts, name)


def parse(texts: Mapping[str, str], name: str) -> Policy:
    """The policy of some texts by file name, in that order. Raises InvalidPolicyError."""
    problems: list[Problem] = []
    compiler = Compiler(problems)
    for file, text in texts.items():
        document = _document(Path(file).name, text, problems)
        if document is not None:
            compiler.add(Path(file).name, document)
    if problems:
        raise InvalidPolicyError(problems)
    digest = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()[:12]
    return compiler.policy(name, digest)


def _read(path: Path) -> dict[str, str]:
    try:
        files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml"))
        texts = {str(p): p.read_text("utf-8") for p in files}
    except (OSError, UnicodeDecodeError) as e:
        reason = getattr(e, "strerror", None) or "is not UTF-8 text"
        raise InvalidPolicyError([Problem(str(path), "", f"cannot be read: {reason}")]) from e
    if not texts:
        raise InvalidPolicyError(
            [Problem(str(path), "", "has no .yaml file", "put a policy there, or set `policies:` to another path")]
        )
    return texts


def _document(file: str, text: str, problems: list[Problem]) -> Document | None:
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506  (a subclass of SafeLoader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else ""
        problems.append(Problem(file, where, f"is not YAML: {getattr(e, 'problem', None) or e}"))
        return None
    except (ValueError, RecursionError) as e:
        problems.append(Problem(file, "", f"is not YAML: {e}"))
        return None
    if not isinstance(raw, dict):
        problems.append(Problem(file, "", "is not a mapping", "start with `version: 1`"))
        return None
    try:
        return Document.model_validate(raw)
    except ValidationError as e:
        problems.extend(_problem(file, error) for error in e.errors())
        return None


def _problem(file: str, error: Any) -> Problem:
    place = ".".join(str(p) for p in error["loc"] if not _union_member(p))
    if error["type"] == "extra_forbidden":
        return Problem(file, place, "unknown key", did_you_mean(str(error["loc"][-1]), _keys_beside(error["loc"])))
    if error["type"] == "missing" and error["loc"] == ("version",):
        return Problem(file, "version", "is missing", "start the file with `version: 1`")
    shown = "" if isinstance(error["input"], dict | list) else f", not {error['input']!r}"
    return Problem(file, place, error["msg"].removeprefix("Input ").lower() + shown)


def _union_member(part: object) -> bool:
    """pydantic names the members of a union in the path of an error; a reader of YAML never wrote them."""
    return isinstance(part, str) and (
        part.startswith(("literal[", "dict[", "list[")) or part in ("float", "str", "none")
    )


def _keys_beside(location: Iterable[object]) -> list[str]:
    """The keys that the document allows where an unknown one stood."""
    model: Any = Document
    for part in list(location)[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is not None:
            model = _model_in(field.annotation) or model
    return list(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((m for a in getattr(annotation, "__args__", ()) if (m := _model_in(a)) is not None), None)
