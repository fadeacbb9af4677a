"""An orders API: one function, its routes in Powertools' event handler."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.exceptions import (
    BadRequestError,
    NotFoundError,
)
from aws_lambda_powertools.logging import correlation_paths

from powertools_otel import Metrics, Tracer
from powertools_otel.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
tracer = Tracer()
metrics = Metrics()
app = APIGatewayHttpResolver()
orders = boto3.resource("dynamodb").Table(os.environ["ORDERS_TABLE"])


@tracer.capture_method
def store(order: dict[str, Any]) -> None:
    tracer.put_annotation("OrderId", order["order_id"])
    orders.put_item(Item={"order_id": order["order_id"], "order": json.dumps(order)})


@tracer.capture_method
def find(order_id: str) -> dict[str, Any] | None:
    tracer.put_annotation("OrderId", order_id)
    item = orders.get_item(Key={"order_id": order_id}).get("Item")
    return json.loads(item["order"]) if item else None


@app.post("/orders")
def place_order() -> tuple[dict[str, Any], int]:
    lines = (app.current_event.json_body or {}).get("lines")
    if not lines:
        message = "an order needs lines"
        raise BadRequestError(message)
    cents = sum(line["cents"] * line["pieces"] for line in lines)
    order = {"order_id": uuid4().hex, "lines": lines, "cents": cents}
    store(order)
    metrics.add_metric("OrdersPlaced", MetricUnit.Count, 1)
    metrics.add_metric("OrderValue", MetricUnit.NoUnit, cents / 100)
    logger.info("order placed", extra={"order_id": order["order_id"]})
    return order, 201


@app.get("/orders/<order_id>")
def show_order(order_id: str) -> dict[str, Any]:
    order = find(order_id)
    if order is None:
        metrics.add_metric("OrdersNotFound", MetricUnit.Count, 1)
        message = f"there is no order {order_id}"
        raise NotFoundError(message)
    return order


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
