"""From what was added, values and dimensions, to what a recorder takes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics.exceptions import SchemaValidationError

from powertools_otel._guard import warn_once
from powertools_otel.metrics._buffer import dimension_sets, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from powertools_otel._otlp._model import Exemplar
    from powertools_otel.metrics._store import Recording
    from powertools_otel.metrics._streams import Streams

    class Buffer(Protocol):
        """What was added and is not flushed yet: Powertools' providers are one."""

        metric_set: dict[str, Any]
        dimension_set: dict[str, str]
        metadata_set: dict[str, Any]
        timestamp: int | None

        @property
        def namespace(self) -> object:
            """Of all its metrics."""
            ...

        @property
        def service(self) -> str | None:
            """A dimension, unless there is one of that name."""
            ...

        def add_dimension(self, name: str, value: str) -> None:
            """Add a dimension to all of it."""
            ...


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


def flush(
    buffer: Buffer,
    streams: Streams,
    metrics: Mapping[str, Any] | None = None,
    dimensions: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    further: Sequence[Mapping[str, Any]] = (),
    merge: bool = True,
    seen: Mapping[str, Exemplar],
) -> Flush:
    """Check as EMF's serialisation does, and put together what is published.

    Args:
        buffer: What is published.
        streams: Decides as what each metric is sent.
        metrics: A ``metric_set`` in place of the buffer's.
        dimensions: Dimensions in place of the buffer's.
        metadata: Metadata in place of the buffer's.
        further: The sets of ``add_dimensions``.
        merge: Whether further sets become one with the dimensions.
        seen: Exemplars, by name.

    Raises:
        SchemaValidationError: There are no metrics, or there is no namespace.
    """
    metrics = buffer.metric_set if metrics is None else metrics
    dimensions = buffer.dimension_set if dimensions is None else dimensions
    metadata = buffer.metadata_set if metadata is None else metadata
    if buffer.service and not buffer.dimension_set.get("service"):
        buffer.add_dimension(name="service", value=buffer.service)
    if not metrics:
        message = "Must contain at least one metric."
        raise SchemaValidationError(message)
    namespace = buffer.namespace
    if namespace is None:
        message = "Must contain a metric namespace."
        raise SchemaValidationError(message)
    space = namespace if isinstance(namespace, str) else str(namespace)
    common = {METADATA + str(k): v for k, v in metadata.items()} if metadata else None
    recordings: list[Recording] = []
    for name, metric in metrics.items():
        values = values_of(metric)
        if not values:
            continue
        stream = streams.get(space, name, metric.get("Unit", ""))
        high = metric.get("StorageResolution", 60) == 1
        described = {**(common or {}), RESOLUTION: 1} if high else common
        recordings.append((stream, values, seen.get(name), described))
    return Flush(
        recordings,
        dimension_sets(dimensions, further, merge=merge),
        nanoseconds(buffer.timestamp),
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
