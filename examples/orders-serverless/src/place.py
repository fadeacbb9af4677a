"""Takes an order and queues it. Powertools as ever: nothing here knows OpenTelemetry."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
tracer = Tracer()
metrics = Metrics()
queue = boto3.client("sqs")


@tracer.capture_method
def enqueue(order: dict[str, Any]) -> None:
    tracer.put_annotation("OrderId", order["order_id"])
    queue.send_message(
        QueueUrl=os.environ["ORDERS_QUEUE_URL"], MessageBody=json.dumps(order)
    )


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    order = json.loads(event["body"])
    enqueue(order)
    metrics.add_metric("OrdersPlaced", MetricUnit.Count, 1)
    return {"statusCode": 202, "body": json.dumps({"order_id": order["order_id"]})}
