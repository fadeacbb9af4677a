"""A function of ours under the strict runtime, and where its telemetry arrives."""

import os
from pathlib import Path

import pytest
from tests.lambda_runtime.telemetry import Receiver
from tests.support.lambda_runtime import StrictLambda

LONG = os.environ.get("POWERTOOLS_OTEL_LONG_TESTS") == "1"  # before it is cleaned
HANDLERS = Path(__file__).parents[1] / "support" / "handlers_otel"


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def function(receiver):
    """Make a function: ``function("app.handler", FLUSH_MODE="after_response")``.

    Upper-case arguments are our settings, without prefix; the others the runtime's.
    """
    made = []

    def make(handler="app.handler", env=None, **arguments):
        settings = {
            f"POWERTOOLS_OTEL_{name}": str(arguments.pop(name))
            for name in list(arguments)
            if name.isupper()
        }
        # From 3.12 on the runtime waits in a thread, so that Python sees signals.
        environment = {
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "PYTHONWARNINGS": "error",
            **settings,
            **(env or {}),
        }
        one = StrictLambda(handler, HANDLERS, env=environment, **arguments)
        made.append(one)
        return one

    yield make
    for each in made:
        each.close()


@pytest.fixture
def long():
    """Whether to run the tests at their full size, which takes minutes."""
    return LONG
