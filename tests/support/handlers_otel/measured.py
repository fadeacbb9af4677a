"""Five spans and five metrics, by Powertools itself or by us, and what they cost.

`WITH` says by which: `xray`, `otel`. Each response tells the microseconds that the
decorated handler of the invocation before took, which is what a caller waits for.
"""

import os
import time

if os.environ["WITH"] == "xray":
    from aws_lambda_powertools import Metrics, Tracer
else:
    from powertools_otel import Metrics, Tracer

tracer = Tracer(service="checkout", auto_patch=False)
metrics = Metrics(namespace="Shop", service="checkout")
took = []


@tracer.capture_method
def part(n):
    return n


@metrics.log_metrics
@tracer.capture_lambda_handler
def work(event, context):
    for n in range(4):
        part(n)
    for n in range(5):
        metrics.add_metric(f"Metric{n}", "Count", n)
    return {}


def handler(event, context):
    before, took[:] = took[:], []
    started = time.perf_counter()
    work(event, context)
    took.append((time.perf_counter() - started) * 1e6)
    return before
