"""Which TracerProvider the spans come from: the application's, or one of ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from typing_extensions import override as implements

from powertools_otel import _pipeline, _resource
from powertools_otel._guard import harmless, logger, warn_once
from powertools_otel._version import VERSION
from powertools_otel.tracing._ids import SystemIdGenerator
from powertools_otel.tracing._light_span import LightTracer
from powertools_otel.tracing._processor import BufferingProcessor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Tracer as OTelTracer

    from powertools_otel._pipeline import Pipeline

SCOPE = "powertools_otel"
_INSTANCE = "service.instance.id"
_SPANS_ARE_COUNTED = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
_LIMITS = tuple(
    f"OTEL_{scope}_LIMIT"
    for scope in (
        "SPAN_ATTRIBUTE_COUNT",
        "SPAN_EVENT_COUNT",
        "SPAN_LINK_COUNT",
        "EVENT_ATTRIBUTE_COUNT",
        "LINK_ATTRIBUTE_COUNT",
        "ATTRIBUTE_COUNT",
        "ATTRIBUTE_VALUE_LENGTH",
        "SPAN_ATTRIBUTE_VALUE_LENGTH",
    )
)


class Resolved(NamedTuple):
    """The decision where spans come from."""

    tracer: OTelTracer
    """Of the provider."""
    spans: LightTracer
    """Begins its spans, sooner where the provider is ours."""
    provider: Any
    """The TracerProvider behind it."""
    ours: bool
    """Whether we made it: then we choose trace ids, and flush its spans."""


class _SharedResource(Resource):
    """A Resource whose hash is computed once; the SDK's serialises it each time.

    What it says can change with the process: the account id becomes known, a snapshot
    is restored. A TracerProvider keeps the Resource it was made with.
    """

    _hash: int | None = None

    def change(self, attributes: Mapping[str, Any]) -> None:
        """Say something else from now on, also of spans that have begun."""
        self.__dict__.update(
            _SharedResource(dict(attributes), self.schema_url).__dict__
        )
        self._hash = None

    @implements
    def merge(self, other: Resource) -> Resource:
        """As the SDK's; but who this instance is, we say.

        In a forked process the SDK (1.45) merges a new ``service.instance.id`` into
        what its providers were given. By then :meth:`change` has had one that metrics
        have too, or the user's own.
        """
        if set(other.attributes) == {_INSTANCE}:
            return self
        return super().merge(other)

    @implements
    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash


override: Resolved | None = None
"""What every provider uses instead of its own decision: set by tests only."""
_ours: TracerProvider | None = None
_processor: BufferingProcessor | None = None


def resolve(explicit: Any, service: str | None, *, set_global: bool) -> Resolved:
    """Decide once, at the first span, when the application has had its say.

    In this order: the TracerProvider given to us; the global one if it exports; one
    of our own, which becomes the global one if there is none.

    Args:
        explicit: The ``tracer_provider`` argument, or None.
        service: The service's name as Powertools knows it.
        set_global: Whether ours may become the global one.
    """
    if explicit is not None:
        return resolved(explicit, ours=explicit is _ours)
    existing = trace.get_tracer_provider()
    if _exports(existing) and not _is_forgotten(existing):
        return resolved(existing, ours=existing is _ours)
    provider = own_provider(service)
    if set_global and isinstance(existing, trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)
    return resolved(provider, ours=True)


def resolved(provider: Any, *, ours: bool) -> Resolved:
    """The decision for a provider.

    Args:
        provider: The TracerProvider.
        ours: Whether we made it.
    """
    tracer: OTelTracer = provider.get_tracer(
        SCOPE, VERSION, schema_url=_resource.SCHEMA_URL
    )
    counted = os.environ.get(_SPANS_ARE_COUNTED, "").strip().lower()
    lightens = ours and counted in ("", "false")
    return Resolved(tracer, LightTracer(tracer, lightens=lightens), provider, ours)


def own_provider(service: str | None = None) -> TracerProvider:
    """Our own TracerProvider, made at the first call."""
    global _ours, _processor
    if _ours is None:
        pipeline = _pipeline.get()
        _ours = TracerProvider(
            resource=_make_resource(pipeline, service),
            shutdown_on_exit=False,
            id_generator=SystemIdGenerator(),
            span_limits=_limits(os.environ),
        )
        _processor = _attach_exporters(_ours, pipeline)
    return _ours


def buffer() -> BufferingProcessor | None:
    """The processor that holds our ended and open spans, once there is one."""
    return _processor


def forget() -> None:
    """Drop our TracerProvider, for tests; the global one is not ours to drop."""
    global _ours, _processor, override
    _ours = _processor = override = None


def _is_forgotten(provider: Any) -> bool:
    """Whether it is one of ours from before :func:`forget`; its exporter is closed."""
    return provider is not _ours and isinstance(
        getattr(provider, "resource", None), _SharedResource
    )


def _exports(provider: Any) -> bool:
    """Whether spans given to this provider go somewhere.

    The API's own proxy and no-op providers do nothing; an SDK provider without
    processors records and forgets. The SDK has no public way to ask for these, so
    a provider that does not show them is taken to export.
    """
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return False
    active = getattr(provider, "_active_span_processor", None)
    processors = getattr(active, "_span_processors", None)
    return processors is None or len(processors) > 0


def _attach_exporters(
    provider: TracerProvider, pipeline: Pipeline
) -> BufferingProcessor | None:
    buffering = None
    for exporter in pipeline.exporters("traces"):
        if exporter == "console":
            from opentelemetry.sdk.trace.export import (
                ConsoleSpanExporter,
                SimpleSpanProcessor,
            )

            provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        elif buffering is None:
            buffering = BufferingProcessor(
                pipeline.encoding("traces").encode_spans,
                pipeline.settings.retention_items,
                pipeline.force_flush,
            )
            pipeline.attach("traces", buffering)
            pipeline.on_interruption.append(buffering.interrupt)
            pipeline.on_restart.append(buffering.restart)
            provider.add_span_processor(buffering)
    return buffering


def _make_resource(pipeline: Pipeline, service: str | None) -> Resource:
    attributes = pipeline.resource(service)
    schema_url = _resource.SCHEMA_URL
    detectors = os.environ.get("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "")
    detected: dict[str, Any] = {}
    if detectors.strip() not in ("", "otel"):
        with harmless("run the resource detectors"):
            found = Resource.create(attributes, schema_url)
            detected, schema_url = dict(found.attributes), found.schema_url
    resource = _SharedResource({**detected, **attributes}, schema_url)
    pipeline.on_resource.append(
        lambda changed: resource.change({**detected, **changed})
    )
    return resource


def _limits(environ: Mapping[str, str]) -> SpanLimits:
    """The SDK's span limits; where one is malformed, the SDK's defaults."""
    try:
        return SpanLimits()
    except ValueError as error:
        wrong = [name for name in _LIMITS if not _is_limit(environ.get(name, ""))]
        warn_once(
            "setting:limits",
            "%s: it must be an integer of at least 0. Going on without span limits "
            "from the environment (%s).",
            ", ".join(f"{name} is {environ[name][:50]!r}" for name in wrong),
            error,
        )
        unset = SpanLimits.UNSET
        return SpanLimits(128, 128, 128, 128, 128, 128, unset, unset)


def _is_limit(text: str) -> bool:
    return not text.strip() or text.strip().isdecimal()


def flush_foreign(provider: Any, timeout_s: float) -> None:
    """Ask the application's TracerProvider to send, and wait ``timeout_s`` at most.

    Its ``force_flush`` takes a timeout that the SDK's processors ignore (they may
    block for as long as their exporter retries), so it runs on a thread of its own.
    """
    flush = getattr(provider, "force_flush", None)
    if flush is None:
        return
    import threading

    def run() -> None:
        with harmless("flush the application's TracerProvider"):
            flush(int(timeout_s * 1000))

    thread = threading.Thread(target=run, name="powertools-otel-flush", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        logger.warning(
            "The application's TracerProvider did not flush within %.0f ms",
            timeout_s * 1000,
        )
