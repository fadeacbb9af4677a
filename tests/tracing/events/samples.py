"""The sample events in ``tests/events``, as AWS documents them."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "events"

NAMES = sorted(path.stem for path in _FOLDER.glob("*.json"))

TRACE_ID = 0x7C3E0A55D1F94B0C8F2A6B1D9E4C7A10
SPAN_ID = 0x2F8B6D14C09EA573
TRACEPARENT = "00-7c3e0a55d1f94b0c8f2a6b1d9e4c7a10-2f8b6d14c09ea573-01"
"""The ``traceparent`` that the samples carry."""

XRAY_TRACE_ID = 0x67AB12C43F9D2E7A10B45C8892D6E1F0
XRAY_SPAN_ID = 0x5A1F0C3B7D92E684
"""What the samples' ``AWSTraceHeader`` names."""


def sample(name: str) -> Any:
    """A fresh copy of a sample event."""
    return copy.deepcopy(_read(name))


@cache
def _read(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
