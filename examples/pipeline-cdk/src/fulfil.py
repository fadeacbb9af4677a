"""Second step: ships the lines of a batch, all at once; what fails goes back alone."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    EventType,
    async_process_partial_response,
)

from powertools_otel import Metrics, Tracer
from powertools_otel.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
tracer = Tracer()
metrics = Metrics()
processor = AsyncBatchProcessor(event_type=EventType.SQS)
dynamodb = boto3.client("dynamodb")

MOST_PIECES = 100


class TooManyPiecesError(Exception):
    """No parcel holds as many."""


@tracer.capture_method
async def ship(record: SQSRecord) -> str:
    line = record.json_body
    tracer.put_annotation("OrderId", line["order_id"])
    tracer.put_annotation("Sku", line["sku"])
    if line["pieces"] > MOST_PIECES:
        raise TooManyPiecesError(line["pieces"])
    await asyncio.to_thread(
        dynamodb.put_item,
        TableName=os.environ["SHIPMENTS_TABLE"],
        Item={
            "shipment_id": {"S": f"{line['order_id']}-{line['sku']}"},
            "pieces": {"N": str(line["pieces"])},
        },
    )
    metrics.add_metric("PiecesShipped", MetricUnit.Count, line["pieces"])
    return line["sku"]


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return async_process_partial_response(
        event=event, record_handler=ship, processor=processor, context=context
    )
