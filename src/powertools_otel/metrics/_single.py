"""One metric with dimensions of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics.base import SingleMetric as PowertoolsSingleMetric
from typing_extensions import override

from powertools_otel._guard import harmless
from powertools_otel.metrics import _publishing, _sink
from powertools_otel.metrics._buffer import add_value, as_text
from powertools_otel.metrics._exemplars import notice

if TYPE_CHECKING:
    from collections.abc import Generator

    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.metric_properties import (
        MetricResolution,
        MetricUnit,
    )
    from opentelemetry.metrics import MeterProvider

    from powertools_otel._otlp._model import Exemplar
    from powertools_otel.metrics._streams import Streams


class SingleMetric(PowertoolsSingleMetric):
    """What ``single_metric`` yields: Powertools' own, sent as OTLP.

    Args:
        namespace: As Powertools' own; ``POWERTOOLS_METRICS_NAMESPACE`` without one.
        streams: As what metrics are sent; the process's settings decide, if not given.
        meter_provider: A MeterProvider that the application handed us.
        strict_emf: Whether CloudWatch's limits hold.
    """

    metric_set: dict[str, Any]
    dimension_set: dict[str, str]
    metadata_set: dict[str, Any]

    def __init__(
        self,
        namespace: str | None = None,
        *,
        streams: Streams | None = None,
        meter_provider: MeterProvider | None = None,
        strict_emf: bool | None = None,
    ) -> None:
        super().__init__(namespace=namespace)  # pyright: ignore[reportUnknownMemberType]
        outlet = _sink.outlet()
        self._outlet = outlet
        self._streams = streams or outlet.streams
        self._meter_provider = meter_provider
        self._strict = outlet.settings.strict_emf if strict_emf is None else strict_emf
        self._seen: dict[str, Exemplar] = {}

    @override
    def add_metric(
        self,
        name: str,
        unit: MetricUnit | str,
        value: float,
        resolution: MetricResolution | int = 60,
    ) -> None:
        """Set the metric; once it is set, another one is ignored.

        Raises:
            MetricNameError: The name is empty or longer than 255 characters.
            MetricValueError: The value is not a number.
            MetricUnitError: The unit is not one of CloudWatch's.
            MetricResolutionError: The resolution is neither 1 nor 60.
        """
        if self.metric_set:
            return
        kept, number, _ = add_value(self.metric_set, name, unit, value, resolution)
        chosen = self._outlet.exemplars
        if chosen != "always_off":
            notice(self._seen, kept, number, unsampled=chosen == "always_on")

    @override
    def add_dimension(self, name: str, value: str) -> None:
        """Add a dimension; CloudWatch's limit of 29 holds with ``strict_emf`` only.

        Raises:
            SchemaValidationError: 29 dimensions exceeded, with ``strict_emf``.
        """
        if self._strict:
            super().add_dimension(name, value)
        else:
            self.dimension_set[name] = as_text(value)

    @override
    def serialize_metric_set(
        self,
        metrics: dict[str, Any] | None = None,
        dimensions: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The metric as an OTLP/JSON ``ExportMetricsServiceRequest``.

        Raises:
            SchemaValidationError: There is no metric, or no namespace.
        """
        from powertools_otel.metrics._preview import preview

        return preview(self._outlet, self._flush(metrics, dimensions, metadata))

    @override
    def flush_metrics(self, raise_on_empty_metrics: bool = False) -> None:
        """Publish the metric.

        Raises:
            SchemaValidationError: There is no metric, or no namespace.
        """
        flush = self._flush()
        if not _is_disabled():
            recorder = self._outlet.recorder(self._meter_provider)
            if recorder is not None:
                with harmless("record a single metric"):
                    recorder.record(
                        flush.recordings, flush.attribute_sets, flush.timestamp
                    )
                _sink.flush_now()
        self.clear_metrics()

    def _flush(
        self,
        metrics: dict[str, Any] | None = None,
        dimensions: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> _publishing.Flush:
        return _publishing.flush(
            self,
            self._streams,
            metrics,
            dimensions,
            metadata,
            seen=self._seen,
        )


def _is_disabled() -> bool:
    """As Powertools decides; a word it cannot read does not fail a single metric.

    EMF's ``single_metric`` does not look at the variables at all.
    """
    try:
        return _sink.is_disabled()
    except ValueError:
        return False


@contextmanager
def single_metric(
    name: str,
    unit: MetricUnit | str,
    value: float,
    resolution: MetricResolution | int = 60,
    namespace: str | None = None,
    default_dimensions: dict[str, str] | None = None,
) -> Generator[SingleMetric, None, None]:
    """Publish one metric with dimensions of its own, as Powertools' namesake.

    Sent with the invocation's other telemetry; outside an invocation at once.
    Nothing is published if the body raises.

    Args:
        name: The metric's name.
        unit: One of CloudWatch's units.
        value: Its value.
        resolution: Storage resolution in s, 60 or 1.
        namespace: The namespace; ``POWERTOOLS_METRICS_NAMESPACE`` without one.
        default_dimensions: Dimensions to begin with.

    Yields:
        The metric, for its dimensions.

    Raises:
        MetricNameError: The name is empty or longer than 255 characters.
        MetricValueError: The value is not a number.
        MetricUnitError: The unit is not one of CloudWatch's.
        MetricResolutionError: The resolution is neither 1 nor 60.
        SchemaValidationError: There is no namespace.
    """
    metric = SingleMetric(namespace)
    metric.add_metric(name, unit, value, resolution)
    if default_dimensions:
        for dimension, text in default_dimensions.items():
            metric.add_dimension(dimension, text)
    yield metric
    metric.flush_metrics()
