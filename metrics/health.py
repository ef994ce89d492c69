"""How the store is: up or down, since when, why, and when to try again."""

import logging
from collections.abc import Callable

from metrics.errors import StoreError
from metrics.instruments import Instruments

_log = logging.getLogger(__name__)

_RETRY = 1.0  # seconds between tries while the store is away


class Health:
    """A breaker: after a failure `open` is true for a second. Outages are logged once at each end, and counted."""

    def __init__(self, instruments: Instruments, clock: Callable[[], float]) -> None:
        self._instruments = instruments
        self._clock = clock
        self._since: float | None = None
        self._counted = 0.0
        self._retry_at = 0.0
        self.up = False
        self.error: StoreError | None = None

    @property
    def open(self) -> bool:
        """Whether to leave the store alone for now."""
        return self._clock() < self._retry_at

    @property
    def down_seconds(self) -> float:
        """Length of the present outage; 0 while there is none."""
        return 0.0 if self._since is None else max(self._clock() - self._since, 0.0)

    def try_now(self) -> None:
        """The next try may be the last: closes the breaker."""
        self._retry_at = 0.0

    def succeeded(self) -> None:
        """The store answered."""
        self.count()
        if self._since is not None:
            _log.info("metrics: the store answers again")
        self.up, self.error, self._since, self._retry_at = True, None, None, 0.0

    def failed(self, error: StoreError) -> None:
        """The store did not answer, or refused."""
        now = self._clock()
        if self._since is None:
            _log.warning("metrics: %s; learning goes on in memory", error)
            self._since = self._counted = now
        self.up, self.error, self._retry_at = False, error, now + _RETRY

    def count(self) -> None:
        """Brings the counted outage up to now."""
        if self._since is not None:
            now = self._clock()
            self._instruments.store_down(now - self._counted)
            self._counted = now
