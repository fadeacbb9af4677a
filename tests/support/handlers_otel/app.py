"""A function with five spans and one metric, that does what the event says."""

import os
import sys
import time

from powertools_otel import Metrics, Tracer

tracer = Tracer(service="checkout", auto_patch=False)
metrics = Metrics(namespace="Shop", service="checkout")


def bare(event, context):
    """Nothing of ours: no decorator, no span."""
    return do(event)


def undecorated(event, context):
    """Spans and metrics, but no decorator around the handler."""
    return work(event)


@metrics.log_metrics
@tracer.capture_lambda_handler
def handler(event, context):
    return work(event)


@tracer.capture_method
def work(event):
    tracer.put_annotation("n", event.get("n", -1))
    metrics.add_metric("Orders", "Count", 1)
    with tracer.provider.in_subsegment("## first"):
        tracer.put_annotation("n", event.get("n", -1))
    with tracer.provider.in_subsegment("## outer"):
        tracer.put_annotation("n", event.get("n", -1))
        with tracer.provider.in_subsegment("## inner"):
            tracer.put_annotation("n", event.get("n", -1))
            return do(event)


def do(event):
    what, seconds = event.get("do"), event.get("s", 0)
    if what == "raise":
        raise RuntimeError("as told")
    if what == "sleep":
        time.sleep(seconds)
    elif what == "loop":
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
    elif what == "exit":
        sys.exit(3)
    elif what == "abort":
        os._exit(4)
    elif what == "print":
        print("from the handler")
    return {
        "pid": os.getpid(),
        "spans": tracer.provider.statistics.get("traces"),
        "points": tracer.provider.statistics.get("metrics"),
    }
