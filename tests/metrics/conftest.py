"""Metrics of a process of their own, and no variable of Powertools or OpenTelemetry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from aws_lambda_powertools.metrics.provider.cold_start import reset_cold_start_flag
from tests.metrics.sent import Sent

from powertools_otel import _guard, _invocation
from powertools_otel.metrics import Metrics, _sink

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIXES = ("OTEL_", "POWERTOOLS_", "AWS_", "LAMBDA_")


@pytest.fixture(autouse=True)
def clean_metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    forget()
    yield
    forget()


def forget() -> None:
    _invocation.forget()
    _guard.forget_warnings()
    reset_cold_start_flag()
    Metrics._reset()
    _sink.use(None)


@pytest.fixture
def sent() -> Sent:
    """An outlet with the default settings, and what it would send."""
    return Sent.install()
