"""Send what unchanged Powertools code records over OTLP: no line of it changes.

Cheap to call: Powertools is adapted when it is imported, OpenTelemetry is imported
when the first Tracer or Metrics is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powertools_otel._guard import warn_once
from powertools_otel._import_hooks import forget, when_imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from powertools_otel._install._replacements import Replacements

    Hook = Callable[[ModuleType], None]

_POWERTOOLS = "aws_lambda_powertools"


def install(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Make ``aws_lambda_powertools`` send OpenTelemetry instead of X-Ray and EMF.

    ``Tracer``, ``Metrics``, ``EphemeralMetrics``, ``single_metric`` and
    ``aiohttp_trace_config``, wherever they are imported from and whether their
    instances were made before or are made after. A Tracer with a provider of its own
    that is not X-Ray keeps it; so do Datadog's metrics and subclasses of the EMF
    provider that write EMF themselves. A Tracer made before stays enabled or disabled
    as it was; where Powertools' X-Ray provider was in use, the X-Ray SDK is switched
    off until :func:`uninstall`.

    Calling it again changes nothing. Never raises: what cannot be adapted goes on as
    it was, and the log says why.

    Args:
        tracer_provider: Begin spans with this one; see :class:`OTelTracingProvider`.
        meter_provider: Record with this one; see :class:`OTelMetricsProvider`.
    """
    activate("install()", tracer_provider, meter_provider)


def uninstall() -> None:
    """Take back what :func:`install` did.

    Powertools' classes and functions are what they were, Metrics write EMF and
    Tracers made before use X-Ray again; libraries that were instrumented for a Tracer
    no longer are. Tracers made meanwhile keep the provider they have.
    """
    global _active
    if _active is None:
        return
    activation, _active = _active, None
    activation.undo()


def activate(
    how: str,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Do what :func:`install` does.

    Args:
        how: Which way in this is, for the message if there are two.
        tracer_provider: As :func:`install`.
        meter_provider: As :func:`install`.
    """
    global _active
    if _active is not None:
        if how != _active.how:
            warn_once(
                "install:again",
                "powertools-otel is active already, by %s: %s changes nothing. "
                "One of the two is enough.",
                _active.how,
                how,
            )
        return
    _active = _Activation(how, tracer_provider, meter_provider)
    _active.begin()


class _Activation:
    """One span of time in which Powertools is ours."""

    def __init__(
        self,
        how: str,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        self.how = how
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        self._replacements: Replacements | None = None
        self._hooks: list[Hook] = []

    def begin(self) -> None:
        for module, adapt in (
            ("tracing.tracer", self._tracer),
            ("tracing.extensions", self._extensions),
            ("metrics.provider.cloudwatch_emf.cloudwatch", self._emf),
            ("metrics.base", self._single_metric),
        ):
            hook = self._spoken(adapt)
            self._hooks.append(hook)
            when_imported(f"{_POWERTOOLS}.{module}", hook)

    def undo(self) -> None:
        for hook in self._hooks:
            forget(hook)
        if self._replacements is not None:
            self._replacements.undo()

    def _spoken(self, adapt: Callable[[Any, Replacements], None]) -> Hook:
        """Say so where something of Powertools cannot be adapted."""

        def hook(module: ModuleType) -> None:
            try:
                if self._replacements is None:
                    from powertools_otel._install._replacements import Replacements

                    self._replacements = Replacements()
                adapt(module, self._replacements)
            except Exception as error:  # noqa: BLE001 - it is somebody's import
                from powertools_otel._install._versions import powertools_version

                warn_once(
                    f"install:{module.__name__}",
                    "%s of aws-lambda-powertools %s is not as powertools-otel knows it"
                    " (%r) and goes on as it was: use a version 3 from 3.20 on.",
                    module.__name__,
                    powertools_version(),
                    error,
                )

        return hook

    def _tracer(self, module: Any, replacements: Replacements) -> None:
        from powertools_otel._install import _tracer

        _tracer.adapt(module, replacements, self._tracer_provider)

    def _extensions(self, module: Any, replacements: Replacements) -> None:
        from powertools_otel._install import _tracer

        _tracer.adapt_extensions(module, replacements)

    def _emf(self, module: Any, replacements: Replacements) -> None:
        from powertools_otel._install import _metrics

        _metrics.adapt_emf(module, replacements, self._meter_provider)

    def _single_metric(self, module: Any, replacements: Replacements) -> None:
        from powertools_otel._install import _metrics

        _metrics.adapt_single_metric(module, replacements, self._meter_provider)


_active: _Activation | None = None
