"""Where metrics meet the rest of the process: its pipeline and its invocation."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics.functions import is_metrics_disabled
from aws_lambda_powertools.shared import constants

from powertools_otel import _invocation
from powertools_otel._guard import harmless, logger
from powertools_otel._settings import Settings, choice
from powertools_otel.metrics._store import MetricStore
from powertools_otel.metrics._streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Protocol

    from opentelemetry.metrics import MeterProvider

    from powertools_otel._otlp._model import Resource, Scope
    from powertools_otel._pipeline import Pipeline
    from powertools_otel.metrics._instruments import Instruments
    from powertools_otel.metrics._store import Recording

    class Recorder(Protocol):
        """Takes the values of one flush: our store, or someone's instruments."""

        def record(
            self,
            recordings: Iterable[Recording],
            attribute_sets: Iterable[Mapping[str, str]],
            timestamp: int | None = None,
        ) -> None:
            """Take in values, each under all the attribute sets."""
            ...


TEMPORALITIES = ("delta", "cumulative", "lowmemory")
"""``lowmemory`` is delta for everything that we send (OTLP exporter specification)."""

AGGREGATIONS = (
    "explicit_bucket_histogram",
    "base2_exponential_bucket_histogram",
)
EXEMPLAR_FILTERS = ("trace_based", "always_on", "always_off")


_DISABLING = tuple(
    os.fsencode(name) if os.supports_bytes_environ else name
    for name in (constants.METRICS_DISABLED_ENV, constants.POWERTOOLS_DEV_ENV)
)


class Outlet:
    """What metrics need of the process they are recorded in.

    Args:
        store: Where values wait for the end of the invocation.
        settings: Ours.
        exponential: Whether histograms are base-2 exponential.
        exemplars: Which spans become exemplars, one of ``EXEMPLAR_FILTERS``.
        sends: Whether metrics are exported at all.
        flush: Sends what is recorded, within the setting's bound. Never raises.
        before_flush: Has a hook called at every flush, with its deadline in s on
            ``time.monotonic()``'s clock.
        resource: Who sends.
    """

    def __init__(
        self,
        store: MetricStore,
        settings: Settings | None = None,
        *,
        exponential: bool = False,
        exemplars: str = EXEMPLAR_FILTERS[0],
        sends: bool = True,
        flush: Callable[[], None] = lambda: None,
        before_flush: Callable[[Callable[[float], None]], None] = lambda _hook: None,
        resource: Callable[[], Resource | None] = lambda: None,
    ) -> None:
        self.store = store
        self.settings = settings or Settings()
        self.exponential = exponential
        self.exemplars = exemplars
        self.sends = sends
        self.flush = flush
        self.resource = resource
        self.streams = Streams(self.settings, exponential=exponential)
        self._before_flush = before_flush
        self._foreign: dict[int, Instruments] = {}

    def recorder(self, given: MeterProvider | None) -> Recorder | None:
        """Where values go: None where nothing is exported.

        Args:
            given: The MeterProvider that the application handed us. Without one, a
                global one that has a reader is used, else our own store.
        """
        provider = given if given is not None else exporting_global()
        if provider is None:
            return self.store if self.sends else None
        foreign = self._foreign.get(id(provider))
        if foreign is None:
            from powertools_otel.metrics._instruments import Instruments

            logger.info("Metrics go through the instruments of %r", type(provider))
            foreign = self._foreign[id(provider)] = Instruments(provider)
            self._before_flush(foreign.flush)
        return foreign


_outlet: Outlet | None = None
_began = time.time_ns()


def outlet(service: str | None = None) -> Outlet:
    """The process's outlet, made at the first call.

    Args:
        service: The service name the application gave, for the resource.
    """
    global _outlet
    if _outlet is None:
        try:
            _outlet = _connected(service)
        except Exception:  # noqa: BLE001 - must not fail the function's import
            logger.exception("Metrics cannot be sent")
            _outlet = Outlet(MetricStore(), sends=False)
    return _outlet


def use(replacement: Outlet | None) -> None:
    """Replace the process's outlet, for tests; ``None`` lets it be made anew."""
    global _outlet
    _outlet = replacement


def restart() -> None:
    """Begin anew after a fork or a SnapStart restore."""
    global _began
    _began = time.time_ns()
    _rescues.clear()
    if _outlet is not None:
        _outlet.store.restart()


def store(environ: Mapping[str, str]) -> MetricStore:
    """An empty store with the temporality that the environment asks for."""
    preference = choice(
        environ,
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        TEMPORALITIES,
        TEMPORALITIES[0],
    )
    return MetricStore(cumulative=preference == "cumulative", start=_began)


