"""Light spans are the SDK's spans in all that anybody can see of them."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from powertools_otel import OTelTracingProvider
from powertools_otel.tracing import _sdk
from powertools_otel.tracing._light_span import LightSpan, LightTracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry import trace

    Step = tuple[str, tuple[Any, ...]]

REMOTE = SpanContext(7, 9, True, TraceFlags(1), TraceState([("a", "b")]))
TIMES = {"start_time", "end_time", "timestamp"}


class Counting(IdGenerator):
    """Ids 1, 2, 3, so that two tracers give the same ones."""

    def __init__(self) -> None:
        self._next = itertools.count(1)

    def generate_span_id(self) -> int:
        return next(self._next)

    def generate_trace_id(self) -> int:
        return next(self._next)

    def is_trace_id_random(self) -> bool:
        return True


class Setup:
    """A provider with a memory, and the tracer under test."""

    def __init__(
        self, *, lightens: bool = True, sampler: Sampler | None = None, **more: Any
    ) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(
            resource=Resource({"service.name": "s"}),
            id_generator=Counting(),
            shutdown_on_exit=False,
            sampler=sampler,
            **more,
        )
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        tracer = self.provider.get_tracer("scope", "1")
        self.tracer = LightTracer(tracer, lightens=lightens)

    def warm(self) -> Setup:
        """Let it have seen its first span, which is the SDK's in any case."""
        self.tracer.start_span("first", Context()).end()
        self.exporter.clear()
        return self

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return tuple(self.exporter.get_finished_spans())


def test_with_the_sdk_that_is_installed_spans_are_light() -> None:
    """Else all is well but slow: the SDK's spans have changed, look at them anew."""
    setup = Setup().warm()

    assert type(setup.tracer.start_span("n", Context())) is LightSpan


def test_the_providers_own_spans_are_light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    provider = OTelTracingProvider()
    with provider.in_subsegment("outer"), provider.in_subsegment("inner") as inner:
        assert type(inner.span) is LightSpan


texts = st.text(max_size=8)
values = st.one_of(
    texts,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=4),
    st.lists(texts, max_size=3),
    st.lists(st.integers(), max_size=3).map(tuple),
    st.dictionaries(texts, st.integers(), max_size=2),
)
attributes = st.dictionaries(texts, values, max_size=4)
contexts = st.builds(
    SpanContext,
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**64 - 1),
    st.booleans(),
)
codes = st.sampled_from(StatusCode)
steps = st.one_of(
    st.tuples(st.just("set_attribute"), st.tuples(texts, values)),
    st.tuples(st.just("set_attributes"), st.tuples(attributes)),
    st.tuples(st.just("add_event"), st.tuples(texts, attributes)),
    st.tuples(st.just("add_link"), st.tuples(contexts, attributes)),
    st.tuples(st.just("set_status"), st.tuples(codes, st.none() | texts)),
    st.tuples(st.just("set_status"), st.tuples(codes.map(Status))),
    st.tuples(st.just("update_name"), st.tuples(texts)),
    st.tuples(st.just("record_exception"), st.tuples(texts.map(ValueError))),
    st.tuples(st.just("end"), st.tuples()),
    st.tuples(st.just("put"), st.tuples(st.dictionaries(texts, texts, max_size=3))),
)


