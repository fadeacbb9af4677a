"""A function with SnapStart hooks, of which one fails if a variable says so."""

from __future__ import annotations

import os
import time
from typing import Any

from snapshot_restore_py import register_after_restore, register_before_snapshot

DONE: list[str] = ["import"]


def note(what: str) -> None:
    """Remember what happened, or fail."""
    if os.environ.get("FAIL") == what:
        message = f"cannot {what}"
        raise RuntimeError(message)
    DONE.append(f"{what} {time.monotonic()}")


register_before_snapshot(note, "checkpoint")
register_after_restore(note, "restore")


def handler(event: Any, context: Any) -> Any:
    """Return what happened so far."""
    return DONE
