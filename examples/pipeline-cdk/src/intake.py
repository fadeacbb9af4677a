"""First step: prices an order's lines, all at once, and queues each for shipping."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from powertools_otel import Metrics, Tracer
from powertools_otel.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
tracer = Tracer()
metrics = Metrics()
dynamodb = boto3.client("dynamodb")
queue = boto3.client("sqs")


@tracer.capture_method
async def price(line: dict[str, Any]) -> dict[str, Any]:
    tracer.put_annotation("Sku", line["sku"])
    # A thread of asyncio's own knows the span it was started in.
    answer = await asyncio.to_thread(
        dynamodb.get_item,
        TableName=os.environ["PRICES_TABLE"],
        Key={"sku": {"S": line["sku"]}},
    )
    return {**line, "cents": int(answer["Item"]["cents"]["N"]) * line["pieces"]}


@tracer.capture_method
async def price_all(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return await asyncio.gather(*(price(line) for line in lines))


@tracer.capture_method
def send(order_id: str, lines: list[dict[str, Any]]) -> None:
    queue.send_message_batch(
        QueueUrl=os.environ["SHIPPING_QUEUE_URL"],
        Entries=[
            {"Id": str(at), "MessageBody": json.dumps({"order_id": order_id, **line})}
            for at, line in enumerate(lines)
        ],
    )


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    order = event["detail"]
    tracer.put_annotation("OrderId", order["order_id"])
    lines = asyncio.run(price_all(order["lines"]))
    send(order["order_id"], lines)
    cents = sum(line["cents"] for line in lines)
    metrics.add_metric("OrderLines", MetricUnit.Count, len(lines))
    metrics.add_metric("OrderValue", MetricUnit.NoUnit, cents / 100)
    return {"order_id": order["order_id"], "cents": cents}
