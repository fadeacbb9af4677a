"""Encoded spans, read back through the official protobuf messages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode
from tests.otlp.reference import (
    ENCODINGS,
    all_spans,
    official_spans,
    only_span,
    parse,
)
from tests.support.strategies import KeepingProcessor, sdk_spans

CONTEXT = SpanContext(0xA1, 0xB2, is_remote=False)
RESOURCE = Resource({"service.name": "orders"})

encodings = pytest.mark.parametrize("encoder", ENCODINGS.values(), ids=ENCODINGS)


def span(name="work", context=CONTEXT, **fields) -> ReadableSpan:
    fields.setdefault("resource", RESOURCE)
    return ReadableSpan(name, context, **fields)


def encoded(encoder, *spans):
    return parse(encoder, "traces", encoder.encode_spans(spans))


@encodings
@settings(deadline=None)
@given(spans=sdk_spans())
def test_real_spans_equal_the_official_encoding(encoder, spans):
    """Every field of spans from real providers arrives as the official encoder's."""
    assert encoded(encoder, *spans) == official_spans(spans)


@encodings
@settings(deadline=None, max_examples=30)
@given(first=sdk_spans(max_providers=1), second=sdk_spans(max_providers=1))
def test_fragments_join_into_one_request(encoder, first, second):
    """Two fragments framed together are one request with the spans of both."""
    fragments = [encoder.encode_spans(first), encoder.encode_spans(second)]

    request = parse(encoder, "traces", *fragments)

    expected = official_spans(first)
    expected.MergeFrom(official_spans(second))
    assert request == expected


@encodings
def test_no_spans_make_an_empty_fragment(encoder):
    """Nothing recorded is an empty fragment, and its request is valid and empty."""
    assert encoder.encode_spans([]) == b""
    assert all_spans(encoded(encoder)) == []


@encodings
def test_equal_resources_of_two_providers_are_one_group(encoder):
    """Spans are grouped by what a resource says, not by which object it is."""
    kept = KeepingProcessor()
    for name in ("first", "second"):
        provider = TracerProvider(
            resource=Resource({"service.name": "orders"}), shutdown_on_exit=False
        )
        provider.add_span_processor(kept)
        provider.get_tracer("lib", "1").start_span(name).end()

    request = encoded(encoder, *kept.spans)

    assert request == official_spans(kept.spans)
    assert len(request.resource_spans) == 1


@encodings
def test_resources_that_only_look_alike_stay_apart(encoder):
    """``1`` and ``True`` are equal in Python but not as attributes."""
    spans = [span(resource=Resource({"canary": canary})) for canary in (1, True)]

    assert encoded(encoder, *spans) == official_spans(spans)


@encodings
def test_more_resources_and_scopes_than_are_remembered(encoder):
    """Remembering encoded resources and scopes never mixes them up."""
    spans = [
        span(
            str(number),
            resource=Resource({"number": number}),
            instrumentation_scope=InstrumentationScope(f"scope {number}"),
        )
        for number in range(40)
    ]
    spans += reversed(spans)

    assert encoded(encoder, *spans) == official_spans(spans)


@encodings
def test_hand_made_spans_equal_the_official_encoding(encoder):
    """Spans without scope, parent, end or attributes are encoded as officially."""
    spans = [
        span(),
        span(status=None, start_time=5),
        span(events=[Event("e", None, 7)], links=[Link(CONTEXT, None)]),
        span(None, status=Status(StatusCode.OK)),
        span(parent=SpanContext(1, 0, is_remote=True)),
        span(attributes={"mutable": ["list"]}),
    ]

    assert encoded(encoder, *spans) == official_spans(spans)


@encodings
@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({"name": 42}, "name", "42"),
        ({"name": "a\ud800b"}, "name", "a\ufffdb"),
        ({"kind": None}, "kind", 0),
        ({"kind": "SERVER"}, "kind", 0),
        ({"start_time": -1}, "start_time_unix_nano", 0),
        ({"start_time": 2**64}, "start_time_unix_nano", 2**64 - 1),
        ({"start_time": 1.5, "end_time": 9}, "start_time_unix_nano", 1),
        ({"end_time": "late", "start_time": 3}, "end_time_unix_nano", 0),
        ({"context": None}, "trace_id", b""),
        (
            {"context": SpanContext(2**128 + 5, 1, False)},
            "trace_id",
            b"\0" * 15 + b"\5",
        ),
        ({"context": SpanContext(1, 2**64 + 5, False)}, "span_id", b"\0" * 7 + b"\5"),
        ({"context": SpanContext(1, -1, False)}, "span_id", b"\xff" * 8),
        (
            {"parent": SpanContext(1, 2**64 + 5, False)},
            "parent_span_id",
            b"\0" * 7 + b"\5",
        ),
    ],
    ids=str,
)
def test_fields_the_official_encoder_raises_on(encoder, fields, name, expected):
    """A field out of its range gets the nearest sensible value."""
    assert getattr(only_span(encoded(encoder, span(**fields))), name) == expected


@encodings
def test_event_and_status_fields_the_official_encoder_raises_on(encoder):
    """Odd events and statuses are repaired, and the rest of the span is kept."""

    class Broken(Status):
        description = 42

    result = only_span(
        encoded(
            encoder,
            span(events=[Event(17, {"a": 1}, -5)], status=Broken(StatusCode.ERROR)),
        )
    )

    [event] = result.events
    assert (event.name, event.time_unix_nano) == ("17", 0)
    assert event.attributes[0].value.int_value == 1
    assert result.status.message == "42"


@encodings
def test_attributes_may_be_any_mapping(encoder):
    """Attributes are read through the mapping interface alone."""

    class Plain(Mapping):
        def __getitem__(self, key):
            return {"a": 1, "b": "two"}[key]

        def __iter__(self):
            return iter("ab")

        def __len__(self):
            return 2

    spans = [span(attributes=Plain()), span(attributes=MappingProxyType(Plain()))]

    assert encoded(encoder, *spans) == official_spans(spans)


@encodings
def test_a_span_that_raises_is_left_out_alone(encoder, caplog):
    """One unreadable span costs neither an exception nor the other spans."""

    class Unreadable(ReadableSpan):
        @property
        def events(self):
            raise RuntimeError("no events for you")

    caplog.set_level("DEBUG", "powertools_otel")
    spans = [
        span("before"),
        Unreadable("bad", CONTEXT, resource=RESOURCE),
        span("after"),
    ]

    request = encoded(encoder, *spans)

    assert [item.name for item in all_spans(request)] == ["before", "after"]
    assert "Could not encode a span" in caplog.text
