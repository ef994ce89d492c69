"""Recomputing a draw: what was logged is enough to say which arm a request had to get, and with which probability."""

from metrics.outcome import DecisionRecord
from policies.allocation import unit_of
from policies.race import winner


def recomputed(record: DecisionRecord) -> tuple[str, float] | None:
    """(arm, propensity) from the odds and the unit in a record, with nothing else known; None where nothing was drawn.

    They are the record's own `arm` and `propensity`, or one of the records that are kept was not written by a draw.
    """
    if not record.odds:
        return None
    unit = unit_of("request" if record.sticky == "request" else "session", record.tenant, record.session, record.id)
    arm = winner(record.odds, unit)
    return arm, record.odds[arm]
