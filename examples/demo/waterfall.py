"""Draws a trace as a waterfall for a terminal, and metrics as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_KINDS = ("", "", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_ERROR = 2
_MILLISECOND = 1e6


class Style(NamedTuple):
    """Escape sequences, or empty texts where the terminal wants none."""

    bold: str = ""
    dim: str = ""
    bad: str = ""
    good: str = ""
    off: str = ""


PLAIN = Style()
COLOUR = Style("\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[36m", "\x1b[0m")


class Row(NamedTuple):
    """One span and how deep it hangs."""

    span: Any
    depth: int
    last: bool


def draw(
    spans: Sequence[Any], *, width: int = 100, style: Style = PLAIN
) -> Iterator[str]:
    """The lines of a waterfall: name, bar, duration, status and attributes.

    Args:
        spans: ``opentelemetry.proto.trace.v1.Span`` messages of one trace.
        width: Columns of the terminal.
        style: How to emphasise.
    """
    if not spans:
        yield "no spans arrived"
        return
    begin = min(span.start_time_unix_nano for span in spans)
    end = max(span.end_time_unix_nano for span in spans)
    rows = list(_rows(spans))
    label = max(len(_label(row)) for row in rows)
    bar = max(width - label - 14, 20)
    for row in rows:
        span = row.span
        failed = span.status.code == _ERROR
        colour = style.bad if failed else style.good
        drawn = _bar(span, begin, max(end - begin, 1), bar)
        took = (span.end_time_unix_nano - span.start_time_unix_nano) / _MILLISECOND
        yield (
            f"{style.bold}{_label(row):<{label}}{style.off} "
            f"{colour}{drawn}{style.off} {took:8.2f} ms"
        )
        for line in _details(span):
            indent = " " * (2 * row.depth + 4)
            room = width - len(indent)
            text = line if len(line) <= room else line[: room - 1] + "…"
            mark = style.bad if line.startswith(("ERROR", "exception")) else style.dim
            yield f"{indent}{mark}{text}{style.off}"


def _rows(spans: Sequence[Any]) -> Iterator[Row]:
    known = {span.span_id for span in spans}
    children: dict[bytes, list[Any]] = {}
    for span in sorted(spans, key=lambda span: span.start_time_unix_nano):
        parent = span.parent_span_id if span.parent_span_id in known else b""
        children.setdefault(parent, []).append(span)

    def walk(parent: bytes, depth: int) -> Iterator[Row]:
        siblings = children.get(parent, [])
        for index, span in enumerate(siblings):
            yield Row(span, depth, last=index == len(siblings) - 1)
            yield from walk(span.span_id, depth + 1)

    return walk(b"", 0)


def _label(row: Row) -> str:
    kind = _KINDS[row.span.kind]
    name = f"{row.span.name} [{kind}]" if kind else row.span.name
    if row.depth == 0:
        return str(name)
    return "  " * (row.depth - 1) + ("└ " if row.last else "├ ") + name


def _bar(span: Any, begin: int, total: int, width: int) -> str:
    left = (span.start_time_unix_nano - begin) * width // total
    length = (span.end_time_unix_nano - span.start_time_unix_nano) * width // total
    length = max(min(length, width - left), 1)
    return ("·" * left + "█" * length).ljust(width, "·")[:width]


def _details(span: Any) -> Iterator[str]:
    if span.status.code == _ERROR:
        yield f"ERROR {span.status.message}".rstrip()
    for pair in span.attributes:
        yield f"{pair.key} = {value(pair.value)}"
    for event in span.events:
        facts = {pair.key: value(pair.value) for pair in event.attributes}
        yield f"{event.name}: {facts.get('exception.type', '')}"
    for link in span.links:
        yield f"link to {link.trace_id.hex()}"


def value(wire: Any) -> str:
    """An OTLP ``AnyValue`` as text."""
    kind = wire.WhichOneof("value")
    if kind == "array_value":
        return "[" + ", ".join(value(item) for item in wire.array_value.values) + "]"
    if kind is None:
        return "null"
    return str(getattr(wire, kind))


def table(metrics: Iterable[Any], *, style: Style = PLAIN) -> Iterator[str]:
    """The lines of a table of metrics: name, kind, value, unit, attributes.

    Args:
        metrics: ``opentelemetry.proto.metrics.v1.Metric`` messages.
        style: How to emphasise.
    """
    for metric in metrics:
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            facts: Mapping[str, str] = {
                pair.key: value(pair.value) for pair in point.attributes
            }
            listed = ", ".join(f"{key}={text}" for key, text in sorted(facts.items()))
            unit = f" {metric.unit}" if metric.unit else ""
            yield (
                f"{style.bold}{metric.name:<22}{style.off} {kind:<10} "
                f"{style.good}{_reading(kind, point)}{unit}{style.off}  "
                f"{style.dim}{listed}{style.off}"
            )


def _reading(kind: str, point: Any) -> str:
    if kind in ("sum", "gauge"):
        return f"{getattr(point, point.WhichOneof('value')):g}"
    return (
        f"n={point.count} sum={point.sum:.2f} min={point.min:.2f} max={point.max:.2f}"
    )
