"""The provider: EMF's buffering and rules, OTLP points instead of EMF lines."""

from __future__ import annotations

import functools
import threading
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics.exceptions import SchemaValidationError
from aws_lambda_powertools.metrics.functions import resolve_cold_start_function_name
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.constants import (
    MAX_DIMENSIONS,
)
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.metric_properties import (
    MetricUnit,
)
from aws_lambda_powertools.warnings import PowertoolsUserWarning
from typing_extensions import override

from powertools_otel._guard import harmless, warn_once
from powertools_otel._invocation import unwrap
from powertools_otel._settings import Settings
from powertools_otel.metrics import _handler, _publishing, _sink
from powertools_otel.metrics._buffer import (
    EMF_LIMIT,
    FLOOD,
    add_value,
    as_text,
    values_of,
)
from powertools_otel.metrics._exemplars import notice
from powertools_otel.metrics._streams import KINDS, Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.metric_properties import (
        MetricResolution,
    )
    from opentelemetry.metrics import MeterProvider

    from powertools_otel._otlp._model import Exemplar

_RESCUE_S = 0.05
_EMPTY = (
    "No application metrics to publish. The cold-start metric may be published if "
    "enabled. If application metrics should never be empty, consider using "
    "'raise_on_empty_metrics'"
)


# Powertools types ``Metrics(provider=...)`` as its EMF provider: being one is what
# makes that call type-check. What EMF prints is never printed: every method that
# would is overridden.
class OTelMetricsProvider(AmazonCloudWatchEMFProvider):
    """Powertools metrics over OTLP.

    For Powertools' own facade, ``aws_lambda_powertools.Metrics(provider=...)``, or
    alone. Values and dimensions are kept as EMF keeps them until they are flushed.

    Args:
        namespace: ``POWERTOOLS_METRICS_NAMESPACE`` without one.
        service: Added as a dimension; ``POWERTOOLS_SERVICE_NAME`` without one.
        function_name: The cold start metric's dimension;
            ``POWERTOOLS_METRICS_FUNCTION_NAME``, then the context's, without one.
        default_dimensions: Dimensions that outlive a flush.
        metric_set: Where to keep values, to share them between providers.
        dimension_set: Where to keep dimensions, likewise.
        metadata_set: Where to keep metadata, likewise.
        meter_provider: Record through its instruments instead of sending points of
            our own; the SDK then lower-cases names, drops negative counts and NaN,
            and ignores timestamps.
        count_as: What unit Count becomes: ``sum`` or ``histogram``.
        metric_kinds: ``sum``, ``histogram`` or ``gauge``, by metric name.
        dimension_sets: Sets of ``add_dimensions``: one point with all (``merged``),
            or one point a set, as EMF (``separate``).
        namespace_as: The namespace as instrumentation ``scope``, or as ``prefix``.
        metric_names: Names as they are (``keep``), or ``safe`` for any backend.
        unit_style: ``ucum`` or ``cloudwatch``.
        strict_emf: Impose CloudWatch's limits: 29 dimensions, 100 metrics or values.
    """

    metric_set: dict[str, Any]
    dimension_set: dict[str, str]
    metadata_set: dict[str, Any]
    default_dimensions: dict[str, Any]

    def __init__(  # noqa: PLR0913 - each argument has a name of its own
        self,
        namespace: str | None = None,
        service: str | None = None,
        function_name: str | None = None,
        default_dimensions: dict[str, Any] | None = None,
        *,
        metric_set: dict[str, Any] | None = None,
        dimension_set: dict[str, Any] | None = None,
        metadata_set: dict[str, Any] | None = None,
        meter_provider: MeterProvider | None = None,
        count_as: str | None = None,
        metric_kinds: Mapping[str, str] | None = None,
        dimension_sets: str | None = None,
        namespace_as: str | None = None,
        metric_names: str | None = None,
        unit_style: str | None = None,
        strict_emf: bool | None = None,
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            metric_set=metric_set,
            dimension_set=dimension_set,
            namespace=namespace,
            metadata_set=metadata_set,
            service=service,
            default_dimensions=default_dimensions,
            function_name=function_name,
        )
        if default_dimensions is not None:
            self.default_dimensions = default_dimensions
        # Early versions of Powertools 3 have no further dimension sets.
        self.dimension_sets: list[dict[str, str]] = []
        self._outlet = _sink.outlet(self.service)
        self._meter_provider = meter_provider
        explicit = _chosen(
            {
                "COUNT_AS": count_as,
                "DIMENSION_SETS": dimension_sets,
                "NAMESPACE_AS": namespace_as,
                "METRIC_NAMES": metric_names,
                "UNIT_STYLE": unit_style,
                "STRICT_EMF": None if strict_emf is None else str(strict_emf),
            },
            metric_kinds,
        )
        self._settings = self._outlet.settings
        self._streams = self._outlet.streams
        if explicit:
            self._settings = self._settings._replace(**explicit)
            self._streams = Streams(
                self._settings, exponential=self._outlet.exponential
            )
        self._strict = self._settings.strict_emf
        self._limit = EMF_LIMIT if self._strict else FLOOD
        self._seen: dict[str, Exemplar] = {}
        self._notices = self._outlet.exemplars != "always_off"
        self._unsampled = self._outlet.exemplars == "always_on"
        # Re-entrant: a signal handler of the function may flush as well.
        self._publishing = threading.RLock()
        self._rescued: list[tuple[str, dict[str, Any], int]] = []

    @override
    def add_metric(
        self,
        name: str,
        unit: MetricUnit | str,
        value: float,
        resolution: MetricResolution | int = 60,
    ) -> None:
        """Add a value; the unit and resolution given last for a name count.

        Raises:
            MetricNameError: The name is empty or longer than 255 characters.
            MetricValueError: The value is not a number.
            MetricUnitError: The unit is not one of CloudWatch's.
            MetricResolutionError: The resolution is neither 1 nor 60.
            SchemaValidationError: There are so many values that they are handed on
                now (100 of a name or 100 names with ``strict_emf``, else 50,000), and
                there is no namespace.
        """
        kept, number, count = add_value(self.metric_set, name, unit, value, resolution)
        if self._notices:
            notice(self._seen, kept, number, unsampled=self._unsampled)
        if count == self._limit or len(self.metric_set) == self._limit:
            flush = self._flush()
            if not _sink.is_disabled():
                self._record(flush)
            self.metric_set.clear()
            self._seen.clear()

    @override
    def add_dimension(self, name: str, value: str) -> None:
        """Add a dimension to all values of the flush, before and after.

        Raises:
            SchemaValidationError: 29 dimensions exceeded, with ``strict_emf``.
        """
        dimensions = self.dimension_set
        if self._strict and len(dimensions) == MAX_DIMENSIONS:
            message = (
                f"Maximum number of dimensions exceeded ({MAX_DIMENSIONS}): "
                f"Unable to add dimension {name}."
            )
            raise SchemaValidationError(message)
        value = as_text(value)
        if not name.strip() or not value.strip():
            warnings.warn(
                f"The dimension {name} doesn't meet the requirements and won't be "
                "added. Ensure the dimension name and value are non-empty strings",
                category=PowertoolsUserWarning,
                stacklevel=2,
            )
            return
        if name in dimensions and dimensions[name] != value:
            warnings.warn(
                f"Dimension '{name}' has already been added. The previous value will "
                "be overwritten.",
                category=PowertoolsUserWarning,
                stacklevel=2,
            )
        dimensions[name] = value

    @override
    def add_dimensions(self, **dimensions: str) -> None:
        """Add a further set of dimensions.

        Raises:
            SchemaValidationError: 29 dimensions exceeded, with ``strict_emf``.
        """
        if not dimensions:
            warnings.warn(
                "Empty dimensions dictionary provided",
                category=PowertoolsUserWarning,
                stacklevel=2,
            )
            return
        texts = self._sanitize_dimensions(dimensions)
        if not texts:
            return
        if self._strict:
            self._validate_dimension_limit(texts)
        self.dimension_sets.append({**self.default_dimensions, **texts})

    @override
    def _sanitize_dimensions(self, dimensions: dict[str, str]) -> dict[str, str]:
        texts: dict[str, str] = {}
        for name, value in dimensions.items():
            text = str(value)
            if not name.strip() or not text.strip():
                warnings.warn(
                    f"Dimension {name} has empty name or value",
                    category=PowertoolsUserWarning,
                    stacklevel=2,
                )
                continue
            texts[name] = text
        return texts

    @override
    def _validate_dimension_limit(self, new_dimensions: dict[str, str]) -> None:
        names = {*self.dimension_set, *new_dimensions}
        names.update(*self.dimension_sets)
        if len(names) > MAX_DIMENSIONS:
            message = f"Maximum dimensions ({MAX_DIMENSIONS}) exceeded"
            raise SchemaValidationError(message)

    @override
    def set_default_dimensions(self, **dimensions: Any) -> None:
        """Add dimensions that outlive a flush."""
        for name, value in dimensions.items():
            self.add_dimension(name, value)
        self.default_dimensions.update(dimensions)

    @override
    def clear_metrics(self) -> None:
        """Forget values, dimensions and metadata; default dimensions stay."""
        self.metric_set.clear()
        self.dimension_set.clear()
        self.dimension_sets.clear()
        self.metadata_set.clear()
        self._seen.clear()
        if self.default_dimensions:
            self.set_default_dimensions(**self.default_dimensions)

    @override
    def serialize_metric_set(
        self,
        metrics: dict[str, Any] | None = None,
        dimensions: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Any:
        """What a flush would send: an OTLP/JSON ``ExportMetricsServiceRequest``.

        Nothing is sent or cleared.

        Raises:
            SchemaValidationError: There are no metrics, or there is no namespace.
        """
        from powertools_otel.metrics._preview import preview

        return preview(self._outlet, self._flush(metrics, dimensions, metadata))

    @override
    def flush_metrics(self, raise_on_empty_metrics: bool = False) -> None:
        """Publish what was added: with the invocation's end, or at once outside one.

        Where metrics are disabled, what was added is forgotten (EMF keeps it for
        ever). Never raises because of the export.

        Raises:
            SchemaValidationError: There are no metrics and
                ``raise_on_empty_metrics`` is set, or there is no namespace.
        """
        with self._publishing:
            rescued = bool(self._rescued)
            if rescued:
                self._return_late_values()
            if rescued and not self.metric_set:
                self.clear_metrics()
            elif not raise_on_empty_metrics and not self.metric_set:
                warnings.warn(_EMPTY, stacklevel=2)
            elif _sink.is_disabled():
                self.clear_metrics()
            else:
                self._record(self._flush())
                self.clear_metrics()
                _sink.flush_now()

    @override
    def log_metrics(
        self,
        lambda_handler: Callable[..., Any] | None = None,
        capture_cold_start_metric: bool = False,
        raise_on_empty_metrics: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Decorate a handler, sync or async: its metrics are flushed after it.

        Args:
            lambda_handler: The handler.
            capture_cold_start_metric: Add ``ColdStart`` in a cold environment,
                whether the handler succeeds or fails.
            raise_on_empty_metrics: Raise if there are none, unless the handler did.
            **kwargs: ``default_dimensions``; others are ignored, as in Powertools.
        """
        default_dimensions = kwargs.get("default_dimensions")
        if default_dimensions:
            self.set_default_dimensions(**default_dimensions)
        if lambda_handler is None:
            return functools.partial(
                self.log_metrics,
                capture_cold_start_metric=capture_cold_start_metric,
                raise_on_empty_metrics=raise_on_empty_metrics,
                default_dimensions=default_dimensions,
            )

        if capture_cold_start_metric:
            # Now, while the function initialises, not in its first invocation.
            import_module("powertools_otel.metrics._single")

        def publish(context: Any) -> None:
            try:
                if capture_cold_start_metric:
                    self._add_cold_start_metric(context=unwrap(context))
            finally:
                self.flush_metrics(raise_on_empty_metrics=raise_on_empty_metrics)

        return _handler.decorated(lambda_handler, publish, self._rescue)

    @override
    def add_cold_start_metric(self, context: Any) -> None:
        """Publish ``ColdStart``, with its own dimensions only.

        Raises:
            SchemaValidationError: There is no namespace.
        """
        from powertools_otel.metrics._single import SingleMetric

        metric = SingleMetric(
            self.namespace,
            streams=self._streams,
            meter_provider=self._meter_provider,
            strict_emf=self._strict,
        )
        metric.add_metric("ColdStart", MetricUnit.Count, 1)
        name = resolve_cold_start_function_name(self.function_name, context)
        metric.add_dimension("function_name", name)
        if self.service:
            metric.add_dimension("service", str(self.service))
        metric.flush_metrics()

    def _rescue(self) -> None:
        """Record what is buffered; another thread may be adding to it right now.

        Where that thread is publishing, it is done soon, and nothing is left to do;
        unless a signal has interrupted it, so that this thread must not wait for it.
        """
        if not self._publishing.acquire(timeout=_RESCUE_S):
            return
        try:
            taken = dict(self.metric_set)
            self.metric_set.clear()
            if _sink.is_disabled():
                return
            rescued = [(n, m, len(values_of(m))) for n, m in taken.items()]
            recorded = {
                name: {**metric, "Value": list(values_of(metric))[:count]}
                for name, metric, count in rescued
            }
            if recorded:
                try:
                    self._record(self._flush(recorded))
                except SchemaValidationError:
                    self.metric_set.update(taken)  # for the function to hear of
                    return
                self._rescued += rescued
        finally:
            self._publishing.release()

    def _return_late_values(self) -> None:
        """Put back what was added to rescued entries after they had been recorded.

        A thread, or what a signal interrupted, may have been about to append to one.
        """
        rescued, self._rescued = self._rescued, []
        for name, metric, count in rescued:
            late = values_of(metric)[count:]
            if late:
                entry = self.metric_set.setdefault(name, {**metric, "Value": []})
                entry["Value"][:0] = late

    def _flush(
        self,
        metrics: dict[str, Any] | None = None,
        dimensions: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> _publishing.Flush:
        return _publishing.flush(
            self,
            self._streams,
            metrics,
            dimensions,
            metadata,
            further=self.dimension_sets,
            merge=self._settings.dimension_sets == "merged",
            seen=self._seen,
        )

    def _record(self, flush: _publishing.Flush) -> None:
        recorder = self._outlet.recorder(self._meter_provider)
        if recorder is not None:
            with harmless("record metrics"):
                recorder.record(flush.recordings, flush.attribute_sets, flush.timestamp)


def _chosen(
    words: Mapping[str, str | None], kinds: Mapping[str, str] | None
) -> dict[str, Any]:
    """Settings given as arguments, checked as those of the environment are."""
    environ = {
        f"POWERTOOLS_OTEL_{name}": word
        for name, word in words.items()
        if word is not None
    }
    read = Settings.from_env(environ)
    explicit: dict[str, Any] = {
        name.lower(): getattr(read, name.lower())
        for name, word in words.items()
        if word is not None
    }
    if kinds is not None:
        explicit["metric_kinds"] = {
            name: kind for name, kind in kinds.items() if _is_kind(name, kind)
        }
    return explicit


def _is_kind(name: str, kind: str) -> bool:
    if kind in KINDS:
        return True
    warn_once(
        "metrics:kinds",
        "The kind of the metric %.100r is %.100r: it must be %s. Going on without it.",
        name,
        kind,
        " | ".join(KINDS),
    )
    return False
