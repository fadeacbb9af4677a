"""Powertools metrics over OTLP, under the names of ``aws_lambda_powertools.metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    """Load what most functions do without when it is asked for."""
    if name not in ("SingleMetric", "single_metric"):
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from powertools_otel.metrics import _single

    value: object = getattr(_single, name)
    globals()[name] = value
    return value
