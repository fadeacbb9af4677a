"""What would be sent: the encoded request, read back with the official messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from powertools_otel._otlp import _protobuf
from powertools_otel._otlp._model import Resource
from powertools_otel.metrics import _sink
from powertools_otel.metrics._store import MetricStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from powertools_otel._settings import Settings


class Point(NamedTuple):
    """One data point with the metric and scope it came under."""

    scope: str
    name: str
    unit: str
    kind: str
    metric: Any
    raw: Any

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
            for pair in self.raw.attributes
        }

    @property
    def value(self) -> float:
        number: float = getattr(self.raw, self.raw.WhichOneof("value"))
        return number

    @property
    def metadata(self) -> dict[str, Any]:
        return {
            pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
            for pair in self.metric.metadata
        }


@dataclass
class Sent:
    """Collects what the metrics of this process would send."""

    outlet: _sink.Outlet
    flushes: list[int] = field(default_factory=list)

    @classmethod
    def install(
        cls, settings: Settings | None = None, *, cumulative: bool = False, **options
    ) -> Sent:
        flushes: list[int] = []
        outlet = _sink.Outlet(
            MetricStore(cumulative=cumulative),
            settings,
            flush=lambda: flushes.append(outlet.store.pending()),
            **options,
        )
        _sink.use(outlet)
        return cls(outlet, flushes)

    def points(self) -> list[Point]:
        """The points since the last call."""
        body = _protobuf.encode_metrics(Resource({}), self.outlet.store.collect())
        return list(decoded(body))

    def by_name(self) -> dict[str, Point]:
        """The points since the last call, where each metric has one."""
        points = self.points()
        named = {point.name: point for point in points}
        assert len(named) == len(points), "several points of one metric"
        return named


def decoded(body: bytes) -> Iterator[Point]:
    """The data points of an ``ExportMetricsServiceRequest``."""
    request = ExportMetricsServiceRequest.FromString(body)
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points:
                    yield Point(
                        scope.scope.name, metric.name, metric.unit, kind, metric, point
                    )
