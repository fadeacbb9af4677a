"""Metrics to be sent, independent of how they were recorded or are encoded.

The fields are those of OTLP's ``metrics.proto``; its documentation says what each
means. All times are nanoseconds since the Unix epoch. A point's attributes must not
change: what encoders made of them is remembered per object.

Plain ``__slots__`` classes because they load in a cold start: the interpreter takes
about 10 us to create one, against 100-1,300 us for a named tuple of ten fields.
"""

# The arguments carry OTLP's names and OTLP's number of fields.
# ruff: noqa: A002, PLR0913, PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final, Literal, TypeAlias

    from opentelemetry.util.types import AnyValue

    Attributes: TypeAlias = Mapping[str, AnyValue]
    Temporality: TypeAlias = Literal[1, 2]

DELTA: Final = 1
"""Each point covers the time since the point before it."""

CUMULATIVE: Final = 2
"""Each point covers the time since a fixed start."""


class _Record:  # noqa: PLW1641 - attributes are mappings, which have no hash
    """Equal to a record of the same class with equal fields; treat as immutable."""

    __slots__: tuple[str, ...] = ()

    def _values(self) -> list[object]:
        return [getattr(self, name) for name in self.__slots__]

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Record) or type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    @override
    def __repr__(self) -> str:
        fields = zip(self.__slots__, self._values(), strict=True)
        shown = ", ".join(f"{name}={value!r}" for name, value in fields)
        return f"{type(self).__name__}({shown})"


class Exemplar(_Record):
    """One recorded value and the span it was recorded in.

    ``trace_id`` and ``span_id`` are 0 when there was no span.
    """

    __slots__ = ("attributes", "span_id", "time_unix_nano", "trace_id", "value")

    def __init__(
        self,
        value: float,
        time_unix_nano: int,
        trace_id: int = 0,
        span_id: int = 0,
        attributes: Attributes | None = None,
    ) -> None:
        self.value = value
        self.time_unix_nano = time_unix_nano
        self.trace_id = trace_id
        self.span_id = span_id
        self.attributes = attributes


class NumberPoint(_Record):
    """One number: an ``int`` is sent as such, a ``float`` as a double."""

    __slots__ = (
        "attributes",
        "exemplars",
        "start_unix_nano",
        "time_unix_nano",
        "value",
    )

    def __init__(
        self,
        attributes: Attributes,
        start_unix_nano: int,
        time_unix_nano: int,
        value: float,
        exemplars: Sequence[Exemplar] = (),
    ) -> None:
        self.attributes = attributes
        self.start_unix_nano = start_unix_nano
        self.time_unix_nano = time_unix_nano
        self.value = value
        self.exemplars = exemplars


class HistogramPoint(_Record):
    """A distribution over explicit bounds.

    ``bucket_counts`` has one entry more than ``bounds``, or both are empty.
    """

    __slots__ = (
        "attributes",
        "bounds",
        "bucket_counts",
        "count",
        "exemplars",
        "max",
        "min",
        "start_unix_nano",
        "sum",
        "time_unix_nano",
    )

    def __init__(
        self,
        attributes: Attributes,
        start_unix_nano: int,
        time_unix_nano: int,
        count: int,
        sum: float | None = None,
        min: float | None = None,
        max: float | None = None,
        bounds: Sequence[float] = (),
        bucket_counts: Sequence[int] = (),
        exemplars: Sequence[Exemplar] = (),
    ) -> None:
        self.attributes = attributes
        self.start_unix_nano = start_unix_nano
        self.time_unix_nano = time_unix_nano
        self.count = count
        self.sum = sum
        self.min = min
        self.max = max
        self.bounds = bounds
        self.bucket_counts = bucket_counts
        self.exemplars = exemplars


class ExponentialPoint(_Record):
    """A distribution over buckets that grow by ``2 ** (2 ** -scale)``.

    Buckets of a sign are sent when that sign has counts.
    """

    __slots__ = (
        "attributes",
        "count",
        "exemplars",
        "max",
        "min",
        "negative_counts",
        "negative_offset",
        "positive_counts",
        "positive_offset",
        "scale",
        "start_unix_nano",
        "sum",
        "time_unix_nano",
        "zero_count",
        "zero_threshold",
    )

    def __init__(
        self,
        attributes: Attributes,
        start_unix_nano: int,
        time_unix_nano: int,
        count: int,
        sum: float | None = None,
        min: float | None = None,
        max: float | None = None,
        scale: int = 0,
        zero_count: int = 0,
        zero_threshold: float = 0.0,
        positive_offset: int = 0,
        positive_counts: Sequence[int] = (),
        negative_offset: int = 0,
        negative_counts: Sequence[int] = (),
        exemplars: Sequence[Exemplar] = (),
    ) -> None:
        self.attributes = attributes
        self.start_unix_nano = start_unix_nano
        self.time_unix_nano = time_unix_nano
        self.count = count
        self.sum = sum
        self.min = min
        self.max = max
        self.scale = scale
        self.zero_count = zero_count
        self.zero_threshold = zero_threshold
        self.positive_offset = positive_offset
        self.positive_counts = positive_counts
        self.negative_offset = negative_offset
        self.negative_counts = negative_counts
        self.exemplars = exemplars


class Sum(_Record):
    """Numbers that may be added over time and attributes."""

    __slots__ = ("monotonic", "points", "temporality")

    def __init__(
        self,
        points: Sequence[NumberPoint],
        temporality: Temporality,
        monotonic: bool,  # noqa: FBT001
    ) -> None:
        self.points = points
        self.temporality = temporality
        self.monotonic = monotonic


class Gauge(_Record):
    """Numbers of which the last one counts."""

    __slots__ = ("points",)

    def __init__(self, points: Sequence[NumberPoint]) -> None:
        self.points = points


class Histogram(_Record):
    """Distributions over explicit bounds."""

    __slots__ = ("points", "temporality")

    def __init__(
        self, points: Sequence[HistogramPoint], temporality: Temporality
    ) -> None:
        self.points = points
        self.temporality = temporality


class ExponentialHistogram(_Record):
    """Distributions over exponential buckets."""

    __slots__ = ("points", "temporality")

    def __init__(
        self, points: Sequence[ExponentialPoint], temporality: Temporality
    ) -> None:
        self.points = points
        self.temporality = temporality


class Metric(_Record):
    """A named series of points; ``metadata`` is OTLP's field 12."""

    __slots__ = ("data", "description", "metadata", "name", "unit")

    def __init__(
        self,
        name: str,
        unit: str,
        description: str,
        data: Sum | Gauge | Histogram | ExponentialHistogram,
        metadata: Attributes | None = None,
    ) -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.data = data
        self.metadata = metadata


class Scope(_Record):
    """The instrumentation scope that recorded ``metrics``."""

    __slots__ = ("attributes", "metrics", "name", "schema_url", "version")

    def __init__(
        self,
        name: str,
        version: str,
        schema_url: str,
        attributes: Attributes | None,
        metrics: Sequence[Metric],
    ) -> None:
        self.name = name
        self.version = version
        self.schema_url = schema_url
        self.attributes = attributes
        self.metrics = metrics


class Resource(_Record):
    """What the metrics are about; an SDK ``Resource`` serves as well.

    Its encoding is remembered per object, so ``attributes`` must not change.
    """

    __slots__ = ("attributes", "schema_url")

    def __init__(self, attributes: Attributes, schema_url: str = "") -> None:
        self.attributes = attributes
        self.schema_url = schema_url
