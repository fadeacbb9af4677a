"""The real Collector, and what the function in `shop.py` sends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.collector import Command, Unavailable, obtain

from powertools_otel.testing import OTLPReceiver

SHOP = Path(__file__).with_name("shop.py")
IN_LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "checkout",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "LAMBDA_TASK_ROOT": "/var/task",
    "AWS_REGION": "eu-west-1",
}


def run_shop(package: str, **variables: str) -> str:
    """Run the function in a process of its own; return what it printed."""
    environment = {"PATH": os.environ["PATH"], **IN_LAMBDA, **variables}
    if package == "aws_lambda_powertools":
        # X-Ray would be sent to a daemon; the metrics are what is wanted.
        environment["POWERTOOLS_TRACE_DISABLED"] = "true"
    done = subprocess.run(
        [sys.executable, str(SHOP), package],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def command() -> Command:
    """The real Collector; REQUIRE_OTELCOL=1 makes its absence an error."""
    found = obtain()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="session")
def sent() -> dict[str, list[bytes]]:
    """The bodies of the function's OTLP requests by signal, in their order."""
    with OTLPReceiver() as receiver:
        run_shop("powertools_otel", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
        bodies: dict[str, list[bytes]] = {"traces": [], "metrics": []}
        for request in receiver.requests:
            bodies[request.signal].append(request.message.SerializeToString())
    assert all(len(requests) >= 2 for requests in bodies.values())
    return bodies
