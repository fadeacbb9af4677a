"""Powertools' Metrics, with our provider where its EMF provider would be.

The EMF provider's class is what all of it comes down to: ``Metrics`` makes one,
``EphemeralMetrics`` is one, and handlers decorated before us hold one. So its
instances become instances of our subclass of it, in place, with all they have
gathered: new ones when they are made, older ones when they are next used.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import logger, warn_once

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import CellType

    from opentelemetry.metrics import MeterProvider

    from powertools_otel._install._replacements import Replacements

_ENTRANCES = (
    "add_cold_start_metric",
    "add_metric",
    "flush_metrics",
    "log_metrics",
    "serialize_metric_set",
)
"""Where an EMF provider would print, or be asked for EMF."""
_UNAVAILABLE = (
    "Metrics cannot be sent with OpenTelemetry and stay EMF (%r): install or update "
    "opentelemetry-sdk to 1.44 or later."
)
_WRITES_EMF = ("flush_metrics", "serialize_metric_set")


def adapt_emf(
    module: Any, replacements: Replacements, meter_provider: MeterProvider | None
) -> None:
    """Adapt ``aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch``.

    Args:
        module: That module.
        replacements: Take what is replaced.
        meter_provider: As :func:`powertools_otel.install`.

    Raises:
        AttributeError: The module is not as known; nothing is replaced then.
    """
    emf = module.AmazonCloudWatchEMFProvider
    converter = _Converter(emf, meter_provider)
    forks = {"__init__": _made(emf.__init__, converter)}
    for name in _ENTRANCES:
        forks[name] = _used(name, getattr(emf, name), converter)
    for name, fork in forks.items():
        replacements.attribute(emf, name, fork)
    replacements.then(converter.undo)


def can_send(meter_provider: MeterProvider | None) -> bool:
    """Whether metrics have somewhere to go; EMF is kept, and that said, where not.

    Only ADOT's layer without an OTLP endpoint has none: it sets
    ``OTEL_METRICS_EXPORTER=none`` and a MeterProvider that exports nothing.
    """
    exporter = os.environ.get("OTEL_METRICS_EXPORTER", "")
    if meter_provider is not None or exporter.strip().lower() != "none":
        return True
    from powertools_otel import _pipeline

    if not _pipeline.is_adot(os.environ) or _pipeline.has_endpoint(
        os.environ, "metrics"
    ):
        return True
    warn_once(
        "install:nowhere",
        "ADOT's layer exports no metrics (OTEL_METRICS_EXPORTER=none) and no OTLP "
        "endpoint is set: metrics stay EMF. Set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT "
        "to send them.",
    )
    return False


class _Converter:
    """Makes EMF providers ours, and EMF providers again.

    Args:
        emf: Powertools' class.
        meter_provider: As :func:`powertools_otel.install`.
    """

    def __init__(self, emf: type[Any], meter_provider: MeterProvider | None) -> None:
        self._emf = emf
        self._meter_provider = meter_provider
        self._classes: dict[type[Any], type[Any] | None] = {}
        self._converted: weakref.WeakKeyDictionary[Any, type[Any]] = (
            weakref.WeakKeyDictionary()
        )
        self._shared_seen: dict[str, Any] = {}
        self._able = True

    def convert(self, provider: Any) -> bool:
        """Make ``provider`` ours. False if it is already, or has to stay as it is."""
        given: type[Any] = provider.__class__
        ours = self._counterpart(given)
        if ours is None:
            return False
        try:
            self._complete(provider)
        except Exception as error:  # noqa: BLE001 - the function's import goes on
            self._fail(error)
            return False
        provider.__class__ = ours
        self._converted[provider] = given
        return True

    def undo(self) -> None:
        """Make EMF providers again of all that are still there."""
        for provider, given in list(self._converted.items()):
            provider.__class__ = given
        self._converted.clear()

    def _counterpart(self, given: type[Any]) -> type[Any] | None:
        """The class to give to an instance of ``given``."""
        if given not in self._classes:
            self._classes[given] = (
                self._find_counterpart(given)
                if self._able and can_send(self._meter_provider)
                else None
            )
        return self._classes[given]

    def _find_counterpart(self, given: type[Any]) -> type[Any] | None:
        try:
            from powertools_otel._install._versions import check_sdk

            check_sdk()
            from powertools_otel.metrics import OTelMetricsProvider
        except Exception as error:  # noqa: BLE001 - the function's import goes on
            self._fail(error)
            return None
        if given is self._emf:
            return OTelMetricsProvider
        if issubclass(given, OTelMetricsProvider):
            return None
        own = given.__mro__[: given.__mro__.index(self._emf)]
        if any(name in vars(kind) for kind in own for name in _WRITES_EMF):
            logger.debug("%s writes EMF of its own and goes on so", given.__qualname__)
            return None
        # Its own methods first, then ours instead of those it inherits.
        return type(given.__name__, (given, OTelMetricsProvider), {})

    def _complete(self, provider: Any) -> None:
        """Add what our provider has beyond an EMF provider's state."""
        from powertools_otel.metrics import OTelMetricsProvider

        model = OTelMetricsProvider(
            provider.namespace,
            provider.service,
            provider.function_name,
            meter_provider=self._meter_provider,
        )
        state: dict[str, Any] = provider.__dict__
        for name, value in vars(model).items():
            state.setdefault(name, value)
        facade = sys.modules.get("aws_lambda_powertools.metrics.metrics")
        if facade is not None and provider.metric_set is facade.Metrics._metrics:  # noqa: SLF001
            state["_seen"] = self._shared_seen

    def _fail(self, error: Exception) -> None:
        self._able = False
        warn_once(
            "install:metrics",
            _UNAVAILABLE,
            error,
        )


