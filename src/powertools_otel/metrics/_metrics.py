"""The facade: Powertools' ``Metrics``, with our provider behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from aws_lambda_powertools.metrics.metrics import Metrics as PowertoolsMetrics
from typing_extensions import override

from powertools_otel.metrics._provider import OTelMetricsProvider

if TYPE_CHECKING:
    from collections.abc import Callable

    from powertools_otel._otlp._model import Exemplar

    HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class Metrics(PowertoolsMetrics):
    """Powertools' ``Metrics``, sent over OTLP.

    Values, dimensions and metadata are shared by all instances, as in Powertools;
    not with Powertools' own ``Metrics``.

    Args:
        service: Added as a dimension; ``POWERTOOLS_SERVICE_NAME`` without one.
        namespace: ``POWERTOOLS_METRICS_NAMESPACE`` without one.
        provider: A provider of your own making, for its settings. Its values are its
            own. The other arguments, where given, are set on it.
        function_name: The cold start metric's dimension;
            ``POWERTOOLS_METRICS_FUNCTION_NAME``, then the context's, without one.
    """

    provider: OTelMetricsProvider

    # Powertools' own class attributes would be shared with its EMF Metrics.
    _metrics: dict[str, Any] = {}  # noqa: RUF012 - shared on purpose
    _dimensions: dict[str, str] = {}  # noqa: RUF012 - likewise
    _metadata: dict[str, Any] = {}  # noqa: RUF012 - likewise
    _default_dimensions: dict[str, Any] = {}  # noqa: RUF012 - likewise
    _seen: dict[str, Exemplar] = {}  # noqa: RUF012 - likewise

    # Powertools' __init__ is not called: it would make an EMF provider, or drop the
    # arguments that come with a provider.
    def __init__(
        self,
        service: str | None = None,
        namespace: str | None = None,
        provider: OTelMetricsProvider | None = None,
        function_name: str | None = None,
    ) -> None:
        if provider is None:
            provider = OTelMetricsProvider(
                namespace,
                service,
                function_name,
                default_dimensions=self._default_dimensions,
                metric_set=self._metrics,
                dimension_set=self._dimensions,
                metadata_set=self._metadata,
            )
            # Shared as the values are.
            provider._seen = self._seen  # noqa: SLF001 - our own class
        else:
            _apply(provider, service, namespace, function_name)
        self.provider = provider
        self.metric_set = provider.metric_set
        self.dimension_set = provider.dimension_set
        self.metadata_set = provider.metadata_set
        self.default_dimensions = provider.default_dimensions

    @override
    def serialize_metric_set(
        self,
        metrics: dict[str, Any] | None = None,
        dimensions: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Any:
        """What a flush would send: an OTLP/JSON ``ExportMetricsServiceRequest``.

        Raises:
            SchemaValidationError: There are no metrics, or there is no namespace.
        """
        return self.provider.serialize_metric_set(metrics, dimensions, metadata)

    @overload
    def log_metrics(
        self,
        lambda_handler: HandlerT,
        capture_cold_start_metric: bool = ...,  # noqa: FBT001 - Powertools' signature
        raise_on_empty_metrics: bool = ...,  # noqa: FBT001 - Powertools' signature
        default_dimensions: dict[str, str] | None = ...,
        **kwargs: Any,
    ) -> HandlerT: ...

    @overload
    def log_metrics(
        self,
        lambda_handler: None = ...,
        capture_cold_start_metric: bool = ...,  # noqa: FBT001 - Powertools' signature
        raise_on_empty_metrics: bool = ...,  # noqa: FBT001 - Powertools' signature
        default_dimensions: dict[str, str] | None = ...,
        **kwargs: Any,
    ) -> Callable[[HandlerT], HandlerT]: ...

    @overload
    def log_metrics(
        self,
        lambda_handler: Callable[..., Any] | None = ...,
        capture_cold_start_metric: bool = ...,  # noqa: FBT001 - Powertools' signature
        raise_on_empty_metrics: bool = ...,  # noqa: FBT001 - Powertools' signature
        default_dimensions: dict[str, str] | None = ...,
        **kwargs: Any,
    ) -> Callable[..., Any]: ...

    @override
    def log_metrics(
        self,
        lambda_handler: Callable[..., Any] | None = None,
        capture_cold_start_metric: bool = False,
        raise_on_empty_metrics: bool = False,
        default_dimensions: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Decorate a handler, sync or async: its metrics are flushed after it.

        Args:
            lambda_handler: The handler.
            capture_cold_start_metric: Add ``ColdStart`` in a cold environment,
                whether the handler succeeds or fails.
            raise_on_empty_metrics: Raise ``SchemaValidationError`` if there are no
                metrics, unless the handler raised.
            default_dimensions: Dimensions that outlive a flush.
            **kwargs: Ignored, as in Powertools.
        """
        return self.provider.log_metrics(
            lambda_handler=lambda_handler,
            capture_cold_start_metric=capture_cold_start_metric,
            raise_on_empty_metrics=raise_on_empty_metrics,
            default_dimensions=default_dimensions,
            **kwargs,
        )

    @override
    def add_dimensions(self, **dimensions: str) -> None:
        """Add a further set of dimensions; early Powertools 3 has no such call."""
        self.provider.add_dimensions(**dimensions)

    @override
    def set_default_dimensions(self, **dimensions: Any) -> None:
        """Add dimensions that outlive a flush."""
        self.provider.set_default_dimensions(**dimensions)

    @classmethod
    def _reset(cls) -> None:
        """Forget what the instances share, for tests."""
        cls._metrics.clear()
        cls._dimensions.clear()
        cls._metadata.clear()
        cls._default_dimensions.clear()
        cls._seen.clear()


def _apply(
    provider: OTelMetricsProvider,
    service: str | None,
    namespace: str | None,
    function_name: str | None,
) -> None:
    """Give a provider what ``Metrics`` was given beside it."""
    if namespace is not None:
        provider.namespace = namespace
    if service is not None:
        provider.service = service
    if function_name is not None:
        provider.function_name = function_name


class EphemeralMetrics(OTelMetricsProvider):
    """Metrics that share nothing with any other instance.

    Takes its arguments in the order of Powertools' ``EphemeralMetrics``.
    """

    def __init__(
        self,
        metric_set: dict[str, Any] | None = None,
        dimension_set: dict[str, Any] | None = None,
        namespace: str | None = None,
        metadata_set: dict[str, Any] | None = None,
        service: str | None = None,
        default_dimensions: dict[str, Any] | None = None,
        function_name: str | None = None,
    ) -> None:
        super().__init__(
            namespace,
            service,
            function_name,
            default_dimensions,
            metric_set=metric_set,
            dimension_set=dimension_set,
            metadata_set=metadata_set,
        )
