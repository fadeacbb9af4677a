"""What arrived at the receiver, in the words of somebody who looks at a backend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES = ("", "OK", "ERROR")


class Span(NamedTuple):
    """A span; `parent` is its parent's name, or the id if that has not arrived."""

    name: str
    kind: str
    parent: str
    trace_id: str
    span_id: str
    parent_id: str
    status: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    events: list[str]
    resource: dict[str, Any]

    @property
    def label(self) -> str:
        """Its name, and its kind unless that is INTERNAL."""
        return self.name if self.kind == "INTERNAL" else f"{self.name} [{self.kind}]"


class Point(NamedTuple):
    """A data point, whatever its kind: the sum of the values and how many they are."""

    total: float
    count: int | None
    kind: str
    unit: str
    scope: str
    attributes: dict[str, Any]


def spans(receiver) -> list[Span]:
    """All spans in the order of their arrival."""
    names = {each.span.span_id: each.span.name for each in receiver.spans}
    return [
        Span(
            name=span.name,
            kind=KINDS[span.kind],
            parent=names.get(span.parent_span_id, span.parent_span_id.hex()),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            status=STATUSES[span.status.code],
            attributes=_plain(span.attributes),
            links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            events=[event.name for event in span.events],
            resource=_plain(each.resource.attributes),
        )
        for each in receiver.spans
        for span in [each.span]
    ]


def span(receiver, name: str) -> Span:
    """The only span of that name."""
    (found,) = [each for each in spans(receiver) if each.name == name]
    return found


def edges(receiver) -> set[tuple[str, str]]:
    """Every span's label with its parent's, or the parent's id, as :func:`drawn`."""
    found = spans(receiver)
    labels = {span.span_id: span.label for span in found}
    return {(labels.get(s.parent_id, s.parent_id), s.label) for s in found}


def drawn(readme: Path) -> set[tuple[str, str]]:
    """The edges of the trees that a page draws, as :func:`edges` has them."""
    found: set[tuple[str, str]] = set()
    for block in re.findall(r"```\n(.*?)```", readme.read_text(), re.DOTALL):
        if "└ " not in block:
            continue
        above: list[str] = []
        for line in filter(None, block.splitlines()):
            text = line.lstrip(" │├└")
            depth = (len(line) - len(text)) // 2
            above[depth:] = [re.split(r"  +", text)[0]]
            if depth:
                found.add((above[depth - 1], above[depth]))
    assert found
    return found


def points(receiver) -> dict[str, Point]:
    """Every metric's data point by the metric's name; each metric has just one."""
    found = {}
    for each in receiver.metrics:
        metric = each.metric
        kind = metric.WhichOneof("data")
        assert metric.name not in found
        (point,) = getattr(metric, kind).data_points
        is_number = kind in {"sum", "gauge"}
        found[metric.name] = Point(
            total=(point.as_double or point.as_int) if is_number else point.sum,
            count=None if is_number else point.count,
            kind=kind,
            unit=metric.unit,
            scope=each.scope.name,
            attributes=_plain(point.attributes),
        )
    return found


def totals(receiver) -> dict[str, float]:
    """Every metric's total by its name."""
    return {name: point.total for name, point in points(receiver).items()}


def _plain(attributes) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
