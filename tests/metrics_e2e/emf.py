"""EMF documents, Powertools' own and the Collector's, as CloudWatch reads them."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

MAX_METRICS = 100
"""Metrics that CloudWatch takes from one document (EMF specification)."""
MAX_BYTES = 256 * 1024
"""Bytes of one event (CloudWatch Logs quotas)."""


class Series(NamedTuple):
    """What CloudWatch tells metrics apart by, and an explicit time in ms."""

    namespace: str
    name: str
    unit: str
    resolution: int
    dimensions: frozenset[tuple[str, str]]
    time_ms: int | None


class Statistics(NamedTuple):
    """What CloudWatch keeps of a metric's values."""

    count: float
    sum: Any
    low: float
    high: float


def printed(output: str) -> list[dict[str, Any]]:
    """The documents that Powertools printed, one a line."""
    documents = [json.loads(line) for line in output.splitlines()]
    # A single_metric whose body raises prints null.
    return [document for document in documents if document is not None]


def sizes(documents: Iterable[dict[str, Any]]) -> list[int]:
    """How many metrics each document has."""
    return [
        sum(len(each["Metrics"]) for each in document["_aws"]["CloudWatchMetrics"])
        for document in documents
    ]


def statistics(
    documents: Iterable[dict[str, Any]],
    times_ms: Container[int] = (),
    *,
    resolutions: bool = True,
) -> dict[Series, Statistics]:
    """Statistics of all documents together; sums to 1e-9.

    Args:
        documents: EMF documents.
        times_ms: Times that were set; any other is that of a flush.
        resolutions: Whether the same metric in another resolution is another one.
    """
    found: defaultdict[Series, list[Statistics]] = defaultdict(list)
    for document in documents:
        time_ms = document["_aws"]["Timestamp"]
        for directive in document["_aws"]["CloudWatchMetrics"]:
            sets = {
                frozenset((name, str(document[name])) for name in names)
                for names in directive["Dimensions"]
            }
            for metric in directive["Metrics"]:
                for dimensions in sets:
                    series = Series(
                        directive["Namespace"],
                        metric["Name"],
                        metric["Unit"],
                        metric.get("StorageResolution", 60) if resolutions else 0,
                        dimensions,
                        time_ms if time_ms in times_ms else None,
                    )
                    found[series].append(_of(document[metric["Name"]]))
    return {series: _together(each) for series, each in found.items()}


def _of(value: Any) -> Statistics:
    """A number, a list of numbers, or a statistic set."""
    if isinstance(value, dict):
        assert sum(value.get("Counts", [value["Count"]])) == value["Count"]
        return Statistics(value["Count"], value["Sum"], value["Min"], value["Max"])
    values = value if isinstance(value, list) else [value]
    return Statistics(len(values), sum(values), min(values), max(values))


def _together(each: list[Statistics]) -> Statistics:
    total = sum(one.sum for one in each)
    scale = max(max(abs(one.low), abs(one.high)) for one in each)
    return Statistics(
        sum(one.count for one in each),
        pytest.approx(total, rel=1e-9, abs=1e-9 * scale),
        min(one.low for one in each),
        max(one.high for one in each),
    )
