"""A checkout API as Powertools users write it: nothing in it knows OpenTelemetry."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from powertools_otel import Metrics, Tracer
from powertools_otel.metrics import MetricUnit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

tracer = Tracer(service="checkout")
metrics = Metrics(namespace="Shop", service="checkout")


class PaymentDeclinedError(Exception):
    """The card's issuer said no."""


@tracer.capture_method
def load_order(order_id: str) -> dict[str, Any]:
    """Read the order from its table."""
    tracer.put_annotation("OrderId", order_id)
    with tracer.provider.in_subsegment("DynamoDB.GetItem", namespace="remote"):
        time.sleep(0.004)
    return {"id": order_id, "items": ["book", "pen"], "total": 42.5}


@tracer.capture_method
async def price(item: str) -> float:
    """Ask the price service for one item."""
    await asyncio.sleep(0.003 + 0.002 * len(item) / 4)
    return 1.5 * len(item)


@tracer.capture_method
async def price_all(items: list[str]) -> float:
    """Ask for all items at once."""
    return sum(await asyncio.gather(*(price(item) for item in items)))


@tracer.capture_method
@contextmanager
def reserved(order: dict[str, Any]) -> Iterator[str]:
    """Hold the stock while the payment is made."""
    time.sleep(0.001)
    yield f"reservation-of-{order['id']}"
    time.sleep(0.001)


@tracer.capture_method
def charge(amount: float, card: str) -> str:
    """Charge a card; the first one of the demo is declined."""
    time.sleep(0.003)
    if card == "expired":
        message = f"{amount:.2f} declined: card expired"
        raise PaymentDeclinedError(message)
    return "payment-1001"


@tracer.capture_method(capture_response=False)
def pay(amount: float) -> str:
    """Try the stored card, then the other one."""
    try:
        return charge(amount, "expired")
    except PaymentDeclinedError:
        metrics.add_metric("DeclinedPayments", MetricUnit.Count, 1)
        return charge(amount, "valid")


@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """POST /orders/{order_id}/checkout."""
    began = time.perf_counter()
    order = load_order(event["pathParameters"]["order_id"])
    with reserved(order):
        total = asyncio.run(price_all(order["items"]))
        payment = pay(total)
    tracer.put_metadata("order", order)
    metrics.add_dimension("channel", "web")
    metrics.add_metric("SuccessfulCheckouts", MetricUnit.Count, 1)
    elapsed = (time.perf_counter() - began) * 1000
    metrics.add_metric("CheckoutTime", MetricUnit.Milliseconds, elapsed)
    return {"statusCode": 200, "body": f'{{"payment": "{payment}"}}'}
