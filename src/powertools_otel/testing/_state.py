"""Powertools keeps state on classes and modules; tests need it as it was."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from powertools_otel import _guard, _invocation, _pipeline

if TYPE_CHECKING:
    from collections.abc import Callable


def reset() -> None:
    """Bring Powertools and this package back to the state of a new process.

    Resets the Tracer's class-level configuration (a disabled Tracer makes later ones
    disabled, a provider is remembered), both cold-start flags, what instances of
    Metrics share, warnings said once, the running invocation, our TracerProvider and
    everything not yet sent. The global OpenTelemetry providers stay.

    Make Tracer and Metrics anew afterwards; for handlers whose tracer is made at
    import, use :func:`capture_spans`, which needs no reset.
    """
    reset_powertools()
    _guard.forget_warnings()
    _invocation.forget()
    for name in ("_propagation", "_other_propagators"):
        module = sys.modules.get(f"powertools_otel.tracing.{name}")
        if module is not None:
            module.forget()
    sdk = sys.modules.get("powertools_otel.tracing._sdk")
    if sdk is not None:
        sdk.forget()
    sink = sys.modules.get("powertools_otel.metrics._sink")
    if sink is not None:
        sink.use(None)
    metrics = sys.modules.get("powertools_otel.metrics")
    if metrics is not None:
        metrics.Metrics._reset()  # noqa: SLF001 - our own, for this
    _pipeline.forget()


def reset_powertools() -> None:
    """Reset only what Powertools 3.37 itself keeps between tests."""
    from aws_lambda_powertools.metrics import metrics
    from aws_lambda_powertools.metrics.provider import cold_start
    from aws_lambda_powertools.tracing import tracer

    reset_config: Callable[[], None] = tracer.Tracer._reset_config  # noqa: SLF001 - what its own tests call
    reset_config()
    tracer.is_cold_start = True
    cold_start.is_cold_start = True
    _invocation.reset_cold_start()
    shared = metrics.Metrics
    for state in (
        shared._metrics,  # noqa: SLF001 - there is no public way
        shared._dimensions,  # noqa: SLF001
        shared._metadata,  # noqa: SLF001
        shared._default_dimensions,  # noqa: SLF001
    ):
        state.clear()
