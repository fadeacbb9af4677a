"""A function that ADOT has instrumented; prints what it found as one JSON object."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.metrics import get_meter_provider

from powertools_otel import Metrics, single_metric

INVOCATIONS = 3


class Context:
    """As much of a Lambda context as decorators look at."""

    function_name = "checkout"
    aws_request_id = "request"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


metrics = Metrics(namespace="Shop", service="orders")
counter = get_meter_provider().get_meter("user").create_counter("through_the_provider")


@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: dict[str, Any], context: Context) -> None:
    metrics.add_metric("Orders", "Count", 2)
    metrics.add_metric("Latency", "Milliseconds", 12.5)
    counter.add(1)
    with single_metric("Share", "Percent", 50, namespace="Other"):
        pass


for number in range(INVOCATIONS):
    Context.aws_request_id = f"request-{number}"
    handler({}, Context())
provider: Any = get_meter_provider()
kind = type(provider)
print(
    json.dumps(
        {
            "provider": f"{kind.__module__}.{kind.__qualname__}",
            "flushed": provider.force_flush(),
        }
    )
)
