"""A function whose handler has forked processes do work that is traced."""

import multiprocessing
import os
import signal
import sys
import time

from app import metrics, tracer

context = multiprocessing.get_context("fork")


@tracer.capture_method(capture_response=False)
def part(n):
    tracer.put_annotation("part", n)
    metrics.add_metric("Parts", "Count", 1)
    metrics.flush_metrics()


@tracer.capture_lambda_handler
def with_processes(event, _):
    with tracer.provider.in_subsegment("before"):
        pass
    workers = [context.Process(target=part, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with tracer.provider.in_subsegment("after"):
        pass
    return [worker.exitcode for worker in workers]


@tracer.capture_lambda_handler
def with_fork(event, _):
    with tracer.provider.in_subsegment("around"):
        child = os.fork()
        if child == 0:
            part(0)
            if event["leave"] == "exit":
                sys.exit(0)  # through every block that the parent is in
            os._exit(0)
        os.waitpid(child, 0)
    return "parent"


def endless(_):
    with tracer.provider.in_subsegment("endless"):
        time.sleep(10)


@tracer.capture_lambda_handler
def with_terminated(event, _):
    worker = context.Process(target=endless, args=(0,))
    worker.start()
    time.sleep(0.2)
    os.kill(worker.pid, signal.SIGTERM)
    worker.join()
    return worker.exitcode
