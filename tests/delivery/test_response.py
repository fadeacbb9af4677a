"""The endpoints' small messages, read without protobuf, compared with protobuf."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

from powertools_otel._delivery._outcome import of_http, retry_after
from powertools_otel._delivery._response import (
    error_message,
    partial_success,
    printable,
    retry_delay,
)

PROTOBUF, JSON = "application/x-protobuf", "application/json"
counts = st.integers(0, 2**63 - 1)


@given(counts, st.text(max_size=50))
def test_partial_success_is_read_as_protobuf_writes_it(count: int, text: str) -> None:
    """Both signals, both formats, any count and any message."""
    spans, points = ExportTraceServiceResponse(), ExportMetricsServiceResponse()
    spans.partial_success.rejected_spans = count
    points.partial_success.rejected_data_points = count
    for answer in (spans, points):
        answer.partial_success.error_message = text
        expected = (count, printable(text))
        assert partial_success(answer.SerializeToString(), PROTOBUF) == expected
        as_json = json_format.MessageToJson(answer).encode()
        assert partial_success(as_json, f"{JSON}; charset=utf-8") == expected


@given(st.binary(max_size=60), st.sampled_from([PROTOBUF, JSON, "text/plain", ""]))
def test_any_bytes_are_read_without_an_exception(body: bytes, kind: str) -> None:
    """A status of 200 with nonsense in the body is a success all the same."""
    rejected, message = partial_success(body, kind)
    assert rejected >= 0
    assert message.isprintable()
    assert error_message(body, kind).isprintable()
    delay = retry_delay(body)
    assert delay is None or delay >= 0


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["partialSuccess", "message"]), json_values)
    | st.builds(
        lambda a, b: {"partialSuccess": {"rejectedSpans": a, "errorMessage": b}},
        json_values,
        json_values,
    )
    | json_values
)
def test_any_json_is_read_without_an_exception(value: object) -> None:
    body = json.dumps(value).encode()
    assert partial_success(body, JSON)[0] >= 0
    assert error_message(body, JSON).isprintable()


@given(st.floats(0, 1e6))
def test_retry_info_is_read_as_protobuf_writes_it(seconds: float) -> None:
    status, info = status_pb2.Status(code=14), error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="other"))
    status.details.add().Pack(info)
    assert retry_delay(status.SerializeToString()) == pytest.approx(seconds, abs=1e-6)


def test_the_message_of_an_error_is_told_on_one_line() -> None:
    status = status_pb2.Status(code=3, message="no\nsuch \x1b[31mtenant")
    assert error_message(status.SerializeToString(), PROTOBUF) == (
        ": no such ?[31mtenant"
    )
    assert error_message(b'{"message": "no"}', JSON) == ": no"
    assert error_message(b"<html>", "text/html") == ""
    assert len(error_message(b"x" * 10_000, "text/plain")) < 600


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "delivered") for status in (200, 202, 204, 299)),
        *((status, "retry") for status in (429, 502, 503, 504)),
        *((status, "rejected") for status in (101, 301, 307, 400, 401, 403, 404)),
        *((status, "rejected") for status in (408, 413, 500, 501, 505, 599, 600)),
    ],
)
def test_every_status_has_the_outcome_of_the_specification(
    status: int, kind: str
) -> None:
    """Only 429, 502, 503 and 504 are sent again; redirects are not followed."""
    outcome = of_http(status, {}, b"", "http://h:1")
    assert outcome.kind == kind
    assert outcome.too_large is (status == 413)
    if kind != "delivered":
        assert str(status) in outcome.message
        assert "http://h:1" in outcome.message
    assert ("redirect" in outcome.message) is (300 <= status < 400)


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("120") == 120
    assert retry_after(" 0 ") == 0
    assert retry_after("9" * 50) == 999_999_999
    date = formatdate(time.time() + 60, usegmt=True)
    assert retry_after(date) == pytest.approx(60, abs=2)
    assert retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    for nonsense in (None, "", "soon", "-1", "1.5", "²", "Fri, 99 Dec 99999 1:1:1 GMT"):
        assert retry_after(nonsense) is None or retry_after(nonsense) == 0
