"""The real Collector, and an environment for functions that send to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import LambdaContext
from tests.support.collector import Collector, Command, Unavailable, obtain

from powertools_otel.testing import OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENT_MS = 20_000
"""For what is not about time: this machine may be busy."""


@pytest.fixture(scope="session")
def command() -> Command:
    """The real Collector; REQUIRE_OTELCOL=1 makes its absence an error."""
    found = obtain()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


@pytest.fixture
def collector(command: Command) -> Iterator[Collector]:
    """A Collector that writes down what arrives."""
    with Collector(command) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    """An endpoint that fails on demand."""
    with OTLPReceiver() as running:
        yield running


@pytest.fixture
def send_to(in_lambda: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets where the function sends, and further variables."""

    def send_to(endpoint: str, **variables: str) -> None:
        chosen = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "POWERTOOLS_OTEL_FLUSH_TIMEOUT": str(PATIENT_MS),
            **variables,
        }
        for name, value in chosen.items():
            monkeypatch.setenv(name, value)

    return send_to


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """Calls a handler as Lambda does: each time with a request id of its own."""
    count = 0

    def invoke(handler: Callable[..., Any], event: Any = None) -> Any:
        nonlocal count
        count += 1
        return handler(event, LambdaContext(2 * PATIENT_MS, f"request-{count}"))

    return invoke
