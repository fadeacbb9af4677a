"""OTLP/JSON lines that CloudWatch Logs does not cut."""

from __future__ import annotations

import io
import json
import sys
import time
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.delivery.conftest import ListSource, assert_balanced

from powertools_otel._delivery import Batch, Delivery
from powertools_otel._delivery._stdout import LINE_LIMIT, lines
from powertools_otel._otlp import encoding
from powertools_otel._settings import Settings


def flush(delivery: Delivery) -> None:
    delivery.flush(time.monotonic() + 30)


@pytest.fixture
def source() -> ListSource:
    return ListSource()


@pytest.fixture
def delivery(source: ListSource) -> Delivery:
    made = Delivery(Settings(), {})
    made.attach("traces", source, encoding("http/json"), to_stdout=True)
    return made


def span_names(out: str) -> list[list[str]]:
    """The names of the spans in every line."""
    return [
        [
            span["name"]
            for outer in json.loads(line)["resourceSpans"]
            for inner in outer["scopeSpans"]
            for span in inner["spans"]
        ]
        for line in out.splitlines()
    ]


def test_every_flush_is_one_line(
    source: ListSource, delivery: Delivery, capfd: pytest.CaptureFixture[str]
) -> None:
    print("printed before, ", end="")
    source.add("a", as_json=True)
    source.add("b", "c", as_json=True)
    flush(delivery)
    source.add("d", as_json=True)
    flush(delivery)
    out = capfd.readouterr().out.removeprefix("printed before, ")
    assert out.endswith("\n")
    assert span_names(out) == [["a", "b", "c"], ["d"]]
    assert delivery.statistics()["traces"] == (4, 4, 0, 0, 0)


def test_an_empty_flush_writes_nothing(
    delivery: Delivery, capfd: pytest.CaptureFixture[str]
) -> None:
    flush(delivery)
    assert capfd.readouterr().out == ""


def test_no_line_exceeds_a_log_event(
    source: ListSource, delivery: Delivery, capfd: pytest.CaptureFixture[str]
) -> None:
    """Several batches, and one far larger than a line: all records, all valid."""
    wanted = [f"{number}-{'é' * 100}" for number in range(9_000)]
    source.add(*wanted[:8_000], as_json=True)
    source.add(*wanted[8_000:], as_json=True)
    flush(delivery)
    out = capfd.readouterr().out
    assert max(len(line.encode()) + 1 for line in out.splitlines()) <= LINE_LIMIT
    assert list(chain(*span_names(out))) == wanted
    assert delivery.statistics()["traces"].sent == 9_000


def test_a_record_beyond_the_limit_is_still_written(
    source: ListSource, delivery: Delivery, capfd: pytest.CaptureFixture[str]
) -> None:
    source.add("a", "x" * LINE_LIMIT, "b", as_json=True)
    flush(delivery)
    found = span_names(capfd.readouterr().out)
    assert [[name[:2] for name in line] for line in found] == [["a"], ["xx"], ["b"]]


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_a_replaced_or_missing_stdout_is_no_problem(
    stream: io.StringIO | None,
    source: ListSource,
    delivery: Delivery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A text stream is written to; where there is none, nothing is raised."""
    monkeypatch.setattr(sys, "stdout", stream)
    source.add("a", as_json=True)
    flush(delivery)
    counted = delivery.statistics()["traces"]
    if stream is None:
        assert counted.retained == 1
    else:
        assert span_names(stream.getvalue()) == [["a"]]
        assert counted.sent == 1


def test_a_broken_stdout_keeps_the_telemetry(
    source: ListSource, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    source.add("a", as_json=True)
    flush(delivery)
    assert delivery.statistics()["traces"] == (1, 0, 1, 0, 0)
    assert_balanced(delivery.statistics()["traces"])


names = st.text(max_size=20)
spans = st.lists(st.fixed_dictionaries({"name": names}), max_size=12)
points = st.lists(st.fixed_dictionaries({"asInt": st.integers(0, 9).map(str)}))


def resources(signal: str, scope: str, records: str, record: Any) -> Any:
    scopes = st.fixed_dictionaries(
        {
            "scope": st.fixed_dictionaries({"name": names}),
            records: st.lists(record, max_size=6),
        }
    )
    outer = st.fixed_dictionaries(
        {
            "resource": st.fixed_dictionaries({"attributes": st.just([])}),
            scope: st.lists(scopes, max_size=4),
        }
    )
    return st.fixed_dictionaries({signal: st.lists(outer, max_size=4)})


metrics = st.builds(
    lambda name, kind, data: {"name": name, kind: {"dataPoints": data}},
    names,
    st.sampled_from(["sum", "gauge", "histogram", "exponentialHistogram"]),
    points,
)


def flatten(request: Any, path: list[str]) -> list[str]:
    """Every record with all that surrounds it."""
    found: list[str] = []
    for outer in request[path[0]]:
        for inner in outer[path[1]]:
            for record in inner[path[2]]:
                surroundings = [outer["resource"], inner["scope"]]
                kinds = [key for key in record if key != "name"]
                parts = record[kinds[0]]["dataPoints"] if kinds else [None]
                found += [json.dumps([surroundings, record["name"], p]) for p in parts]
    return found


@given(
    resources(
        "resourceSpans", "scopeSpans", "spans", st.fixed_dictionaries({"name": names})
    ),
    st.integers(50, 400),
)
def test_divided_spans_are_the_same_spans(request_: Any, limit: int) -> None:
    check(request_, limit, ["resourceSpans", "scopeSpans", "spans"])


@settings(max_examples=40)
@given(
    resources("resourceMetrics", "scopeMetrics", "metrics", metrics),
    st.integers(50, 400),
)
def test_divided_metrics_are_the_same_points(request_: Any, limit: int) -> None:
    check(request_, limit, ["resourceMetrics", "scopeMetrics", "metrics"])


def check(request: Any, limit: int, path: list[str]) -> None:
    """Nothing lost, doubled or moved; only single records exceed the limit."""
    body = json.dumps(request).encode()
    written = list(lines(body, limit))
    parts = [json.loads(line) for line in written]
    assert list(chain(*(flatten(part, path) for part in parts))) == flatten(
        request, path
    )
    for line, part in zip(written, parts, strict=True):
        assert b"\n" not in line
        assert len(line) < limit or len(flatten(part, path)) <= 1


def test_batches_of_both_signals_are_framed_by_their_names(
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = ListSource("metrics")
    delivery = Delivery(Settings(), {})
    delivery.attach("metrics", source, encoding("http/json"), to_stdout=True)
    source.recorded += 1
    source._batches.append(Batch(b'{"scopeMetrics":[]}', 1))
    flush(delivery)
    assert json.loads(capfd.readouterr().out) == {
        "resourceMetrics": [{"scopeMetrics": []}]
    }
