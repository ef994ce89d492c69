"""Prometheus metrics that take many observations at once: one by one, they would cost as much as all else about a request."""

from bisect import bisect_right
from collections.abc import Sequence

from prometheus_client import Histogram, Summary


class BulkHistogram(Histogram):
    """A histogram that takes lists."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """The same as observing each of them: each bucket is looked up, and not each amount."""
        self._sum.inc(sum(amounts))
        ordered, below = sorted(amounts), 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            upto = bisect_right(ordered, bound)
            if upto > below:
                bucket.inc(upto - below)
                below = upto


class BulkSummary(Summary):
    """A summary that takes sums."""

    def observe_sum(self, count: int, total: float) -> None:
        """The same as observing `count` amounts that add up to `total`."""
        self._count.inc(count)
        self._sum.inc(total)
