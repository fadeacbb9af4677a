"""The handler most teams have: three decorators, and X-Ray and EMF behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="checkout")
tracer = Tracer(service="checkout")
metrics = Metrics(namespace="Shop", service="checkout")


class CardDeclinedError(Exception):
    """The card's issuer said no."""


@tracer.capture_method
def charge(card: str, cents: int) -> dict[str, Any]:
    tracer.put_annotation("CardBrand", card)
    if card == "expired":
        message = "the card has expired"
        raise CardDeclinedError(message)
    return {"payment": "p-1001", "cents": cents}


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    metrics.add_dimension("channel", event["channel"])
    payment = charge(event["card"], event["cents"])
    tracer.put_metadata("payment", payment)
    metrics.add_metric("SuccessfulPayments", MetricUnit.Count, 1)
    metrics.add_metric("PaymentSize", MetricUnit.NoUnit, event["cents"] / 100)
    logger.info("charged", extra={"payment": payment["payment"]})
    return payment
