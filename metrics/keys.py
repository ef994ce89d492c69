"""Names of everything that is kept in Redis. All keys of a cell carry its hash tag, so that Cluster keeps them together."""

import hashlib
import zlib

from metrics.ids import decision_time
from metrics.outcome import DecisionRecord

SCHEMA = "setpoint:schema"
CELLS = "setpoint:cells"
LABELS = "setpoint:labels"
STREAM = "setpoint:stream"  # decisions and explicit rewards, in order
PAUSED = "setpoint:paused"  # JSON: why and since when nothing is tried; the kill switch of learning
BUCKET = 600  # seconds of decisions in one hash: one HSET per flush, and old ones expire as a whole
DAY = 86_400
_SHARDS = (
    16  # hashes of completion ids a day, so that none grows huge and Cluster spreads them; each is a command of a flush
)


def _tag(cell: str) -> str:
    for char, code in (("%", "%25"), ("{", "%7B"), ("}", "%7D")):
        cell = cell.replace(char, code)
    return f"setpoint:{{{cell}}}"


def sums(cell: str, epoch: int) -> str:
    """Hash of `n|signal|arm`, `s|...` and `q|...`."""
    return f"{_tag(cell)}:s:{epoch}"


def meta(cell: str) -> str:
    """JSON: what the cell is about."""
    return f"{_tag(cell)}:meta"


def changed(cell: str) -> str:
    """Time of the last change found; there for as long as no other may be found."""
    return f"{_tag(cell)}:changed"


def last_changed(cell: str) -> str:
    """Time of the last change found, for whoever wants to know."""
    return f"{_tag(cell)}:last_changed"


def rolled_back(cell: str) -> str:
    """JSON: why and since when the cell is held at the policy's own value; there for as long as it is."""
    return f"{_tag(cell)}:rolled_back"


def applied(cell: str, epoch: int, writer: str) -> str:
    """Number of the last batch that a writer added to a cell's sums."""
    return f"{_tag(cell)}:w:{epoch}:{writer}"


def credited(record: DecisionRecord, signal: str) -> str:
    """Set once a (decision, signal) was credited; the value as JSON. Decisions without a cell go by their task."""
    return f"{_tag(record.cell or '-|' + record.task)}:f:{record.id}:{signal}"


def session(tenant: str, name: str) -> str:
    """Sorted set of the decisions of a session that learn, by their time; `-` stands for the others."""
    return f"setpoint:{{session:{_whose(tenant, name)}}}:d"


def episode(tenant: str, name: str, signal: str) -> str:
    """Set once a signal was sent for a session, as JSON: when, the reward, by whom."""
    return f"setpoint:{{session:{_whose(tenant, name)}}}:f:{signal}"


def earned(cell: str, epoch: int, tenant: str, name: str, signal: str) -> str:
    """Set once a cell has earned what was said of a session; the reward as JSON."""
    return f"{_tag(cell)}:e:{epoch}:{_whose(tenant, name)}:{signal}"


def _whose(tenant: str, name: str) -> str:
    both = f"{len(tenant)}|{tenant}|{name}".encode(errors="replace")
    return hashlib.blake2b(both, digest_size=16).hexdigest()


def imported(digest: str) -> str:
    """Set once an exported file was added, by its digest: the time."""
    return f"setpoint:imported:{digest}"


def progress(writer: str) -> str:
    """Number of a writer's last write: less than it remembers means that the server lost some."""
    return f"setpoint:writer:{writer}"


def decisions(decision: str, at: float) -> str:
    """Hash of decision id to record; the bucket follows from the id."""
    made = decision_time(decision)
    return f"setpoint:decisions:{int(at if made is None else made) // BUCKET}"


def corrections(day: int) -> str:
    """Hash of decision id to what its ask was said to be, with its features."""
    return f"setpoint:corrections:{day}"


def completions(completion: str, day: int) -> str:
    """Hash of upstream completion id to decision id."""
    return f"setpoint:completions:{day}:{zlib.crc32(completion.encode(errors='replace')) % _SHARDS}"
