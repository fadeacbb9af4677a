"""Settings come from one place; wrong ones are said by name and replaced."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel import _guard
from powertools_otel._settings import VARIABLES, Settings, flag


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.text(max_size=20)))
def test_no_value_of_any_variable_breaks_the_settings(values):
    """Any text in any variable gives settings of the right types."""
    defaults = Settings()

    read = Settings.from_env({f"POWERTOOLS_OTEL_{k}": v for k, v in values.items()})

    assert [type(value) for value in read] == [type(value) for value in defaults]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("POWERTOOLS_OTEL_FLUSH_TIMEOUT", "soon", "an integer from 1 to 60000"),
        ("POWERTOOLS_OTEL_FLUSH_TIMEOUT", "0", "an integer from 1 to 60000"),
        ("POWERTOOLS_OTEL_WARM_UP", "maybe", "true or false"),
        ("POWERTOOLS_OTEL_XRAY_CONTEXT", "never", "auto | parent | link | ignore"),
        ("POWERTOOLS_OTEL_METRIC_KINDS", "a=pie", "sum | histogram | gauge"),
    ],
)
def test_a_wrong_value_is_said_once(caplog, name, value, allowed):
    """One message names the setting, the value and what is allowed."""
    for _ in range(2):
        assert Settings.from_env({name: value}) == Settings()

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert name in record.getMessage()
    assert value in record.getMessage()
    assert allowed in record.getMessage()


def test_an_unknown_variable_of_ours_is_said(caplog):
    """A misspelt setting does not go unnoticed."""
    Settings.from_env({"POWERTOOLS_OTEL_FLUSH_TIMEOUTS": "100"})

    assert "POWERTOOLS_OTEL_FLUSH_TIMEOUTS is not a setting" in caplog.text


@pytest.mark.parametrize(
    ("word", "expected"),
    [("true", True), ("1", True), ("Yes", True), ("false", False), ("0", False)],
)
def test_words_are_parsed_not_weighed(word, expected):
    """``false`` is false."""
    assert flag({"X": word}, "X", default=not expected) is expected


def test_every_field_has_its_variable():
    """Each setting can be set by a variable of its own."""
    assert set(VARIABLES.values()) == set(Settings._fields)
    assert len(VARIABLES) == len(Settings._fields)


def test_our_faults_are_logged_not_raised(caplog):
    """harmless() swallows an Exception, with its stack at DEBUG, nothing else."""
    caplog.set_level(logging.DEBUG, "powertools_otel")

    with _guard.harmless("count to two"):
        raise ValueError("one")
    with pytest.raises(SystemExit), _guard.harmless("exit"):
        raise SystemExit

    assert "Could not count to two" in caplog.text
