"""From a ``metric_set`` and its dimensions to what a recorder takes in; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics.exceptions import SchemaValidationError

from powertools_otel._guard import warn_once
from powertools_otel.metrics._buffer import dimension_sets, values_of
from powertools_otel.metrics._exemplars import exemplar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from powertools_otel.metrics._exemplars import Seen
    from powertools_otel.metrics._store import Recording
    from powertools_otel.metrics._streams import Streams

RESOLUTION = "cloudwatch.storage_resolution"
"""Metadata of a high-resolution metric: CloudWatch's resolution in s."""

METADATA = "powertools.metadata."
"""What ``add_metadata`` keys are prefixed with in a metric's metadata."""

_MS = 1_000_000
_MAX_MS = (2**63 - 1) // _MS


class Flush:
    """All that one flush publishes.

    Attributes:
        recordings: Metrics and their values.
        attribute_sets: Under which attributes.
        timestamp: Their explicit time in ns since the epoch, if any.
    """

    __slots__ = ("attribute_sets", "recordings", "timestamp")

    def __init__(
        self,
        recordings: list[Recording],
        attribute_sets: list[dict[str, str]],
        timestamp: int | None,
    ) -> None:
        self.recordings = recordings
        self.attribute_sets = attribute_sets
        self.timestamp = timestamp


def check(metrics: Mapping[str, Any], namespace: object) -> None:
    """Refuse what EMF's serialisation refuses.

    Raises:
        SchemaValidationError: There are no metrics, or there is no namespace.
    """
    if not metrics:
        message = "Must contain at least one metric."
        raise SchemaValidationError(message)
    if namespace is None:
        message = "Must contain a metric namespace."
        raise SchemaValidationError(message)


def flush(  # noqa: PLR0913 - all that EMF puts into one object
    streams: Streams,
    namespace: object,
    metrics: Mapping[str, Any],
    *,
    dimensions: Mapping[str, Any],
    further: Sequence[Mapping[str, Any]] = (),
    merge: bool = True,
    metadata: Mapping[str, Any] | None = None,
    timestamp: object = None,
    seen: Mapping[str, Seen] | None = None,
    unsampled: bool = False,
) -> Flush:
    """Put together what is published.

    Args:
        streams: Decides as what each metric is sent.
        namespace: Powertools' namespace.
        metrics: A ``metric_set``.
        dimensions: What ``add_dimension`` collected.
        further: The sets of ``add_dimensions``.
        merge: Whether further sets become one with the dimensions.
        metadata: What ``add_metadata`` collected.
        timestamp: What ``set_timestamp`` was given, in ms since the epoch.
        seen: Spans that were noticed, by name.
        unsampled: Whether spans that are not sampled become exemplars too.
    """
    space = namespace if isinstance(namespace, str) else str(namespace)
    common = {METADATA + str(k): v for k, v in metadata.items()} if metadata else None
    recordings: list[Recording] = []
    for name, metric in metrics.items():
        values = values_of(metric)
        if not values:
            continue
        stream = streams.get(space, name, metric.get("Unit", ""))
        found = exemplar(seen.get(name), unsampled=unsampled) if seen else None
        high = metric.get("StorageResolution", 60) == 1
        described = {**(common or {}), RESOLUTION: 1} if high else common
        recordings.append((stream, values, found, described))
    return Flush(
        recordings,
        dimension_sets(dimensions, further, merge=merge),
        nanoseconds(timestamp),
    )


def nanoseconds(timestamp: object) -> int | None:
    """``set_timestamp``'s ms as ns; None (now) for nothing and for what OTLP lacks."""
    if not timestamp:
        return None  # as EMF: no timestamp, and the epoch itself, mean now
    if isinstance(timestamp, int) and 0 < timestamp <= _MAX_MS:
        return int(timestamp) * _MS
    warn_once(
        "metrics:timestamp:range",
        "The timestamp %r is outside what OTLP can carry: the values are sent with "
        "the time of the flush.",
        timestamp,
    )
    return None
