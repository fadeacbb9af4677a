"""State and environment of a new process for every test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools import Tracer as UpstreamTracer
from opentelemetry import context as otel_context
from opentelemetry import trace

import powertools_otel.testing
from powertools_otel import OTelTracingProvider, Tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from powertools_otel.testing import CapturedSpans

FOREIGN = ("OTEL_", "POWERTOOLS_", "AWS_", "_X_AMZN", "LAMBDA_", "_HANDLER")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of ours, no state of an earlier test, before and after."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
    forget_global_provider()
    powertools_otel.testing.reset()
    token = otel_context.attach(otel_context.Context())
    yield
    otel_context.detach(token)
    powertools_otel.testing.reset()
    forget_global_provider()


def forget_global_provider() -> None:
    """Let a test set the global TracerProvider, which the API allows only once."""
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = type(trace._TRACER_PROVIDER_SET_ONCE)()


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variables that Lambda sets."""
    for name, value in {
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_LAMBDA_FUNCTION_NAME": "checkout",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/21/[$LATEST]0123",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/checkout",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def spans(in_lambda: None) -> Iterator[CapturedSpans]:
    """What is traced, kept by the real SDK."""
    with powertools_otel.testing.capture_spans() as captured:
        yield captured


@pytest.fixture(params=["drop-in", "provider"])
def make_tracer(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Both ways in: our Tracer, and Powertools' own with our provider."""

    def make(**options: Any) -> Any:
        options.setdefault("auto_patch", False)
        if request.param == "drop-in":
            return Tracer(**options)
        options.setdefault("provider", OTelTracingProvider())
        return UpstreamTracer(**options)

    return make


@pytest.fixture
def tracer(spans: CapturedSpans, make_tracer: Callable[..., Any]) -> Any:
    """A tracer, in each of both ways in."""
    return make_tracer(service="checkout")


class LambdaContext:
    """What the runtime client passes: only what it has, honest values."""

    function_name = "checkout"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"
    aws_request_id = "6f0d1c9e-2b0a-4f7c-9a53-0a3b3f6f3a10"
    client_context = None
    identity = None

    def __init__(self, remaining_ms: int = 3_000, request_id: str | None = None):
        self._remaining_ms = remaining_ms
        if request_id:
            self.aws_request_id = request_id

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms


@pytest.fixture
def context() -> LambdaContext:
    """A Lambda context with 3 s left."""
    return LambdaContext()
