"""Handlers as Powertools users write them, run under X-Ray and under us alike.

Each takes a Tracer and returns the decorated handler; what it is called with is in
``EVENTS`` (an event per invocation, ``{}`` once if it is not named there).
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

EVENTS: dict[str, list[dict[str, Any]]] = {"cold_then_warm": [{"n": 1}, {"n": 2}]}


def simple(tracer):
    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        return {"statusCode": 200, "body": "ok"}

    return lambda_handler


def cold_then_warm(tracer):
    @tracer.capture_lambda_handler(capture_response=False)
    def lambda_handler(event, context):
        tracer.put_annotation("n", event["n"])

    return lambda_handler


def nested(tracer):
    @tracer.capture_method
    def inner(value):
        tracer.put_annotation("Inner", value)
        return [value]

    @tracer.capture_method
    def outer(value):
        tracer.put_metadata("before", {"deep": {"er": [1, 2.5, None, True, "ü"]}})
        result = inner(value) + inner(value + 1)
        tracer.put_annotation("Outer", result[0] == value)
        return result

    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        tracer.put_annotation("Text", "value")
        tracer.put_annotation("Float", 1.25)
        tracer.put_metadata("order", {"id": 1}, namespace="shop")
        tracer.put_metadata("line", ["a", "b"], namespace="shop")
        return outer(1)

    return lambda_handler


def failing_method(tracer):
    @tracer.capture_method
    def fails():
        message = "no stock"
        raise ValueError(message)

    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        try:
            fails()
        except ValueError:
            return "recovered"

    return lambda_handler


def failing_handler(tracer):
    @tracer.capture_method
    def fails():
        message = "no stock"
        raise KeyError(message)

    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        fails()

    return lambda_handler


def no_capture(tracer):
    @tracer.capture_method(capture_response=False)
    def quiet():
        return "secret"

    @tracer.capture_lambda_handler(capture_response=False)
    def lambda_handler(event, context):
        return quiet()

    return lambda_handler


def escape_hatch(tracer):
    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        with tracer.provider.in_subsegment("## block") as segment:
            segment.put_annotation("Where", "block")
            segment.put_metadata("key", {"a": 1}, "space")
        with tracer.provider.in_subsegment(name="plain"):
            pass
        tracer.provider.begin_subsegment("begun")
        tracer.provider.put_annotation("Begun", 1)
        tracer.provider.end_subsegment()
        return decorated()

    @tracer.provider.in_subsegment("decorated")
    def decorated():
        return 1

    return lambda_handler


def context_manager(tracer):
    @tracer.capture_method
    def child():
        return 1

    @tracer.capture_method
    @contextmanager
    def block(value):
        yield value

    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        with block("given") as value:
            child()
            return value

    return lambda_handler


def generator(tracer):
    @tracer.capture_method
    def child(number):
        return number

    @tracer.capture_method
    def numbers():
        yield child(1)
        yield child(2)
        return "done"

    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        return list(numbers())

    return lambda_handler


def sequential_async(tracer):
    @tracer.capture_method
    async def inner(number):
        await asyncio.sleep(0)
        return number

    @tracer.capture_method
    async def outer():
        return [await inner(1), await inner(2)]

    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        return asyncio.run(outer())

    return lambda_handler


def everyday_values(tracer):
    @tracer.capture_lambda_handler
    def lambda_handler(event, context):
        tracer.put_annotation("Bool", value=True)
        tracer.put_annotation("Int", 12)
        tracer.put_metadata("none", None)
        tracer.put_metadata("empty", {})
        tracer.put_metadata("unicode", "naïve ☃")
        tracer.put_metadata("overwritten", 1)
        tracer.put_metadata("overwritten", 2)
        tracer.put_metadata("decimal", float(Decimal("1.5")))

    return lambda_handler


HANDLERS = (
    simple,
    cold_then_warm,
    nested,
    failing_method,
    failing_handler,
    no_capture,
    escape_hatch,
    context_manager,
    generator,
    sequential_async,
    everyday_values,
)
