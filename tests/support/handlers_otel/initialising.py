"""The function of `app`, which records a span and a value while it initialises."""

import app
from app import handler

with app.tracer.provider.in_subsegment("initialising"):
    pass
app.metrics.add_metric("Started", "Count", 1)
app.metrics.flush_metrics()

__all__ = ["handler"]
