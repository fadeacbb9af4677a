"""Charges the orders of a batch. Powertools as ever: nothing here knows OpenTelemetry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
tracer = Tracer()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS)
payments = boto3.resource("dynamodb").Table(os.environ["PAYMENTS_TABLE"])


@tracer.capture_method
def charge(record: SQSRecord) -> None:
    order = record.json_body
    tracer.put_annotation("OrderId", order["order_id"])
    payments.put_item(Item={"order_id": order["order_id"], "cents": order["cents"]})
    metrics.add_metric("OrdersCharged", MetricUnit.Count, 1)


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return process_partial_response(
        event=event, record_handler=charge, processor=processor, context=context
    )
