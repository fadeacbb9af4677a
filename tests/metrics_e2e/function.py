"""A function that uses all of Metrics: `python function.py PACKAGE TIME_MS`.

With Powertools itself it prints EMF; with us it sends OTLP where the environment says.
"""

from __future__ import annotations

import importlib
import sys
from decimal import Decimal
from typing import Any

INVOCATIONS = 4


class Context:
    """As much of a Lambda context as decorators look at."""

    function_name = "checkout"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"

    def __init__(self, number: int) -> None:
        self.aws_request_id = f"request-{number}"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


def main(package: str, time_ms: int) -> None:
    powertools = importlib.import_module(package)
    names = importlib.import_module(f"{package}.metrics")
    metrics = powertools.Metrics(namespace="Shop", service="orders")
    other = names.EphemeralMetrics(namespace="Shop/Audit", service="audit")
    metrics.set_default_dimensions(stage="prod")

    @other.log_metrics
    @metrics.log_metrics(capture_cold_start_metric=True)
    def handler(event: dict[str, Any], context: Context) -> int:
        number = event["number"]
        metrics.add_dimension("tenant", f"tenant-{number % 2}")
        for value in range(number + 1):
            metrics.add_metric("Orders", "Count", value)
            metrics.add_metric("Latency", "Milliseconds", 12.5 * value + 0.1)
        metrics.add_metric("Fast", "Seconds", 0.25, resolution=1)
        for unit in names.MetricUnit:
            metrics.add_metric(f"in {unit.name}", unit, 7)
        for name in ("cpu%", "Order:Total", "naïve", "日本", "9 lives", "x" * 255):
            metrics.add_metric(name, "None", number)
        metrics.add_metric("Odd", "Bytes", -3)
        for value in (True, Decimal("0.125"), 2**70, 1e300, 0, -0.0):
            metrics.add_metric("Odd", "Bytes", value)
        metrics.add_dimensions(region="eu-west-1", zone="a")
        metrics.add_dimensions(region="eu-west-1")
        metrics.add_metadata("request", number)

        other.add_metric("Entries", "Count", 2)
        other.set_timestamp(time_ms)

        for _ in range(2):
            with names.single_metric(
                "Share", "Percent", 50 + number, namespace="Shop"
            ) as single:
                single.add_dimension("kind", "single")
        if number == 1:
            metrics.flush_metrics()
            metrics.add_metric("After a flush", "Count", 1)
        if number == 2:
            raise ValueError(number)
        return number

    for number in range(INVOCATIONS):
        try:
            assert handler({"number": number}, Context(number)) == number
        except ValueError:
            assert number == 2


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