def _made(original: Callable[..., None], converter: _Converter) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807
        original(self, *args, **options)
        converter.convert(self)

    return __init__


def _used(
    name: str, original: Callable[..., Any], converter: _Converter
) -> Callable[..., Any]:
    @functools.wraps(original)
    def entrance(self: Any, *args: Any, **options: Any) -> Any:
        if not converter.convert(self):
            return original(self, *args, **options)
        # Not looked up on the instance: a subclass's own method may have called us.
        from powertools_otel.metrics import OTelMetricsProvider

        return getattr(OTelMetricsProvider, name)(self, *args, **options)

    return entrance


def adapt_single_metric(
    module: Any, replacements: Replacements, meter_provider: MeterProvider | None
) -> None:
    """Adapt ``aws_lambda_powertools.metrics.base``.

    ``single_metric`` has been imported by name into other modules, so the function
    itself stays: the generator function that ``contextmanager`` made it of changes.

    Args:
        module: That module.
        replacements: Take what is replaced.
        meter_provider: As :func:`powertools_otel.install`.

    Raises:
        ValueError: The function is not what ``contextmanager`` makes.
    """
    function = module.single_metric
    cells = dict(
        zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    )
    if "func" not in cells:
        message = "single_metric is no context manager"
        raise ValueError(message)
    cell: CellType = cells["func"]
    replacements.cell(cell, _single_metric(cell.cell_contents, meter_provider))


def _single_metric(
    original: Callable[..., Generator[Any, None, None]],
    meter_provider: MeterProvider | None,
) -> Callable[..., Generator[Any, None, None]]:
    @functools.wraps(original)
    def single_metric(
        name: str,
        unit: Any,
        value: float,
        resolution: int = 60,
        namespace: str | None = None,
        default_dimensions: dict[str, str] | None = None,
    ) -> Generator[Any, None, None]:
        metric = None
        try:
            from powertools_otel._install._versions import check_sdk

            check_sdk()
            from powertools_otel.metrics import SingleMetric

            if can_send(meter_provider):
                metric = SingleMetric(namespace, meter_provider=meter_provider)
        except Exception as error:  # noqa: BLE001 - the handler goes on
            warn_once(
                "install:metrics",
                _UNAVAILABLE,
                error,
            )
        if metric is None:
            yield from original(
                name, unit, value, resolution, namespace, default_dimensions
            )
            return
        metric.add_metric(name, unit, value, resolution)
        for dimension, text in (default_dimensions or {}).items():
            metric.add_dimension(dimension, text)
        yield metric
        metric.flush_metrics()

    return single_metric
