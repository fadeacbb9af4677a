"""Many environments at once: `python environments.py COUNT INVOCATIONS`.

Each is a process of its own, forked: half of them before the function initialises,
half of them after, as environments that are restored from one snapshot. Each says on a
line what it sent.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any


class Context:
    """As much of a Lambda context as decorators look at."""

    function_name = "checkout"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"

    def __init__(self, request_id: str) -> None:
        self.aws_request_id = request_id

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 120_000


def initialise() -> Any:
    """What a function does at its import."""
    from powertools_otel import Metrics, Tracer

    tracer = Tracer(service="orders", auto_patch=False)
    metrics = Metrics(namespace="Shop", service="orders")

    @metrics.log_metrics
    @tracer.capture_lambda_handler(capture_response=False)
    def handler(event: dict[str, Any], context: Context) -> None:
        metrics.add_metric("Invocations", "Count", 1)
        metrics.add_metric("Amount", "Count", event["amount"])
        metrics.add_metric("Latency", "Milliseconds", event["amount"])

    return handler


def run(handler: Any, number: int, invocations: int) -> dict[str, Any]:
    """Invoke, and say what that adds up to."""
    from powertools_otel import _pipeline

    amounts = [(number * 31 + index * 7) % 101 for index in range(invocations)]
    for index, amount in enumerate(amounts):
        handler({"amount": amount}, Context(f"{number}-{index}"))
    pipeline = _pipeline.get()
    return {
        "instance": pipeline.resource()["service.instance.id"],
        "amount": sum(amounts),
        "statistics": {
            signal: counted._asdict()
            for signal, counted in pipeline.statistics().items()
        },
    }


def main(count: int, invocations: int) -> None:
    # Paid once, not 200 times: what importing costs is not the subject.
    for name in ("metrics", "tracing", "_otlp._protobuf", "_otlp._protobuf_metrics"):
        importlib.import_module(f"powertools_otel.{name}")

    begin, go = os.pipe()
    children = []
    handler = None
    for number in range(count):
        if number == count // 2:
            handler = initialise()
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(begin, 1)  # until the parent lets all begin at once
            code = 1
            try:
                result = run(handler or initialise(), number, invocations)
                # Below PIPE_BUF, so lines are written whole.
                os.write(1, json.dumps(result).encode() + b"\n")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    os.close(go)
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    sys.exit(f"{failed} environments failed" if failed else 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
