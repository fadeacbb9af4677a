"""A function whose process is told to end while it initialises."""

import os
import signal
import time

from powertools_otel import Tracer

tracer = Tracer(service="ended", auto_patch=False)
span = tracer.provider.begin_subsegment("initialising")
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(3)


def handler(event, context):
    return event
