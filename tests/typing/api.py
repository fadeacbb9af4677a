"""The public API as a user's type checker sees it: checked, never run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aws_lambda_powertools
from opentelemetry.sdk.trace import TracerProvider

from powertools_otel import (
    Metrics,
    OTelMetricsProvider,
    OTelTracingProvider,
    Tracer,
    install,
    single_metric,
    uninstall,
)
from powertools_otel.metrics import EphemeralMetrics, MetricResolution, MetricUnit
from powertools_otel.testing import CapturedSpans, capture_spans, reset

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

tracer = Tracer(service="checkout")
metrics = Metrics(namespace="Shop", service="checkout")
upstream: aws_lambda_powertools.Tracer = tracer
by_provider = aws_lambda_powertools.Tracer(provider=OTelTracingProvider())


def redact(key: str, value: Any) -> Any:
    return None if key == "card" else value


def from_event(event: Any, context: Any) -> dict[str, str] | None:
    return {"traceparent": event["traceparent"]} if event else None


with_options = OTelTracingProvider(
    TracerProvider(), redact=redact, set_global=False, extract_context=from_event
)
metered = Metrics(provider=OTelMetricsProvider(namespace="Shop", service="checkout"))
alone = EphemeralMetrics(namespace="Shop")


@tracer.capture_method
def load(order: str) -> int:
    tracer.put_annotation("OrderId", order)
    tracer.put_annotation("Count", 3)
    tracer.put_metadata("order", {"id": order}, namespace="shop")
    return 1


@tracer.capture_method(capture_response=False, capture_error=False)
async def price(item: str) -> float:
    with tracer.provider.in_subsegment("call", namespace="remote") as segment:
        segment.put_annotation("Item", item)
    return 1.5


@metrics.log_metrics(capture_cold_start_metric=True, raise_on_empty_metrics=False)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    count: int = load("1001")
    total: float = asyncio.run(price("book"))
    metrics.add_dimension(name="channel", value="web")
    metrics.add_dimensions(region="eu-west-1", tier="gold")
    metrics.add_metric("Checkouts", MetricUnit.Count, count)
    metrics.add_metric("Total", "None", total, MetricResolution.High)
    metrics.add_metadata("order", "1001")
    with single_metric("Sold", MetricUnit.Count, 1, namespace="Shop") as metric:
        metric.add_dimension("item", "book")
    return {"statusCode": 200}


def test_handler() -> None:
    reset()
    with capture_spans() as spans:
        captured: CapturedSpans = spans
        assert captured["checkout"].name == "checkout"
        provider = with_options
        sent: int = provider.statistics["traces"].sent
        assert sent == 0


install()
uninstall()