@given(
    kind=st.sampled_from(SpanKind),
    began_with=st.none() | st.dictionaries(texts.filter(bool), texts, max_size=3),
    remote=st.booleans(),
    linked=st.booleans(),
    program=st.lists(steps, max_size=8),
)
def test_whatever_a_program_does_to_a_span_it_is_the_sdks_span_that_arrives(
    kind: SpanKind,
    began_with: dict[str, Any] | None,
    remote: bool,
    linked: bool,
    program: list[Step],
) -> None:
    """Attributes, events, links, status, ids, parents and what was dropped."""
    seen = []
    for lightens in (True, False):
        setup = Setup(lightens=lightens).warm()
        base = Context()
        if remote:
            base = set_span_in_context(NonRecordingSpan(REMOTE), base)
        outer = setup.tracer.start_span(
            "outer",
            base,
            kind,
            None if began_with is None else dict(began_with),
            [Link(REMOTE, {"k": "v"})] if linked else [],
        )
        assert isinstance(outer, LightSpan) is lightens
        inner = setup.tracer.start_span("inner", set_span_in_context(outer, base))
        during = [look(outer)]
        for name, arguments in program:
            during += [perform(outer, name, arguments), look(outer)]
        inner.end()
        if outer.is_recording():
            outer.end()
        encoded = encode_spans(setup.ended)
        for span in encoded.resource_spans[0].scope_spans[0].spans:
            span.ClearField("start_time_unix_nano")
            span.ClearField("end_time_unix_nano")
            for event in span.events:
                event.ClearField("time_unix_nano")
        seen.append((during, [look(span) for span in setup.ended], str(encoded)))

    assert seen[0] == seen[1]


def perform(span: Any, name: str, arguments: tuple[Any, ...]) -> object:
    """One step; a span of the SDK has no ``put``, which is its ``set_attributes``.

    Such a step's keys and values are ours: named, and what OTLP can carry.
    """
    if name == "put":
        arguments = ({key or "k": value for key, value in arguments[0].items()},)
        name = name if isinstance(span, LightSpan) else "set_attributes"
    return getattr(span, name)(*arguments)


def look(span: Any) -> object:
    """All of a span that can be read, but its times; attributes in any order."""
    events = [(event.name, dict(event.attributes or {})) for event in span.events]
    links = [(link.context, dict(link.attributes or {})) for link in span.links]
    dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
    return (
        *(
            repr(each)
            for each in (sorted(span.attributes.items(), key=repr), events, links)
        ),
        *(dropped, span.get_span_context(), span.context, span.parent, span.kind),
        *(span.name, span.status.status_code, span.status.description),
        *(span.resource, span.instrumentation_scope),
        *(span.start_time is None, span.end_time is None, as_json(span)),
    )


def as_json(span: Any) -> object:
    """The SDK's own JSON; it has none where an attribute is bytes."""
    try:
        shown = json.loads(span.to_json())
    except TypeError:
        return None
    for each in (shown, *shown["events"]):
        for time in TIMES & each.keys():
            each[time] = each[time] is not None
        each["attributes"] = sorted(each["attributes"].items(), key=repr)
    return repr(shown)


def test_attributes_beyond_the_limit_push_out_the_oldest_and_are_counted() -> None:
    span: Any = Setup().warm().tracer.start_span("n", Context(), attributes={"a": "b"})
    for number in range(200):
        span.put({f"k{number}": "v"})

    assert len(span.attributes) == 128
    assert span.dropped_attributes == 73
    assert "k199" in span.attributes


def test_a_span_that_has_ended_takes_nothing_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setup = Setup().warm()
    span: Any = setup.tracer.start_span("n", Context())
    span.end(5)
    span.put({"k": "v"})
    span.end(6)

    assert dict(span.attributes) == {}
    assert span.end_time == 5
    assert [each.name for each in setup.ended] == ["n"]
    assert [record.getMessage() for record in caplog.records] == [
        "Setting attribute on ended span.",
        "Calling end() on an ended span.",
    ]


