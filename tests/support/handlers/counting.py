"""A function with a thread that never rests, to see whether it is frozen."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

TICK_SECONDS = 0.005


def tick() -> None:
    """Append a byte to the file that a variable names, for ever."""
    with open(os.environ["TICKS"], "ab", buffering=0) as file:  # noqa: PTH123 - light
        while True:
            file.write(b".")
            time.sleep(TICK_SECONDS)


threading.Thread(target=tick, daemon=True).start()


def handler(event: Any, context: Any) -> None:
    """Do nothing."""
