"""Any object becomes something telemetry can carry."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import io
import json
import uuid
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel import _values


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    number: int
    total: Decimal


class Plain:
    def __init__(self):
        self.a = 1
        self._secret = 2


class Texty:
    def __str__(self):
        return "text"


class Raising:
    """Every way to look at it raises."""

    def __str__(self):
        raise ValueError("str")

    def __repr__(self):
        raise AssertionError("repr must not be called")

    def __iter__(self):
        raise RuntimeError("iter")


class RaisingDict(dict):
    def __iter__(self):
        raise RuntimeError("iter")

    def items(self):
        raise RuntimeError("items")

    def keys(self):
        raise RuntimeError("keys")


def endless():
    while True:
        yield 1


async def coroutine():
    return 1


RECURSIVE: list = []
RECURSIVE.append(RECURSIVE)

HOSTILE = [
    Raising(),
    RaisingDict(a=1),
    RECURSIVE,
    endless(),
    io.BytesIO(b"body"),
    io.StringIO("body"),
    object(),
    Plain(),
    Texty(),
    Colour.RED,
    Colour,
    Order(1, Decimal("2.50")),
    2**70,
    -(2**70),
    2**200_000,
    float("nan"),
    float("inf"),
    Decimal("NaN"),
    Decimal("1e999999"),
    complex(1, 2),
    Fraction(1, 3),
    "\ud800",
    b"\xff\xfe",
    memoryview(b"abc"),
    dt.datetime(2026, 11, 21, tzinfo=dt.timezone.utc),
    dt.timedelta(seconds=1),
    uuid.UUID(int=1),
    ValueError("x"),
    print,
    type,
    json,
]
# By number: Hypothesis writes what it samples from, and that may raise.
hostile = st.builds(lambda n: HOSTILE[n], st.integers(0, len(HOSTILE) - 1))
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | hostile,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=6)
        | st.frozensets(st.integers(), max_size=4)
    ),
    max_leaves=25,
)


@given(anything, st.integers(min_value=0, max_value=300))
def test_json_is_valid_and_within_its_limit(value, limit):
    """Whatever comes in, the text is valid JSON of at most ``limit`` bytes."""
    text = _values.to_json(_values.plain(value, limit), limit)

    assert len(text.encode()) <= limit
    if text:
        json.loads(text)


@given(st.dictionaries(st.text(max_size=20), anything, max_size=8))
def test_an_object_of_entries_is_cut_fairly(entries):
    """An object's text is a JSON object within its limit, whatever the entries."""
    plain = {
        _values.clean(key): _values.plain(value, 400) for key, value in entries.items()
    }

    text = _values.object_to_json(plain, 400)

    assert len(text.encode()) <= 400
    assert isinstance(json.loads(text), dict)


def test_one_huge_entry_does_not_push_out_small_ones():
    """Small values stay whole beside one that has to be cut."""
    entries = {"huge": "x" * 5_000, "small": 1, "list": [1, 2, 3]}

    loaded = json.loads(_values.object_to_json(entries, 200))

    assert loaded["small"] == 1
    assert loaded["list"] == [1, 2, 3]
    assert "…" in loaded["huge"]


@given(anything)
def test_attributes_are_scalars(value):
    """An annotation is a bool, a 64-bit int, a float or clean text."""
    result = _values.attribute(value, 300)

    assert isinstance(result, (bool, int, float, str))
    if isinstance(result, str):
        assert len(result.encode()) <= 300
    elif isinstance(result, int):
        assert -(2**63) <= result < 2**63


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (17, 17),
        (1.5, 1.5),
        ("text", "text"),
        (Decimal(3), 3),
        (Decimal("1.5"), 1.5),
        (2**70, str(2**70)),
        (Colour.RED, "red"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (b"bytes", "bytes"),
        ({"a": 1}, '{"a":1}'),
        ([1, "b"], '[1,"b"]'),
        (None, "null"),
        ("\ud800x", "?x"),
    ],
)
def test_everyday_values_keep_their_meaning(value, expected):
    """Numbers stay numbers, composed values are JSON."""
    result = _values.attribute(value, 100)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Order(1, Decimal("2.5")), {"number": 1, "total": 2.5}),
        (Plain(), {"a": 1}),
        (Texty(), "text"),
        ({Colour.RED: {1}}, {"red": [1]}),
        (2**70, 2**70),
        (float("nan"), "nan"),
        (Raising(), f"<{__name__}.Raising: RuntimeError>"),
    ],
)
def test_composed_values_keep_their_structure(value, expected):
    """Objects become what they hold, or say why not."""
    if isinstance(value, Raising):
        assert "ValueError" in _values.plain(value, 500)
    else:
        assert _values.plain(value, 500) == expected


def test_streams_and_iterators_are_not_consumed():
    """What can be read only once is named, not read."""
    stream, generator = io.BytesIO(b"body"), (n for n in (1, 2))
    awaitable = coroutine()

    kept = _values.plain([stream, generator, awaitable], 500)

    awaitable.close()
    assert kept == ["<_io.BytesIO>", "<generator>", "<coroutine>"]
    assert stream.read() == b"body"
    assert list(generator) == [1, 2]


def test_a_huge_value_costs_what_its_limit_costs():
    """Only as much of a list is looked at as fits."""
    looked_at = []

    class Noted(list):
        def __iter__(self):
            for item in super().__iter__():
                looked_at.append(item)
                yield item

    _values.plain(Noted(range(1_000_000)), 100)

    assert len(looked_at) < 100
