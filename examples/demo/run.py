"""Runs the demo's handler against an embedded receiver, and draws what arrived.

``make demo``, or ``python examples/demo/run.py [--invocations N] [--plain]``.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from waterfall import COLOUR, PLAIN, draw, table, value  # noqa: E402

from powertools_otel.testing import OTLPReceiver  # noqa: E402

EVENT = {
    "resource": "/orders/{order_id}/checkout",
    "path": "/orders/1001/checkout",
    "httpMethod": "POST",
    "headers": {
        "Host": "shop.example.com",
        "User-Agent": "demo",
        "X-Forwarded-Proto": "https",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
    "multiValueHeaders": None,
    "queryStringParameters": None,
    "pathParameters": {"order_id": "1001"},
    "requestContext": {
        "resourcePath": "/orders/{order_id}/checkout",
        "httpMethod": "POST",
        "protocol": "HTTP/1.1",
        "identity": {"sourceIp": "203.0.113.7"},
        "stage": "prod",
    },
    "body": None,
    "isBase64Encoded": False,
}


class Context:
    """The Lambda context of the demo's only function."""

    function_name = "checkout"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        """As much as a function with a timeout of 3 s has at its start."""
        return 3_000


def main() -> int:
    """Run, draw, and say what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invocations", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="no colours")
    options = parser.parse_args()
    coloured = (
        sys.stdout.isatty() and not options.plain and "NO_COLOR" not in os.environ
    )
    style = COLOUR if coloured else PLAIN
    width = min(shutil.get_terminal_size((100, 24)).columns, 140)
    # Powertools logs the stack of each traced exception; the waterfall shows it.
    logging.getLogger("aws_lambda_powertools").setLevel(logging.CRITICAL)
    with OTLPReceiver() as receiver:
        os.environ.update(
            {
                "AWS_LAMBDA_FUNCTION_NAME": "checkout",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                "AWS_REGION": "eu-west-1",
                "LAMBDA_TASK_ROOT": str(HERE),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            }
        )
        handler = importlib.import_module("app").handler
        for _ in range(options.invocations):
            answer = handler(EVENT, Context())
        print(f"POST /orders/1001/checkout -> {answer}\n")
        _show(receiver, width, style)
    return 0 if receiver.spans else 1


def _show(receiver: OTLPReceiver, width: int, style: Any) -> None:
    spans = [received.span for received in receiver.spans]
    traces = {span.trace_id: None for span in spans}
    for trace_id in traces:
        print(f"{style.bold}trace {trace_id.hex()}{style.off}")
        for line in draw(
            [span for span in spans if span.trace_id == trace_id],
            width=width,
            style=style,
        ):
            print(line)
    print(f"\n{style.bold}metrics{style.off}")
    for line in table((received.metric for received in receiver.metrics), style=style):
        print(line)
    print(f"\n{style.bold}resource{style.off}")
    for received in receiver.spans[:1]:
        for pair in received.resource.attributes:
            print(f"{style.dim}  {pair.key} = {value(pair.value)}{style.off}")


if __name__ == "__main__":
    sys.exit(main())
