"""A function, invoked twice: `python shop.py powertools_otel|aws_lambda_powertools`.

With Powertools itself it prints EMF; with us it sends OTLP where the environment says.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


class Context:
    function_name = "checkout"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"
    aws_request_id = "6f0d1c9e-2b0a-4f7c-9a53-0a3b3f6f3a10"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


def main(package: str) -> None:
    powertools = importlib.import_module(package)
    names = importlib.import_module(f"{package}.metrics")
    tracer = powertools.Tracer(service="orders", auto_patch=False)
    metrics = powertools.Metrics(namespace="Shop", service="orders")

    @metrics.log_metrics(capture_cold_start_metric=True)
    @tracer.capture_lambda_handler
    def handler(event: dict[str, Any], context: Context) -> dict[str, bool]:
        metrics.add_dimension("tenant", "acme")
        metrics.add_metric("Orders", names.MetricUnit.Count, 1)
        metrics.add_metric("Orders", names.MetricUnit.Count, 2)
        metrics.add_metric("Latency", names.MetricUnit.Milliseconds, 12.5)
        metrics.add_metric("Latency", names.MetricUnit.Milliseconds, 40)
        metrics.add_metric("Size", names.MetricUnit.Kilobytes, 3, resolution=1)
        for unit in names.MetricUnit:
            metrics.add_metric(f"in {unit.name}", unit, 7)
        with names.single_metric(
            "Share", names.MetricUnit.Percent, 50, namespace="Other"
        ) as single:
            single.add_dimension("kind", "single")
        charge()
        return {"ok": True}

    @tracer.capture_method
    def charge() -> None:
        tracer.put_annotation("order", "A-1")
        tracer.put_metadata("basket", {"items": 3}, namespace="shop")

    for _ in range(2):
        handler({}, Context())


if __name__ == "__main__":
    main(sys.argv[1])
