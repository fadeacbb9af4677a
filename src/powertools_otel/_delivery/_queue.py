"""Batches in the order in which they were recorded, and how much they are."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from powertools_otel._delivery._batch import Batch


class Queue:
    """A queue of batches that knows its items and bytes."""

    __slots__ = ("_batches", "items", "size")

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self.items = 0
        """Spans or data points in it."""
        self.size = 0
        """Bytes of their encoded form."""

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def append(self, batch: Batch) -> None:
        """Add the newest batch."""
        self._batches.append(batch)
        self.items += batch.items
        self.size += len(batch.body)

    def put_back(self, batches: Sequence[Batch]) -> None:
        """Add what was taken, in its order, before everything else."""
        self._batches.extendleft(reversed(batches))
        for batch in batches:
            self.items += batch.items
            self.size += len(batch.body)

    def take(self) -> Batch:
        """Remove the oldest batch and return it.

        Raises:
            IndexError: If there is none.
        """
        batch = self._batches.popleft()
        self.items -= batch.items
        self.size -= len(batch.body)
        return batch
