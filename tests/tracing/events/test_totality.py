"""Whatever an event is or does: an answer, no exception, nothing without a bound."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link
from tests.tracing.events.samples import NAMES, TRACEPARENT, sample

from powertools_otel._settings import Settings
from powertools_otel.tracing import _propagation
from powertools_otel.tracing._events import describe

if TYPE_CHECKING:
    from powertools_otel.tracing._propagation import RemoteContext

SETTINGS = Settings()
TRIGGERS = {"http", "pubsub", "datasource", "timer", "other"}
HEADER = "Root=1-67ab12c4-aaaaaaaaaaaaaaaaaaaaaaaa;Parent=1111111111111111;Sampled=0"
PROPAGATORS = "tracecontext,baggage,b3,xray"


class Raising:
    """Raises at whatever is asked of it, but for what test tools need."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return object.__getattribute__(self, name)
        raise RuntimeError(name)

    def __bool__(self) -> NoReturn:
        raise RuntimeError

    def __len__(self) -> NoReturn:
        raise RuntimeError

    def __iter__(self) -> NoReturn:
        raise RuntimeError

    def __str__(self) -> NoReturn:
        raise RuntimeError


class RaisingDict(dict[str, Any]):
    """A dict whose every reading method raises."""

    def get(self, *_: object) -> NoReturn:
        raise RuntimeError

    def __getitem__(self, _: object) -> NoReturn:
        raise RuntimeError

    def __contains__(self, _: object) -> NoReturn:
        raise RuntimeError

    def items(self) -> NoReturn:
        raise RuntimeError

    def values(self) -> NoReturn:
        raise RuntimeError


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


HUGE = "x" * 200_000
HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    float("nan"),
    "",
    "\ud800\x00",
    HUGE,
    HUGE + "," + HUGE,
    "=" * 20_000,
    "a=b," * 20_000,
    "{" * 20_000,
    '{"Type":"Notification","TopicArn":"x","MessageAttributes":' + "[" * 8000,
    '{"detail-type":"x","traceparent":' + '"traceparent":' * 100,
    "arn:" * 1000,
    TRACEPARENT,
    [],
    [None],
    [HUGE, HUGE],
    {},
    {"": None},
    {HUGE: HUGE},
    {"traceparent": TRACEPARENT, "baggage": "k=v," * 5000},
    {f"k{n}": "v" for n in range(500)},
    nested(10_000),
]
"""JSON values that no field should have."""
RAISING: list[Any] = [RaisingDict(traceparent=TRACEPARENT), Raising()]
ANYTHING = HOSTILE + RAISING


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a JSON document."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*path, index))
    return found


def replaced(event: Any, path: tuple[Any, ...], value: Any, *, remove: bool) -> Any:
    """The event with something else at ``path``, or without it."""
    if not path:
        return value
    step, *rest = path
    holder = event.copy()
    if rest:
        holder[step] = replaced(holder[step], tuple(rest), value, remove=remove)
    elif remove:
        del holder[step]
    else:
        holder[step] = value
    return holder


def check(event: Any, chosen: Settings = SETTINGS) -> RemoteContext:
    found = describe(event, chosen)
    assert found.trigger in TRIGGERS
    assert found.attributes["faas.trigger"] == found.trigger
    assert found.name is None or 0 < len(found.name) <= 2100
    attributes = [found.attributes]
    if found.consumer is not None:
        assert 0 < len(found.consumer.name) <= 1100
        attributes.append(found.consumer.attributes)
    remote = _propagation.extract(found, event, None, HEADER, chosen, PROPAGATORS)
    assert len(remote.links) <= 128
    assert remote.dropped_links >= 0
    attributes += [dict(facts) for _, facts in remote.links]
    for facts in attributes:
        assert all(bounded(value) for value in facts.values()), facts
    assert len(remote.baggage) <= 64
    assert sum(len(k) + len(v) for k, v in remote.baggage.items()) <= 8192
    contexts = [context for context, _ in remote.links]
    if remote.parent is not None:
        contexts.append(remote.parent)
    assert all(context.is_valid and context.is_remote for context in contexts)
    assert all(len(context.trace_state.to_header()) <= 512 for context in contexts)
    return remote


