"""CloudWatch's units as OTLP has them, and histogram boundaries that fit them."""

from __future__ import annotations

_SI = (("", ""), ("Kilo", "k"), ("Mega", "M"), ("Giga", "G"), ("Tera", "T"))


def _sizes() -> dict[str, str]:
    """Bytes, bits, and both per second, in all their sizes."""
    units: dict[str, str] = {}
    for word, code in (("bytes", "By"), ("bits", "bit")):
        for prefix, letter in _SI:
            name = prefix + word if prefix else word.capitalize()
            units[name] = letter + code
            units[f"{name}/Second"] = f"{letter}{code}/s"
    return units


UCUM: dict[str, str] = {
    "Seconds": "s",
    "Milliseconds": "ms",
    "Microseconds": "us",
    "Percent": "%",
    "Count": "1",
    "Count/Second": "1/s",
    "None": "",
    **_sizes(),
}
"""``MetricUnit``'s values to UCUM codes, as OpenTelemetry asks for."""

# A Lambda function runs for at most 900 s; the lower end is what a cache hit takes.
_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0),
)
_POWERS_OF_FOUR = tuple(float(4**n) for n in range(2, 17))
_PERCENT = (0.0, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0)
_RATES = tuple(float(f"{m}e{e}") for e in range(-1, 10) for m in (1, 2.5, 5))
_GENERAL = (
    *(0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0),
    *(2500.0, 5000.0, 7500.0, 10000.0),
)
"""The OpenTelemetry SDK's default boundaries, for what could be anything."""

_SCALED = {
    "Seconds": _SECONDS,
    "Milliseconds": tuple(round(bound * 1e3, 6) for bound in _SECONDS),
    "Microseconds": tuple(round(bound * 1e6, 3) for bound in _SECONDS),
    "Percent": _PERCENT,
}
_MADE: dict[str, tuple[float, ...]] = {}


def ucum(unit: str) -> str:
    """The UCUM code of a ``MetricUnit`` value; another word stays as it is."""
    return UCUM.get(unit, unit)


def boundaries(unit: str) -> tuple[float, ...]:
    """Upper bounds, ascending, for a histogram of values in a CloudWatch unit."""
    bounds = _MADE.get(unit)
    if bounds is None:
        bounds = _MADE[unit] = _boundaries(unit)
    return bounds


def _boundaries(unit: str) -> tuple[float, ...]:
    if unit in _SCALED:
        return _SCALED[unit]
    if unit.endswith("/Second"):
        return _RATES
    if unit in ("Bytes", "Bits"):
        return _POWERS_OF_FOUR
    if unit in UCUM and unit.endswith(("bytes", "bits")):
        # 0.25 kBy to 1 GBy, and so on: sizes cluster near the unit someone chose.
        return tuple(float(4**n) for n in range(-1, 11))
    return _GENERAL
