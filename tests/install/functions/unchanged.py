"""A function as most teams have it: nothing in it knows of OpenTelemetry."""

import asyncio

from aws_lambda_powertools import Metrics, Tracer, single_metric
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.middleware_factory import lambda_handler_decorator

tracer = Tracer(service="payment")
metrics = Metrics(namespace="Shop", service="payment")


@lambda_handler_decorator(trace_execution=True)
def audited(handler, event, context):
    return handler(event, context)


@tracer.capture_method
def charge(amount):
    tracer.put_annotation("amount", amount)
    tracer.put_metadata("card", {"brand": "visa"})
    return {"charged": amount}


@tracer.capture_method
async def notify():
    await asyncio.sleep(0)
    return "notified"


@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
@audited
def handler(event, context):
    metrics.add_metric("Charges", MetricUnit.Count, 1)
    if event.get("fail"):
        raise ValueError("no money")
    charged = charge(event["amount"])
    asyncio.run(notify())
    metrics.add_dimension("environment", "test")
    with single_metric("Fee", MetricUnit.Count, 3, namespace="Shop") as fee:
        fee.add_dimension("brand", "visa")
    own = EphemeralMetrics(namespace="Own")
    own.add_metric("Size", MetricUnit.Bytes, 12)
    own.flush_metrics()
    return {"statusCode": 200, "body": charged}
