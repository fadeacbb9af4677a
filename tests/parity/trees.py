"""A trace as what Powertools told, whoever carried it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.xray_daemon import flatten

if TYPE_CHECKING:
    from collections.abc import Iterable

ANNOTATIONS = "aws.xray.annotations"
METADATA = "aws.xray.metadata."


class Node(NamedTuple):
    """One span or subsegment."""

    name: str
    annotations: dict[str, Any]
    metadata: dict[str, Any]
    fault: bool
    error: str | None
    message: str | None
    children: tuple[Node, ...]


def plain_name(name: str) -> str:
    """A name without what the two worlds do to it on purpose (see the README)."""
    return name.removeprefix("## ")


def from_xray(documents: Iterable[dict[str, Any]]) -> list[Node]:
    """The roots of the segment documents that the X-Ray SDK or exporter sent."""
    flat = [doc for doc in flatten(documents) if "end_time" in doc]
    by_parent: dict[str, list[dict[str, Any]]] = {}
    for doc in {doc["id"]: doc for doc in flat}.values():
        by_parent.setdefault(doc.get("parent_id", ""), []).append(doc)
    known = {doc["id"] for doc in flat}
    causes = {
        raised["id"]: raised
        for doc in flat
        if isinstance(doc.get("cause"), dict)
        for raised in doc["cause"].get("exceptions", [])
    }
    roots = [doc for key, docs in by_parent.items() if key not in known for doc in docs]

    def node(doc: dict[str, Any]) -> Node:
        children = sorted(by_parent.get(doc["id"], []), key=lambda d: d["start_time"])
        raised = causes.get(_cause(doc), {})
        return Node(
            name=plain_name(doc["name"]),
            annotations=doc.get("annotations", {}),
            metadata=_without_errors(doc.get("metadata", {})),
            fault=bool(doc.get("fault")),
            error=raised.get("type"),
            message=raised.get("message"),
            children=tuple(node(child) for child in children),
        )

    return [node(doc) for doc in sorted(roots, key=lambda d: d["start_time"])]


def _cause(doc: dict[str, Any]) -> str:
    """The exception's id: an ancestor refers to the one its descendant has told."""
    cause = doc.get("cause", "")
    if isinstance(cause, str):
        return cause
    return next((raised["id"] for raised in cause.get("exceptions", [])), "")


def _without_errors(metadata: dict[str, Any]) -> dict[str, Any]:
    """Powertools also puts the exception among the metadata; one place is enough."""
    kept = {
        space: {k: v for k, v in entries.items() if not k.endswith(" error")}
        for space, entries in metadata.items()
    }
    return {space: entries for space, entries in kept.items() if entries}


def from_otlp(spans: Iterable[Any], handler: str) -> list[Node]:
    """The roots of the OTLP spans (``opentelemetry.proto.trace.v1.Span``)."""
    spans = sorted(spans, key=lambda span: span.start_time_unix_nano)
    known = {span.span_id for span in spans}

    def node(span: Any, *, root: bool) -> Node:
        facts = {pair.key: _value(pair.value) for pair in span.attributes}
        named = facts.get(ANNOTATIONS, [])
        raised = {
            pair.key: _value(pair.value)
            for event in span.events
            if event.name == "exception"
            for pair in event.attributes
        }
        return Node(
            name=handler if root else plain_name(span.name),
            annotations={key: facts[key] for key in named},
            metadata={
                key.removeprefix(METADATA): json.loads(text)
                for key, text in facts.items()
                if key.startswith(METADATA)
            },
            fault=span.status.code == 2,
            error=raised.get("exception.type"),
            message=raised.get("exception.message"),
            children=tuple(
                node(child, root=False)
                for child in spans
                if child.parent_span_id == span.span_id
            ),
        )

    return [node(span, root=True) for span in spans if span.parent_span_id not in known]


def _value(wire: Any) -> Any:
    kind = wire.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in wire.array_value.values]
    return None if kind is None else getattr(wire, kind)
