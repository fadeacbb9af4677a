"""Random programs of Metrics calls, and what happens when they run."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import time
import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from aws_lambda_powertools.metrics import MetricResolution, MetricUnit
from aws_lambda_powertools.metrics.provider.cold_start import reset_cold_start_flag
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = int(time.time() * 1000)
TIMES_MS = (NOW_MS - 60_000, NOW_MS - 3_600_000, 1, 12_345, NOW_MS + 3_600_000)
"""Explicit timestamps, all of them recognisable, some outside CloudWatch's range."""

DIMENSIONS = ("env", "region", "service", "tenant")
LIMITED = tuple(f"d{number}" for number in range(30))


class BoomError(Exception):
    """What a handler fails with."""


class Context:
    """The part of a Lambda context that metrics look at."""

    function_name = "checkout"
    aws_request_id = "0"


# Arbitrary values, those that EMF accepts and those that it does not.
numbers_ = st.one_of(
    st.integers(-1000, 1000),
    st.floats(-1e12, 1e12),
    st.booleans(),
    st.decimals(-1000, 1000, places=3),
    st.fractions(-10, 10, max_denominator=100),
    st.sampled_from([2**70, -(2**70), 1e300, -0.0, float("nan"), float("inf")]),
)
bad_numbers = st.sampled_from(["12", None, 1 + 2j, [1], 2**5000, Decimal("sNaN")])
metric_names = st.one_of(
    st.sampled_from(["orders", "latency", " latency ", "cpu%", "Order:Total", "naïve"]),
    st.sampled_from(["9lives", "a b", "日本"]),
    st.just(255).map("x".__mul__),
)
bad_names = st.one_of(
    st.sampled_from(["", "   "]), st.sampled_from([256, 10_000]).map("x".__mul__)
)
units = st.one_of(
    st.sampled_from(MetricUnit),
    st.sampled_from([unit.value for unit in MetricUnit]),
    st.sampled_from(["NoUnit", "BytesPerSecond", "CountPerSecond"]),
)
bad_units = st.sampled_from(["count", "", "ms", "Furlongs"])
resolutions = st.sampled_from([60, 1, True, MetricResolution.High])
bad_resolutions = st.sampled_from([0, 61, None, "1", 60.0])
dimension_names = st.sampled_from([*DIMENSIONS, "env"])
dimension_values = st.sampled_from(["prod", "dev", "", " ", "v 1", 3, 1.5, True, None])
raw_defaults = st.sampled_from(["prod", "dev", "x", "", 7])
dimension_maps = st.dictionaries(dimension_names, dimension_values, max_size=3)
default_maps = st.dictionaries(dimension_names, raw_defaults, max_size=3)
timestamps = st.one_of(
    st.sampled_from(TIMES_MS),
    st.sampled_from(TIMES_MS).map(
        lambda ms: dt.datetime.fromtimestamp(ms / 1000, tz=dt.timezone.utc)
    ),
    st.sampled_from([0, None, "yesterday", 1.5]),
)

calls = st.one_of(
    st.tuples(st.just("add_metric"), metric_names, units, numbers_, st.just(60)),
    st.tuples(st.just("add_metric"), metric_names, units, numbers_, resolutions),
    st.tuples(
        st.just("add_metric"),
        metric_names | bad_names,
        units | bad_units,
        numbers_ | bad_numbers,
        resolutions | bad_resolutions,
    ),
    st.tuples(st.just("add_dimension"), dimension_names, dimension_values),
    st.tuples(st.just("add_dimension"), st.sampled_from(["", " "]), dimension_values),
    st.tuples(st.just("add_dimensions"), dimension_maps),
    st.tuples(st.just("set_default_dimensions"), default_maps),
    st.tuples(st.just("clear_default_dimensions")),
    st.tuples(
        st.just("add_metadata"), st.sampled_from(["key", 7]), st.sampled_from(["a", 1])
    ),
    st.tuples(st.just("set_timestamp"), timestamps),
    st.tuples(st.just("clear_metrics")),
    st.tuples(st.just("flush_metrics"), st.booleans()),
    st.tuples(st.just("serialize_metric_set")),
    st.tuples(st.just("views")),
    st.tuples(st.just("namespace"), st.sampled_from(["Shop", "A/B", "", None])),
    st.tuples(st.just("service"), st.sampled_from(["cart", "pay", "", None])),
    st.tuples(st.just("flood"), st.sampled_from(["values", "names"])),
    st.tuples(st.just("crowd"), st.sampled_from(["one", "set"])),
    st.tuples(
        st.just("single_metric"),
        st.tuples(
            metric_names | bad_names,
            units | bad_units,
            numbers_ | bad_numbers,
            resolutions | bad_resolutions,
            st.sampled_from(["Shop", None]),
        ),
        st.dictionaries(dimension_names, st.sampled_from(["x", "y", 5]), max_size=2),
        st.booleans(),
    ),
)

invocations = st.fixed_dictionaries(
    {
        "op": st.just("invoke"),
        "bare": st.booleans(),
        "capture": st.booleans(),
        "raise_on_empty": st.booleans(),
        "defaults": st.none() | default_maps,
        "fails": st.booleans(),
        "instance": st.integers(0, 1),
        "calls": st.lists(st.tuples(st.integers(0, 1), calls), max_size=6),
    }
)

