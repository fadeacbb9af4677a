"""The TracerProvider that instrumentations get: it decides at every span.

Instrumentations want a TracerProvider when a library is imported, which is before the
application has had its say about one. Here is also where ignored endpoints stay out,
for every HTTP client alike and whenever they were named.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, NoOpTracer, SpanKind
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span
    from opentelemetry.util._decorator import _AgnosticContextManager
    from opentelemetry.util.types import Attributes

    from powertools_otel.tracing import OTelTracingProvider

_NOTHING = NoOpTracer()
_URL_ATTRIBUTES = ("url.full", "http.url")


class Rule(NamedTuple):
    """An endpoint that is not traced: where both of them match, if both are given."""

    hostname: str | None
    """A glob of ``fnmatch``, without a port."""
    urls: tuple[str, ...] | None
    """Paths, with the query string if they have one, or whole URLs."""


_rules: list[Rule] = []
_source: OTelTracingProvider | None = None


def use(provider: OTelTracingProvider) -> None:
    """Have instrumentations make the spans that ``provider`` would make."""
    global _source
    _source = provider


def ignore(hostname: str | None, urls: Sequence[str] | None) -> None:
    """Make no spans, and pass no context on, for these HTTP requests."""
    rule = Rule(hostname, None if urls is None else tuple(urls))
    if rule not in _rules and rule != Rule(None, None):
        _rules.append(rule)


def forget() -> None:
    """Trace every endpoint, with no provider: as at first."""
    global _source
    _source = None
    _rules.clear()


def _used_by_tracers() -> OTelTracingProvider | None:
    """The provider of Powertools' Tracers, where none of them has patched yet."""
    upstream = sys.modules.get("aws_lambda_powertools.tracing.tracer")
    ours = sys.modules.get("powertools_otel.tracing")
    if upstream is None or ours is None:
        return None
    provider = upstream.Tracer._config["provider"]  # noqa: SLF001 - its only place
    return provider if isinstance(provider, ours.OTelTracingProvider) else None


def is_ignored(attributes: Mapping[str, Any] | None) -> bool:
    """Whether a span that begins with these attributes is of an ignored endpoint."""
    if not _rules or not attributes:
        return False
    for name in _URL_ATTRIBUTES:
        url = attributes.get(name)
        if isinstance(url, str):
            return any(_matches(rule, url) for rule in _rules)
    return False


def _matches(rule: Rule, url: str) -> bool:
    from fnmatch import fnmatch
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if rule.hostname is not None and not fnmatch(host, rule.hostname):
        return False
    if rule.urls is None:
        return True
    with_query = f"{parts.path}?{parts.query}"
    return not {url, parts.path, with_query}.isdisjoint(rule.urls)


class Tracers(trace.TracerProvider):
    """Hands out tracers that ask for the real one at every span."""

    @override
    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        return _Tracer(
            instrumenting_module_name,
            instrumenting_library_version,
            schema_url,
            attributes,
        )


class _Tracer(trace.Tracer):
    def __init__(self, *scope: Any) -> None:
        self._scope = scope
        self._provider: Any = None
        self._tracer: trace.Tracer = _NOTHING

    def _real(self, attributes: Attributes) -> trace.Tracer | None:
        """Who makes the span; None if its endpoint is ignored."""
        if is_ignored(attributes):
            return None
        source = _source or _used_by_tracers()
        if source is None:
            provider = trace.get_tracer_provider()
        elif source.enabled:
            provider = source.resolve().provider
        else:
            return _NOTHING
        if provider is not self._provider:
            self._provider = provider
            self._tracer = provider.get_tracer(*self._scope)
        return self._tracer

    @override
    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        tracer = self._real(attributes)
        if tracer is None:
            return INVALID_SPAN
        return tracer.start_span(
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )

    @override
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> _AgnosticContextManager[Span]:
        tracer = self._real(attributes)
        if tracer is None:
            # Current, so that nothing is injected into the request either.
            return trace.use_span(INVALID_SPAN)
        return tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
            end_on_exit,
        )
