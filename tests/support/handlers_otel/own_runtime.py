"""A runtime of someone's own, not awslambdaric: one invocation, then the end.

python own_runtime.py SECONDS_OF_WORK SECONDS_OF_TIMEOUT
"""

import sys
import time

import app


class Context:
    function_name = "checkout"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"
    aws_request_id = "own"

    def __init__(self, seconds):
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self):
        return max(0, int((self._ends - time.monotonic()) * 1000))


work, timeout = map(float, sys.argv[1:])
app.handler({"n": 1, "do": "sleep", "s": work}, Context(timeout))
assert "awslambdaric" not in sys.modules