def test_threads_lose_no_attribute_of_a_span_that_they_share() -> None:
    """While it turns from a light one to the SDK's, too."""
    for _ in range(20):
        span: Any = Setup().warm().tracer.start_span("n", Context())
        begin = threading.Barrier(2)

        def put(span: Any = span, begin: threading.Barrier = begin) -> None:
            begin.wait()
            for number in range(50):
                span.put({f"put{number}": "v"})

        def set_attributes(span: Any = span, begin: Any = begin) -> None:
            begin.wait()
            for number in range(50):
                span.set_attribute(f"set{number}", "v")

        threads = [threading.Thread(target=each) for each in (put, set_attributes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(span.attributes) == 100


def parented(flags: int, *, remote: bool) -> Context:
    context = SpanContext(7, 9, remote, TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(context), Context())


@pytest.mark.parametrize("remote", [True, False])
def test_a_parent_that_is_not_sampled_has_children_that_are_not(remote: bool) -> None:
    setup = Setup().warm()
    for flags in (0, 2):
        span = setup.tracer.start_span("n", parented(flags, remote=remote))
        assert not span.is_recording()
        assert span.get_span_context().trace_flags == flags


@pytest.mark.parametrize(
    ("sampler", "root", "remote", "local"),
    [
        (ParentBased(ALWAYS_ON), True, True, True),
        (ParentBased(TraceIdRatioBased(0)), False, True, True),
        (ParentBased(ALWAYS_OFF), False, True, True),
        (ParentBased(ALWAYS_ON, remote_parent_sampled=ALWAYS_OFF), True, False, True),
        (ParentBased(ALWAYS_ON, local_parent_sampled=ALWAYS_OFF), True, True, False),
        (ALWAYS_ON, True, True, True),
        (ALWAYS_OFF, False, False, False),
    ],
)
def test_a_sampler_decides_as_it_always_does(
    sampler: Sampler, root: bool, remote: bool, local: bool
) -> None:
    setup = Setup(sampler=sampler)
    for _ in range(2):
        spans = [
            setup.tracer.start_span("n", context)
            for context in (
                parented(1, remote=False),
                parented(1, remote=True),
                Context(),
            )
        ]
        assert [span.is_recording() for span in spans] == [local, remote, root]


@pytest.mark.parametrize(
    "limit",
    [
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    ],
)
def test_limits_of_the_user_are_the_sdks_to_keep(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(limit, "3")
    span = Setup().warm().tracer.start_span("n", Context())

    assert isinstance(span, ReadableSpan)
    assert not isinstance(span, LightSpan)


def test_more_links_than_a_span_may_have_are_the_sdks_to_count() -> None:
    links = [Link(REMOTE)] * 130
    span: Any = Setup().warm().tracer.start_span("n", Context(), links=links)

    assert len(span.links) == 128
    assert span.dropped_links == 2


def test_processors_of_the_user_see_each_span_begin_and_end() -> None:
    """As many as there are, whenever they were added."""

    class Watching(SpanProcessor):
        def __init__(self) -> None:
            self.calls: list[tuple[str, str, Any]] = []

        def on_start(
            self, span: trace.Span, parent_context: Context | None = None
        ) -> None:
            span.set_attribute("seen", True)
            self.calls.append(("start", span.name, parent_context))

        def _on_ending(self, span: trace.Span) -> None:
            self.calls.append(("ending", span.name, None))

        def on_end(self, span: ReadableSpan) -> None:
            assert span.end_time is not None
            self.calls.append(("end", span.name, None))

    setup = Setup().warm()
    watching = Watching()
    setup.provider.add_span_processor(watching)
    context = Context({"k": 1})
    setup.tracer.start_span("n", context).end()

    assert watching.calls == [
        ("start", "n", context),
        ("ending", "n", None),
        ("end", "n", None),
    ]
    assert dict(setup.ended[0].attributes or {}) == {"seen": True}


def of_an_application(monkeypatch: pytest.MonkeyPatch) -> _sdk.Resolved:
    return _sdk.resolved(TracerProvider(shutdown_on_exit=False), ours=False)


def counted_by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> _sdk.Resolved:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    return _sdk.resolved(TracerProvider(shutdown_on_exit=False), ours=True)


@pytest.mark.parametrize("resolve", [of_an_application, counted_by_the_sdk])
def test_some_providers_have_the_sdks_spans_only(
    resolve: Callable[[pytest.MonkeyPatch], _sdk.Resolved],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An application's own one, and one whose spans the SDK shall count."""
    spans = resolve(monkeypatch).spans
    for _ in range(2):
        assert not isinstance(spans.start_span("n", Context()), LightSpan)


def test_another_resource_is_that_of_the_spans_that_follow() -> None:
    """The SDK gives its tracers another one in a forked process."""
    setup = Setup().warm()
    other = Resource({"service.name": "other"})
    setup.provider._update_resource(other)
    span: Any = setup.tracer.start_span("n", Context())

    assert span.resource.attributes["service.name"] == "other"
