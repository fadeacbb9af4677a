"""Metric names as backends need them."""

from __future__ import annotations

import re

MAX_LENGTH = 255
"""Longest instrument name the OpenTelemetry metrics API accepts, in characters."""

_OTHER = re.compile(r"[^A-Za-z0-9_.\-/]")


def safe(name: str) -> str:
    """Turn any name into one that follows OpenTelemetry's instrument name syntax.

    One rule: each character but ASCII letters, digits and ``_ . - /`` becomes ``_``;
    a name that does not begin with a letter gets ``m_`` in front; what is longer
    than 255 characters is cut. (OpenTelemetry specification, metrics API, instrument
    name syntax.)

    >>> safe("Successful Bookings"), safe("9lives"), safe("cpu%")
    ('Successful_Bookings', 'm_9lives', 'cpu_')
    """
    cleaned = _OTHER.sub("_", name)
    if not cleaned[:1].isalpha():
        cleaned = "m_" + cleaned
    return cleaned[:MAX_LENGTH]
