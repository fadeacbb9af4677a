"""As what a Powertools metric is sent: its scope, name, unit and kind.

All of it follows from the namespace, the name, the unit and the settings, never from
a value: a kind that flips makes two metrics of one name that backends cannot merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._guard import warn_once
from powertools_otel.metrics import _units

if TYPE_CHECKING:
    from powertools_otel._settings import Settings

PREFIX_SCOPE = "powertools_otel"
"""The instrumentation scope where the namespace is part of the metric's name."""

KINDS = ("sum", "histogram", "gauge")
"""What a metric can be set to be."""

_REMEMBERED = 20_000


class Stream:
    """One metric as OTLP knows it.

    Attributes:
        key: What tells it from every other metric of the process.
        scope: Name of the instrumentation scope.
        name: Name of the metric.
        unit: Its unit, as sent.
        kind: ``sum``, ``gauge``, ``histogram`` or ``exponential``.
        bounds: Upper bounds of an explicit histogram.
        original: The name as it was given.
        description: The same where ``name`` does not keep it, else empty.
    """

    __slots__ = (
        "bounds",
        "description",
        "key",
        "kind",
        "name",
        "original",
        "scope",
        "unit",
    )

    def __init__(
        self,
        scope: str,
        name: str,
        unit: str,
        kind: str,
        bounds: tuple[float, ...],
        original: str,
    ) -> None:
        self.scope = scope
        self.name = name
        self.unit = unit
        self.kind = kind
        self.bounds = bounds
        self.original = original
        self.key = (scope, name, unit, kind)
        # A metric_set that users have built may have other names than text.
        self.description = "" if str(name).endswith(str(original)) else original


class Streams:
    """Decides, and remembers, as what each metric is sent.

    Args:
        settings: Ours; those on metrics count.
        exponential: Whether histograms are base-2 exponential.
    """

    def __init__(self, settings: Settings, *, exponential: bool = False) -> None:
        self._settings = settings
        self._histogram = "exponential" if exponential else "histogram"
        self._known: dict[tuple[str, str, object], Stream] = {}
        self._originals: dict[str, str] = {}

    def get(self, namespace: str, name: str, unit: object) -> Stream:
        """The metric that ``name`` of a namespace is in a CloudWatch unit."""
        try:
            found = self._known.get((namespace, name, unit))
        except TypeError:  # Powertools lets a unit of any other type pass
            unit, found = str(unit), None
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
                self._originals.clear()
            found = self._decide(namespace, name, unit)
            self._known[namespace, name, unit] = found
        return found

    def _decide(self, namespace: str, name: str, given: object) -> Stream:
        settings = self._settings
        unit = given if isinstance(given, str) else "" if given is None else str(given)
        kind = settings.metric_kinds.get(name)
        if kind is None:
            kind = settings.count_as if unit == "Count" else "histogram"
        if kind == "histogram":
            kind = self._histogram
        scope, sent = namespace, name
        if settings.namespace_as == "prefix":
            scope, sent = PREFIX_SCOPE, f"{namespace}.{name}"
        if settings.metric_names == "safe":
            sent = self._made_safe(sent)
        return Stream(
            scope,
            sent,
            unit if settings.unit_style == "cloudwatch" else _units.ucum(unit),
            kind,
            _units.boundaries(unit) if kind == "histogram" else (),
            name,
        )

    def _made_safe(self, name: str) -> str:
        from powertools_otel.metrics import _names

        sent = _names.safe(name)
        other = self._originals.setdefault(sent, name)
        if other != name:
            warn_once(
                "metrics:names",
                "The metrics %.100r and %.100r have the same safe name %.100r: "
                "their values are sent as one metric.",
                other,
                name,
                sent,
            )
        return sent