programs = st.fixed_dictionaries(
    {
        "facade": st.sampled_from(["Metrics", "EphemeralMetrics"]),
        "namespace": st.sampled_from(["Shop", "Shop", "Shop", None]),
        "service": st.sampled_from(["cart", None]),
        "steps": st.lists(
            st.one_of(st.tuples(st.integers(0, 1), calls), invocations),
            min_size=1,
            max_size=12,
        ),
    }
)


class Outcome(NamedTuple):
    """What a caller sees of a program."""

    steps: list[object]
    """Per step what it raised, or returned where that can be compared."""
    warnings: list[tuple[str, str]]
    output: str


def run(program: dict[str, Any], api: Any) -> Outcome:
    """Run a program against a module that has Powertools' metrics names."""
    reset_cold_start_flag()
    output = io.StringIO()
    steps: list[object] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.redirect_stdout(output):
            make = getattr(api, program["facade"])
            instances = [
                make(namespace=program["namespace"], service=program["service"]),
                make(namespace="Other"),
            ]
            for step in program["steps"]:
                steps += _step(step, instances, api)
    said = [(each.category.__name__, str(each.message)) for each in caught]
    return Outcome(steps, said, output.getvalue())


def _step(step: Any, instances: list[Any], api: Any) -> list[object]:
    if isinstance(step, dict):
        return _invoke(step, instances, api)
    which, call = step
    return [_attempt(lambda: _call(call, instances[which], api))]


def _attempt(action: Callable[[], object]) -> object:
    try:
        return action()
    except Exception as error:
        return (type(error).__name__, str(error))


def _invoke(step: dict[str, Any], instances: list[Any], api: Any) -> list[object]:
    inner: list[object] = []

    def handler(event: object, context: object) -> str:
        for which, call in step["calls"]:
            inner.append(_attempt(lambda w=which, c=call: _call(c, instances[w], api)))
        if step["fails"]:
            raise BoomError
        return "done"

    metrics = instances[step["instance"]]

    def invoke() -> object:
        if step["bare"]:
            return metrics.log_metrics(handler)({}, Context())
        return metrics.log_metrics(
            # On failure EMF forgets the cold start; we do not, which another test says.
            capture_cold_start_metric=step["capture"] and not step["fails"],
            raise_on_empty_metrics=step["raise_on_empty"],
            default_dimensions=step["defaults"],
        )(handler)({}, Context())

    outcome = _attempt(invoke)
    if step["fails"]:
        # With EMF the flush's own exception replaces the handler's; with us never.
        assert outcome is not None
        outcome = "failed"
    return [*inner, outcome]


def _call(call: tuple[Any, ...], metrics: Any, api: Any) -> object:
    name, *arguments = call
    action = _SPECIAL.get(name)
    if action is not None:
        return action(metrics, api, *arguments)
    if name in ("add_dimensions", "set_default_dimensions"):
        return getattr(metrics, name)(**arguments[0])
    return getattr(metrics, name)(*arguments)


def _clear_defaults(metrics: Any, api: Any) -> None:
    clear = getattr(metrics, "clear_default_dimensions", None)
    if clear is None:  # EphemeralMetrics is a provider, which has none
        metrics.default_dimensions.clear()
    else:
        clear()


def _views(metrics: Any, api: Any) -> object:
    """A copy of what users look at in their tests; NaN is no equal of itself."""
    return repr(
        (
            {name: dict(metric) for name, metric in metrics.metric_set.items()},
            metrics.dimension_set,
            metrics.metadata_set,
            metrics.default_dimensions,
            metrics.namespace,
            metrics.service,
        )
    )


def _flood(metrics: Any, api: Any, kind: str) -> None:
    for number in range(101):
        name = "many" if kind == "values" else f"m{number}"
        metrics.add_metric(name=name, unit="Count", value=number)


def _crowd(metrics: Any, api: Any, kind: str) -> None:
    if kind == "set":
        metrics.add_dimensions(**dict.fromkeys(LIMITED, "v"))
        return
    for name in LIMITED:
        metrics.add_dimension(name=name, value="v")


def _single(
    metrics: Any,
    api: Any,
    given: tuple[Any, ...],
    dimensions: dict[str, Any],
    fails: bool,
) -> None:
    with api.single_metric(*given, default_dimensions={"single": "yes"}) as single:
        single.add_metric("ignored", "Count", 1)
        for dimension, text in dimensions.items():
            single.add_dimension(name=dimension, value=text)
        single.add_metadata("single_key", "x")
        if fails:
            raise BoomError


def _set_namespace(metrics: Any, api: Any, value: str | None) -> None:
    metrics.namespace = value


def _set_service(metrics: Any, api: Any, value: str | None) -> None:
    metrics.service = value


def _serialize(metrics: Any, api: Any) -> None:
    metrics.serialize_metric_set()  # the forms differ; what it raises must not


_SPECIAL: dict[str, Callable[..., object]] = {
    "namespace": _set_namespace,
    "service": _set_service,
    "serialize_metric_set": _serialize,
    "clear_default_dimensions": _clear_defaults,
    "views": _views,
    "flood": _flood,
    "crowd": _crowd,
    "single_metric": _single,
}
