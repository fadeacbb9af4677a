"""The metrics' side of the delivery channel: data points in, encoded batches out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._delivery import Batch
from powertools_otel._otlp._model import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from powertools_otel._otlp._model import Metric
    from powertools_otel.metrics._store import MetricStore

POINTS_PER_BATCH = 2_000
"""Data points encoded together, about 300 KB: what is retried or dropped as one."""


class MetricSource:
    """Drains a store into batches (``_delivery``'s ``Source``).

    Args:
        store: Where values are recorded.
        encode: Encodes scopes, with the process's resource, as one fragment.
    """

    def __init__(
        self, store: MetricStore, encode: Callable[[Sequence[Scope]], bytes]
    ) -> None:
        self._store = store
        self._encode = encode

    @property
    def recorded(self) -> int:
        """Data points there have ever been."""
        return self._store.recorded

    @property
    def dropped(self) -> int:
        """Data points that the store had no room for."""
        return self._store.dropped

    def pending(self) -> int:
        """Data points that ``collect`` would give."""
        return self._store.pending()

    def collect(self) -> list[Batch]:
        """Take and encode what was recorded.

        A cumulative point may be sent twice, it says the same again; a delta point
        would count twice.
        """
        resendable = self._store.cumulative
        return [
            Batch(self._encode(scopes), points, resendable)
            for scopes, points in _portions(self._store.collect())
        ]


def _portions(scopes: Sequence[Scope]) -> Iterable[tuple[Sequence[Scope], int]]:
    """Scopes in portions of at least ``POINTS_PER_BATCH`` points, but the last."""
    points = sum([len(m.data.points) for scope in scopes for m in scope.metrics])
    if points > POINTS_PER_BATCH:
        return _cut(scopes)
    return [(scopes, points)] if points else []


def _cut(scopes: Iterable[Scope]) -> Iterator[tuple[list[Scope], int]]:
    portion: list[Scope] = []
    points = 0
    for scope in scopes:
        metrics: list[Metric] = []
        for metric in scope.metrics:
            metrics.append(metric)
            points += len(metric.data.points)
            if points >= POINTS_PER_BATCH:
                yield [*portion, _with(scope, metrics)], points
                portion, metrics, points = [], [], 0
        if metrics:
            portion.append(_with(scope, metrics))
    if portion:
        yield portion, points


def _with(scope: Scope, metrics: list[Metric]) -> Scope:
    return Scope(scope.name, scope.version, scope.schema_url, scope.attributes, metrics)