def is_exponential(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for base-2 exponential histograms."""
    name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    return choice(environ, name, AGGREGATIONS, AGGREGATIONS[0]) == AGGREGATIONS[1]


def exemplar_filter(environ: Mapping[str, str]) -> str:
    """Which spans become exemplars: ``OTEL_METRICS_EXEMPLAR_FILTER``."""
    name = "OTEL_METRICS_EXEMPLAR_FILTER"
    return choice(environ, name, EXEMPLAR_FILTERS, EXEMPLAR_FILTERS[0])


def _connected(service: str | None) -> Outlet:
    """Attach a store to the process's pipeline."""
    from powertools_otel import _pipeline
    from powertools_otel.metrics._source import MetricSource

    environ = os.environ
    pipeline = _pipeline.get()
    pipeline.resource(service)
    pipeline.on_interruption.append(lambda _: rescue())
    pipeline.on_restart.append(lambda _: restart())
    made = Outlet(
        store=store(environ),
        settings=pipeline.settings,
        exponential=is_exponential(environ),
        exemplars=exemplar_filter(environ),
        sends=bool(pipeline.exporters("metrics")),
        flush=lambda: pipeline.flush(invocation=_invocation.current()),
        before_flush=_unless_enclosed(pipeline),
        resource=_ResourceOf(pipeline.resource),
    )
    if made.sends:
        encode = pipeline.encoding("metrics").encode_metrics

        def encoded(scopes: Sequence[Scope]) -> bytes:
            return encode(made.resource(), scopes)  # type: ignore[arg-type]

        pipeline.attach("metrics", MetricSource(made.store, encoded))
    return made


def _unless_enclosed(pipeline: Pipeline) -> Callable[[Callable[[float], None]], None]:
    """Have a hook called at flushes that nobody around the invocation does anyway."""

    def before_flush(hook: Callable[[float], None]) -> None:
        def guarded(deadline: float) -> None:
            if not pipeline.enclosed:
                hook(deadline)

        pipeline.before_flush.append(guarded)
        pipeline.sends = True

    return before_flush


class _ResourceOf:
    """The pipeline's resource attributes as one object for as long as they last.

    Encoders remember what they made of a resource object.
    """

    def __init__(self, attributes: Callable[[], dict[str, Any]]) -> None:
        self._attributes = attributes
        self._known: dict[str, Any] | None = None
        self._resource: Resource | None = None

    def __call__(self) -> Resource:
        from powertools_otel._otlp._model import Resource
        from powertools_otel._resource import SCHEMA_URL

        attributes = self._attributes()
        if self._resource is None or attributes is not self._known:
            self._known = attributes
            self._resource = Resource(attributes, SCHEMA_URL)
        return self._resource


class Frame:
    """A decorated handler that runs: part of an invocation, or all of it.

    Closing the outermost frame of an invocation sends what was recorded.

    Args:
        event: The handler's event.
        context: Its Lambda context.
        rescue: Records what is buffered, if the invocation is about to be killed.
    """

    __slots__ = ("_scope",)

    def __init__(
        self, event: object, context: object, rescue: Callable[[], None]
    ) -> None:
        self._scope = _invocation.scope(event, context)
        self._scope.__enter__()
        _rescues[id(self)] = rescue

    def close(self) -> None:
        """The handler is done."""
        _rescues.pop(id(self), None)
        self._scope.__exit__(None, None, None)


_rescues: dict[int, Callable[[], None]] = {}


def rescue() -> None:
    """Record what running handlers have buffered: Lambda is about to kill them.

    For a flush shortly before the function's timeout, or on SIGTERM. Values keep the
    dimensions they have by then.
    """
    for each in list(_rescues.values()):
        with harmless("rescue metrics"):
            each()


def is_disabled() -> bool:
    """Whether the environment disables metrics by now, as Powertools decides.

    Raises:
        ValueError: A variable says neither yes nor no.
    """
    # Asked at each flush, and nearly always neither variable is set: os.environ takes
    # 2 us to find that out, the dictionary it keeps a tenth of it.
    variables: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    if variables is not None and variables.keys().isdisjoint(_DISABLING):
        return False
    return is_metrics_disabled()


def flush_now() -> None:
    """Send at once where no invocation runs whose end would send."""
    if _invocation.current() is None and _invocation.latest() is None:
        with harmless("flush metrics"):
            outlet().flush()


def exporting_global() -> MeterProvider | None:
    """The global MeterProvider, if it has a reader and so can export at all.

    ADOT under ``OTEL_METRICS_EXPORTER=none`` installs one that has none: it answers
    True to everything and swallows the data. The SDK has no public way to ask, so a
    provider that does not show its readers counts as one without.
    """
    if "opentelemetry.sdk.metrics" not in sys.modules:
        return None  # then nobody has made an SDK MeterProvider
    from opentelemetry.metrics import get_meter_provider

    provider = get_meter_provider()
    given = getattr(provider, "_metric_readers", None)
    consumer = getattr(provider, "_measurement_consumer", None)
    added = getattr(consumer, "_reader_storages", None)
    return provider if given or added else None
