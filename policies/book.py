"""The policy in force and the files it came from: an edit that can be run replaces it, one that cannot is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from policies.errors import InvalidPolicyError, Problem
from policies.loading import load
from policies.policy import Policy

Reload = Literal["unchanged", "loaded", "refused"]
Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(slots=True)
class PolicyBook:
    """Holds the current policy of a path. `problems` are those of the last edit, empty once it is repaired."""

    path: Path
    policy: Policy
    problems: tuple[Problem, ...] = ()
    _seen: Signature = ()

    @classmethod
    def open(cls, path: Path) -> "PolicyBook":
        """Read the policy for the first time. Raises InvalidPolicyError: there is no old one to keep."""
        seen = _signature(path)
        return cls(path, load(path), (), seen)

    def refresh(self) -> Reload:
        """Look whether the files changed, and take over what they now say if it can be run. Never raises."""
        seen = _signature(self.path)
        if seen == self._seen:
            return "unchanged"
        self._seen = seen
        try:
            policy = load(self.path)
        except InvalidPolicyError as e:
            self.problems = e.problems
            return "refused"
        changed = policy.digest != self.policy.digest or bool(self.problems)
        self.policy, self.problems = policy, ()
        return "loaded" if changed else "unchanged"


def _signature(path: Path) -> Signature:
    """Changes whenever a file does, also when a symlink is pointed elsewhere, as mounted configuration is."""
    try:
        files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml"))
        return tuple((str(p), (s := p.stat()).st_mtime_ns, s.st_size, s.st_ino) for p in files)
    except OSError:
        return ()
