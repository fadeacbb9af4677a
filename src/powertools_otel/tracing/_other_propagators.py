"""Propagators of other packages, found by their entry point and used as they are.

Imported only where ``OTEL_PROPAGATORS`` names one that this package does not read
itself (``jaeger``, ``ottrace``, a vendor's): scanning entry points takes longer than
anything else here.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import get_current_span
from typing_extensions import override

from powertools_otel._guard import harmless, logger, warn_once
from powertools_otel.tracing._w3c_headers import BAGGAGE_LIMIT, BAGGAGE_MEMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import SpanContext

_GROUP = "opentelemetry_propagator"
_loaded: dict[str, TextMapPropagator | None] = {}


class _CaseBlind(Getter["Mapping[str, str]"]):
    """Reads lower-case fields, however the propagator writes their names."""

    @override
    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(key.lower())
        return None if value is None else [value]

    @override
    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)


_getter = _CaseBlind()


def extract(
    name: str, fields: Mapping[str, str]
) -> tuple[SpanContext | None, dict[str, str]]:
    """The span context and the baggage that the propagator ``name`` finds.

    Raises:
        Exception: What the propagator raises.
    """
    propagator = _load(name)
    if propagator is None:
        return None, {}
    # An empty context, so that nothing of the current one is taken for a find.
    found = propagator.extract(fields, Context(), _getter)
    span_context = get_current_span(found).get_span_context()
    return (span_context if span_context.is_valid else None, _bounded(found))


def fields(name: str) -> list[str]:
    """The names that the propagator says it uses."""
    propagator = _load(name)
    if propagator is not None:
        with harmless(f"ask the propagator {name} for its fields"):
            return sorted(propagator.fields)
    return []


def _load(name: str) -> TextMapPropagator | None:
    """The propagator by its name; one that cannot be had is said once."""
    if name not in _loaded:
        _loaded[name] = None
        try:
            from importlib.metadata import entry_points

            for entry_point in entry_points(group=_GROUP, name=name):
                _loaded[name] = entry_point.load()()
                break
            else:
                warn_once(
                    f"setting:OTEL_PROPAGATORS:{name}",
                    "OTEL_PROPAGATORS names %r, which no installed package provides."
                    " Going on without it.",
                    name[:100],
                )
        except Exception as error:  # noqa: BLE001 - it is another package's code
            warn_once(
                f"setting:OTEL_PROPAGATORS:{name}",
                "OTEL_PROPAGATORS names %r, which cannot be loaded (%s)."
                " Going on without it.",
                name[:100],
                type(error).__name__,
            )
            logger.debug("Could not load the propagator", exc_info=True)
    return _loaded[name]


def _bounded(context: Context) -> dict[str, str]:
    """Baggage within the bounds that hold for a ``baggage`` header."""
    kept: dict[str, str] = {}
    left = BAGGAGE_LIMIT
    entries: Mapping[str, Any] = baggage.get_all(context)
    for key, value in islice(entries.items(), BAGGAGE_MEMBERS):
        if isinstance(value, str):
            left -= len(key) + len(value) + 2
            if left < 0:
                break
            kept[key] = value
    return kept


def forget() -> None:
    """Load again at the next use, for tests."""
    _loaded.clear()
