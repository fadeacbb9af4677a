"""Garbage collection, out of the way while modules are imported."""

from __future__ import annotations

import gc

_FROZEN_AT_START = 1_000
"""More than CPython itself freezes: 375 objects in 3.12, none in other versions. An
application that does it freezes thousands."""


class paused:  # noqa: N801 - a context manager, used as a statement
    """Let nobody look for garbage in a ``with`` block that imports.

    What an import makes is there to stay. To look through it, 30 times for Powertools,
    the SDK and us, takes a tenth of a cold start. Afterwards the collector begins with
    what is made from then on: to freeze all objects and to release them makes them old
    ones, which saves it the look at them that would be due. What somebody else has
    frozen stays so; then they are left as young as they are.
    """

    __slots__ = ("_collects",)

    def __enter__(self) -> None:
        self._collects = gc.isenabled()
        if self._collects:
            gc.disable()

    def __exit__(self, *_: object) -> None:
        if not self._collects:
            return
        if hasattr(gc, "freeze") and gc.get_freeze_count() < _FROZEN_AT_START:
            gc.freeze()
            gc.unfreeze()
        gc.enable()
