"""Reading pages for Prometheus back: the series of one family, summed over several proxies."""

from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from metrics.families import FAMILIES, PREFIX

Labels = tuple[str, ...]


def series(pages: Iterable[str], family: str) -> Mapping[Labels, float]:
    """Values by label values, in the family's order, of a counter or a gauge. Raises ValueError for what is no such page."""
    row = FAMILIES[family]
    name = PREFIX + family + ("_total" if row.kind == "counter" else "")
    found: dict[Labels, float] = {}
    for page in pages:
        for metric in text_string_to_metric_families(page):
            for sample in metric.samples:
                if sample.name == name:
                    key = tuple(sample.labels.get(label, "") for label in row.labels)
                    found[key] = found.get(key, 0.0) + sample.value
    return found
