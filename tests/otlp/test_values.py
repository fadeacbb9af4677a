"""Attribute values of every kind, including those that OTLP cannot carry."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext
from tests.otlp.reference import (
    ENCODINGS,
    all_spans,
    official_attributes,
    only_span,
    parse,
    plain,
)
from tests.support.strategies import (
    ATTRIBUTES,
    HOSTILE_VALUES,
    HUGE_INTS,
    LONE_SURROGATES,
    BrokenMapping,
    BrokenSequence,
    Colour,
    Impostor,
    Level,
    Nameless,
    Order,
    ShoutingText,
    Undescribed,
    Unprintable,
    cyclic,
    nested,
    wrapped,
)

from powertools_otel._otlp import _wire
from powertools_otel._otlp._shared import MAX_DEPTH, valid_unicode

RESOURCE = Resource({"service.name": "orders"})
CONTEXT = SpanContext(1, 2, is_remote=False)
HERE = Unprintable.__module__

encodings = pytest.mark.parametrize("encoder", ENCODINGS.values(), ids=ENCODINGS)


def span(attributes, name="work") -> ReadableSpan:
    # A ReadableSpan takes attributes as they are; the SDK's own spans clean them.
    return ReadableSpan(name, CONTEXT, attributes=attributes, resource=RESOURCE)


def encoded(encoder, *spans):
    return parse(encoder, "traces", encoder.encode_spans(spans))


def sent(encoder, value):
    """What a receiver reads for an attribute of this value."""
    [attribute] = only_span(encoded(encoder, span({"key": value}))).attributes
    return plain(attribute.value)


@encodings
@settings(deadline=None)
@given(carriable=ATTRIBUTES, hostile=wrapped(HOSTILE_VALUES))
def test_any_value_is_sent_and_costs_no_other(encoder, carriable, hostile):
    """Beside a hostile value, all other attributes and spans arrive unchanged."""
    spans = [
        span({**carriable, "hostile": hostile, "last": 1}),
        span(carriable, "next"),
    ]

    first, second = all_spans(encoded(encoder, *spans))

    assert list(second.attributes) == official_attributes(carriable)
    *others, last = [item for item in first.attributes if item.key != "hostile"]
    assert others == [
        item for item in official_attributes(carriable) if item.key != "hostile"
    ]
    assert last.value.int_value == 1
    [received] = [item for item in first.attributes if item.key == "hostile"]
    assert received.value.WhichOneof("value") is not None


@encodings
@settings(deadline=None)
@given(key=LONE_SURROGATES | HUGE_INTS | st.builds(Unprintable) | st.none())
def test_any_key_is_sent(encoder, key):
    """A key that is no valid text becomes one, and its value is kept."""
    [attribute] = only_span(encoded(encoder, span({key: "value"}))).attributes

    assert attribute.key
    assert attribute.value.string_value == "value"


FORMS = {
    "largest integer": (2**63 - 1, 2**63 - 1),
    "smallest integer": (-(2**63), -(2**63)),
    "larger integer": (2**63, "9223372036854775808"),
    "smaller integer": (-(2**63) - 1, "-9223372036854775809"),
    "lone surrogate": ("a\ud800b", "a\ufffdb"),
    "surrogate pair": ("\ud83d\ude00 \udc00", "\U0001f600 \ufffd"),
    "raises in str": (Unprintable(), f"<{HERE}.Unprintable>"),
    "no text of its own": (Undescribed(), f"<{HERE}.Undescribed>"),
    "no name either": (Nameless(), "<object>"),
    "raises for its class": (Impostor(), f"<{HERE}.Impostor>"),
    "broken sequence": (BrokenSequence([1]), "[1]"),
    "broken mapping": (BrokenMapping({"a": 1}), "{'a': 1}"),
    "text subclass": (ShoutingText("quiet"), "quiet"),
    "dataclass": (Order(7), "Order(number=7)"),
    "decimal": (Decimal("1.50"), "1.50"),
    "complex": (1 + 2j, "(1+2j)"),
    "set": ({5}, "{5}"),
    "text enumeration": (Colour.RED, "red"),
    "integer enumeration": (Level.HIGH, 3),
    "range": (range(3), [0, 1, 2]),
    "read-only map": (MappingProxyType({"a": (1, None)}), {"a": [1, None]}),
    "keys of other types": ({0: 0, None: 1, True: 2}, {"0": 0, "None": 1, "True": 2}),
    "in a list": ([2**63, Undescribed()], [str(2**63), f"<{HERE}.Undescribed>"]),
    "infinity": (-math.inf, -math.inf),
    "empty text": ("", ""),
    "empty tuple": ((), []),
    "empty map": ({}, {}),
    "false": (False, False),
    "zero": (0.0, 0.0),
    "bytes": (b"\0\xff", b"\0\xff"),
    "nothing": (None, None),
}


@encodings
@pytest.mark.parametrize(("value", "expected"), FORMS.values(), ids=FORMS)
def test_values_become(encoder, value, expected):
    """Each kind of value has one predictable form."""
    received = sent(encoder, value)

    assert received == expected
    assert type(received) is type(expected)


@encodings
@pytest.mark.skipif(
    not hasattr(sys, "get_int_max_str_digits"), reason="this Python has no such limit"
)
def test_an_integer_too_long_for_decimal_text_is_hexadecimal(encoder):
    """CPython refuses decimal text of very long integers: hexadecimal instead."""
    assert sent(encoder, 16**5000) == "0x1" + "0" * 5000


@encodings
@given(depth=st.integers(0, MAX_DEPTH))
@settings(deadline=None, max_examples=25)
def test_nested_values_are_kept(encoder, depth):
    """Values nested as deep as receivers accept keep their structure."""
    assert sent(encoder, nested(depth)) == nested(depth)


@encodings
def test_maps_at_the_deepest_level_can_be_read(encoder):
    """The deepest request still is within protobuf's limit of 100 messages."""
    value = "core"
    for _ in range(MAX_DEPTH):
        value = {"a": value}

    assert sent(encoder, value) == value


@encodings
@pytest.mark.parametrize("value", [nested(500), cyclic()], ids=["deep", "cyclic"])
def test_values_nested_without_end_are_cut(encoder, value):
    """Beyond the depth that receivers accept, the rest is sent as text."""
    received = sent(encoder, value)

    for _ in range(MAX_DEPTH):
        [received] = received.values() if isinstance(received, dict) else received
    assert isinstance(received, str)


@given(st.text(st.characters(exclude_categories=[])))
def test_repaired_text_is_valid_and_otherwise_the_same(text):
    """Text with surrogates becomes encodable; valid text does not change."""
    repaired = valid_unicode(text)

    repaired.encode()
    assert valid_unicode(repaired) == repaired
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert repaired == text


@given(st.integers(0, 2**64 - 1))
def test_varints_read_back(number):
    """A varint has seven bits a byte, the lowest first."""
    *first, last = encoded = _wire.varint(number)

    assert all(byte >= 0x80 for byte in first)
    assert last < 0x80
    assert number == sum((byte & 0x7F) << 7 * i for i, byte in enumerate(encoded))


def test_remembered_keys_are_bounded():
    """A function that makes up attribute keys does not fill the memory."""
    for number in range(3_000):
        key = f"key {number}"
        attributes = only_span(
            encoded(ENCODINGS["protobuf"], span({key: 1}))
        ).attributes
        assert attributes[0].key == key
        assert len(_wire._keys) <= 1024
