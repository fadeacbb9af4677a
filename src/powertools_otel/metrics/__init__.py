"""Powertools metrics over OTLP, under the names of ``aws_lambda_powertools.metrics``."""

from aws_lambda_powertools.metrics import (
    MetricResolution,
    MetricResolutionError,
    MetricUnit,
    MetricUnitError,
    MetricValueError,
    SchemaValidationError,
)

from powertools_otel.metrics._metrics import EphemeralMetrics, Metrics
from powertools_otel.metrics._provider import OTelMetricsProvider
from powertools_otel.metrics._single import SingleMetric, single_metric

__all__ = [
    "EphemeralMetrics",
    "MetricResolution",
    "MetricResolutionError",
    "MetricUnit",
    "MetricUnitError",
    "MetricValueError",
    "Metrics",
    "OTelMetricsProvider",
    "SchemaValidationError",
    "SingleMetric",
    "single_metric",
]
