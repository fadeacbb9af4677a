"""Values and dimensions of one invocation until they are flushed; pure.

The form is Powertools' own ``metric_set``: name to unit, storage resolution and the
list of values, so that what users look at in their tests is what will be sent.
Checked against Powertools 3.37's EMF provider.
"""

from __future__ import annotations

from numbers import Number
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics.exceptions import MetricValueError
from aws_lambda_powertools.metrics.functions import (
    extract_cloudwatch_metric_resolution_value,  # pyright: ignore[reportUnknownVariableType]
    extract_cloudwatch_metric_unit_value,  # pyright: ignore[reportUnknownVariableType]
)
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.constants import (
    MAX_METRIC_NAME_LENGTH,
    MAX_METRICS,
    MIN_METRIC_NAME_LENGTH,
)
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.exceptions import (
    MetricNameError,
)
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.metric_properties import (
    MetricResolution,
    MetricUnit,
)

from powertools_otel._guard import warn_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EMF_LIMIT = MAX_METRICS
"""Names, and values of one name, that one EMF object can carry."""

FLOOD = 50_000
"""Names, and values of one name, kept in memory before they are handed on."""

# The frequent one first: asking the abstract class takes 0.3 us.
_NUMBERS: tuple[Any, ...] = (int, Number)
_UNIT_VALUES: list[str] = [unit.value for unit in MetricUnit]
_UNIT_NAMES: list[str] = list(MetricUnit.__members__)
_RESOLUTIONS: list[int] = [resolution.value for resolution in MetricResolution]
_UNITS: dict[object, str] = {
    **{unit: unit.value for unit in MetricUnit},
    **{value: value for value in _UNIT_VALUES},
    # A member's name wins over a value, as in Powertools.
    **{name: unit.value for name, unit in MetricUnit.__members__.items()},
}


def add_value(
    metric_set: dict[str, Any], name: str, unit: Any, value: Any, resolution: Any
) -> tuple[str, float, int]:
    """Add a value under its name; the unit and resolution given last count.

    The arguments are untyped because it is here that they are checked.

    Returns:
        The name as kept, the value as kept, how many values it has now.

    Raises:
        MetricNameError: The name is empty or longer than 255 characters.
        MetricValueError: The value is not a number.
        MetricUnitError: The unit is not one of CloudWatch's.
        MetricResolutionError: The resolution is neither 1 nor 60.
        TypeError: The value is a complex number.
        OverflowError: The value is larger than a double can be.
    """
    name = name.strip()
    if not MIN_METRIC_NAME_LENGTH <= len(name) <= MAX_METRIC_NAME_LENGTH:
        message = (
            f"The metric name should be between {MIN_METRIC_NAME_LENGTH} and "
            f"{MAX_METRIC_NAME_LENGTH} characters"
        )
        raise MetricNameError(message)
    if type(value) is not float and not isinstance(value, _NUMBERS):
        message = f"{value} is not a valid number"
        raise MetricValueError(message)
    known = _UNITS.get(unit) if isinstance(unit, (str, MetricUnit)) else None
    if known is None:
        known = extract_cloudwatch_metric_unit_value(_UNIT_VALUES, _UNIT_NAMES, unit)
    if resolution.__class__ is not int or resolution not in _RESOLUTIONS:
        resolution = extract_cloudwatch_metric_resolution_value(
            _RESOLUTIONS, resolution
        )
    metric: Any = metric_set.get(name)
    if metric is None:
        number = float(value)
        empty: dict[str, Any] = {
            "Unit": known,
            "StorageResolution": resolution,
            "Value": [],
        }
        # Another thread may have added the name in the meantime.
        metric = metric_set.setdefault(name, empty)
    else:
        # As EMF: these change even if the value turns out to be none.
        metric["Unit"] = known
        metric["StorageResolution"] = resolution
        number = float(value)
    values: list[float] = metric["Value"]
    values.append(number)
    return name, number, len(values)


def dimension_sets(
    dimensions: Mapping[str, Any], further: Sequence[Mapping[str, Any]], *, merge: bool
) -> list[dict[str, str]]:
    """The attribute sets under which each value is sent.

    EMF writes all dimensions of a flush beside each other, so a name has one value
    in all of its sets, the one set last; equal sets are one.

    Args:
        dimensions: What ``add_dimension`` collected.
        further: The sets of ``add_dimensions``.
        merge: One set with everything, or EMF's own sets.
    """
    merged = {str(name): as_text(value) for name, value in dimensions.items()}
    if not further:
        return [merged]
    sets = [list(merged)]
    for further_set in further:
        texts = {str(name): as_text(value) for name, value in further_set.items()}
        for name, text in texts.items():
            if merged.setdefault(name, text) != text:
                merged[name] = text
                warn_once(
                    "metrics:dimensions",
                    "The dimension %.100r has two values in one flush. As in EMF, "
                    "the one added last counts in all dimension sets.",
                    name,
                )
        sets.append(list(texts))
    if merge:
        return [merged]
    distinct: dict[frozenset[str], dict[str, str]] = {}
    for names in sets:
        distinct.setdefault(frozenset(names), {name: merged[name] for name in names})
    return list(distinct.values())


def as_text(value: object) -> str:
    """A dimension's value as text, which it should be already."""
    return value if isinstance(value, str) else str(value)


def values_of(metric: Mapping[str, Any]) -> list[float]:
    """The values of an entry of a ``metric_set``, which users may have built."""
    value: Any = metric.get("Value", 0)
    if not isinstance(value, list):
        return [float(value)]
    values: list[float] = metric["Value"]
    return values
