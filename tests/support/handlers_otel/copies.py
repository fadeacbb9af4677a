"""Restores one snapshot many times, through the runtime client's own code.

    python copies.py NUMBER TRACES

A copy is a `fork` of which neither Python nor any library is told, as little as a
virtual machine is of its snapshot; the state of `random` is copied with the rest. Each
copy asks `/restore/next` for itself, makes its traces, and prints what it made.
"""

import ctypes
import json
import os
import random
import sys

import app
from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient


class Copying(LambdaRuntimeClient):
    def restore_next(self):
        fork = ctypes.PyDLL(None).fork
        for _ in range(int(sys.argv[1])):
            sys.stdout.flush()
            child = fork()
            if child == 0:
                super().restore_next()
                return
            os.waitpid(child, 0)
        os._exit(0)


class Context:
    function_name = "checkout"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"
    aws_request_id = "r"

    def get_remaining_time_in_millis(self):
        return 10_000


def trace_id(event, context):
    return app.tracer.provider.current_segment().trace_id


with app.tracer.provider.in_subsegment("before the snapshot"):
    pass
made_before = app.tracer.provider.statistics["traces"].sent
client = Copying(os.environ["AWS_LAMBDA_RUNTIME_API"])
bootstrap.on_init_complete(client, bootstrap.StandardLogSink())
drawn = random.random()  # noqa: S311 - to see that its state was copied
handler = app.tracer.capture_lambda_handler(trace_id)
print(
    json.dumps(
        {
            "drawn": drawn,
            "ids": [handler({}, Context()) for _ in range(int(sys.argv[2]))],
        }
    )
)
sys.stdout.flush()
os._exit(0)