def bounded(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= 1024
    return isinstance(value, int) and abs(value) < 2**63


@pytest.mark.parametrize("name", NAMES)
def test_every_field_may_be_missing_or_hostile(
    name: str, caplog: pytest.LogCaptureFixture
):
    """Each value of each sample, left out and replaced by each hostile one in turn.

    JSON never even reaches the guard around the whole: one wrong field costs no more
    than itself.
    """
    caplog.set_level(logging.DEBUG, "powertools_otel")
    event = sample(name)
    for path in places(event):
        if path:
            check(replaced(event, path, None, remove=True))
        for value in HOSTILE:
            check(replaced(event, path, value, remove=False))
    assert not caplog.records

    for path in places(event):
        for value in RAISING:
            check(replaced(event, path, value, remove=False))
    assert caplog.records, "the guard was not reached, or does not log"


def hostile(index: int) -> Any:
    """By its number: Hypothesis cannot write down some of them."""
    return ANYTHING[index]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.integers(0, len(ANYTHING) - 1).map(hostile),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_several_fields_at_once_may_be_anything(data: st.DataObject):
    """Random JSON at several random places of a random sample, all settings."""
    event = sample(data.draw(st.sampled_from(NAMES)))
    # The deepest first: a place within one that was replaced is no more.
    paths = st.lists(
        st.sampled_from(places(event)), min_size=1, max_size=4, unique=True
    )
    for path in sorted(data.draw(paths), key=len, reverse=True):
        remove = bool(path) and isinstance(path[-1], str) and data.draw(st.booleans())
        event = replaced(event, path, data.draw(JSON), remove=remove)
    check(
        event,
        Settings(
            url_query=data.draw(st.booleans()),
            http_context=data.draw(st.sampled_from(["parent", "link", "ignore"])),
            xray_context=data.draw(
                st.sampled_from(["auto", "parent", "link", "ignore"])
            ),
        ),
    )


@settings(max_examples=200)
@given(JSON)
def test_any_json_is_an_event(event: Any):
    """Also at the top."""
    check(event)


@pytest.mark.parametrize(
    "context",
    [
        Raising(),
        SimpleNamespace(client_context=Raising()),
        SimpleNamespace(client_context=SimpleNamespace(custom=Raising())),
        SimpleNamespace(client_context=SimpleNamespace(custom={"traceparent": 7})),
        SimpleNamespace(state=1, lambda_context=Raising()),
        7,
    ],
)
def test_the_context_may_be_anything(context: object):
    """A raising context costs what it would have told, not what the event tells."""
    event = {"traceparent": "nonsense"}

    remote = _propagation.extract(
        describe(event, SETTINGS), event, context, HEADER, SETTINGS
    )

    assert remote.parent is None
    assert remote.trace_id == 0x67AB12C4AAAAAAAAAAAAAAAAAAAAAAAA


@pytest.mark.parametrize("name", NAMES)
def test_the_sdk_takes_what_is_found(name: str):
    """Attributes and links start real spans without a warning or a loss."""
    event = sample(name)
    found = describe(event, SETTINGS)
    remote = _propagation.extract(found, event, None, HEADER, SETTINGS)
    attributes = {
        **found.attributes,
        **({} if found.consumer is None else found.consumer.attributes),
    }
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    span: Any = tracer.start_span(
        found.name or "function",
        attributes=attributes,
        links=[Link(context, facts) for context, facts in remote.links],
    )
    span.end()

    assert dict(span.attributes) == attributes
    assert [link.context for link in span.links] == [link[0] for link in remote.links]


def conventional_names() -> set[str]:
    """Every attribute name in the installed semantic conventions."""
    names: set[str] = set()
    for package in (stable, incubating):
        for module in pkgutil.iter_modules(package.__path__):
            content = vars(importlib.import_module(f"{package.__name__}.{module.name}"))
            names |= {value for value in content.values() if isinstance(value, str)}
    return names


def test_every_attribute_is_one_of_the_conventions():
    """Literals in our code, compared with the published package here."""
    used: set[str] = set()
    for name in NAMES:
        event = sample(name)
        found = describe(event, SETTINGS)
        used |= set(found.attributes)
        if found.consumer is not None:
            used |= set(found.consumer.attributes)
        if found.messages is not None:
            for record in found.messages.records:
                used |= set(found.messages.identify(record))

    assert len(used) > 25
    assert used <= conventional_names()
