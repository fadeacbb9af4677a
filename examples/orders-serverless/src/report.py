"""Counts the payments once a day. Powertools as ever, with a metric of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
tracer = Tracer()
payments = boto3.resource("dynamodb").Table(os.environ["PAYMENTS_TABLE"])


@tracer.capture_method
def count() -> int:
    return payments.scan(Select="COUNT")["Count"]


@logger.inject_lambda_context
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    counted = count()
    with single_metric("PaymentsInTable", MetricUnit.Count, counted) as metric:
        metric.add_dimension("table", "payments")
    return {"payments": counted}
