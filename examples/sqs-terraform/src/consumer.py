"""Packs parcels from a queue: what fails goes back alone, the rest is done."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

from powertools_otel import Metrics, Tracer
from powertools_otel.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
tracer = Tracer()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS)
parcels = boto3.resource("dynamodb").Table(os.environ["PARCELS_TABLE"])


class UnknownAddressError(Exception):
    """Nobody can bring a parcel there."""


@tracer.capture_method
def pack(record: SQSRecord) -> str:
    order = record.json_body
    tracer.put_annotation("OrderId", order["order_id"])
    waited = time.time() * 1000 - int(record.attributes.sent_timestamp)
    metrics.add_metric("TimeInQueue", MetricUnit.Milliseconds, waited)
    if not order.get("address"):
        metrics.add_metric("ParcelsRefused", MetricUnit.Count, 1)
        raise UnknownAddressError(order["order_id"])
    parcels.put_item(Item={"order_id": order["order_id"], "address": order["address"]})
    metrics.add_metric("ParcelsPacked", MetricUnit.Count, 1)
    return order["order_id"]


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return process_partial_response(
        event=event, record_handler=pack, processor=processor, context=context
    )
