"""What is known of an event: the data that the other modules of this package make.

Attribute names are those of the semantic conventions 1.44.0, written as literals: the
``opentelemetry.semconv`` package is never imported at run time. HTTP, URL, server,
client, user agent and network names are stable; the ``faas``, ``messaging``, ``aws``
and ``graphql`` names are still in development there.

Plain classes with slots: a named tuple costs five times as much at a cold start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from powertools_otel.tracing._events._fields import Budget, Wanted

    Read = Callable[[Any, Wanted, Budget], dict[str, str]]
    """Gives the wanted fields, their names in lower case."""

EXAMINED = 256
"""Messages of a batch that are looked at for a context."""

KNOWN_METHODS = frozenset(
    {
        "CONNECT",
        "DELETE",
        "GET",
        "HEAD",
        "OPTIONS",
        "PATCH",
        "POST",
        "PUT",
        "TRACE",
    }
)
"""RFC 9110 and RFC 5789; ``OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`` replaces it."""

AttributeValue = str | int | bool
Attributes = dict[str, AttributeValue]


class Consumer:
    """The CONSUMER span between the invocation's span and the user's own.

    Attributes:
        name: ``process <source>``: the queue, topic, stream or event source.
        attributes: ``messaging.*`` attributes, all known when the span starts.
    """

    __slots__ = ("attributes", "name")

    def __init__(self, name: str, attributes: Attributes) -> None:
        self.name = name
        self.attributes = attributes


class Carrier:
    """One place where a remote context may be. Nothing is read before extraction.

    Attributes:
        source: What ``read`` takes: headers, attributes, a detail, a whole event.
        read: Gives the wanted fields.
        outside: It came with a caller of a public front door, so the setting
            ``http_context`` says what it is good for.
    """

    __slots__ = ("outside", "read", "source")

    def __init__(self, source: Any, read: Read, *, outside: bool = False) -> None:
        self.source = source
        self.read = read
        self.outside = outside


class Messages:
    """The messages of a batch, each with a context of its own.

    Attributes:
        records: The first ones, at least :data:`EXAMINED` if there are so many.
        total: How many there are.
        read: As :attr:`Carrier.read`, for one record.
        identify: The attributes of a link to one record: its id, or where it lies.
    """

    __slots__ = ("identify", "read", "records", "total")

    def __init__(
        self,
        records: Sequence[Any],
        total: int,
        read: Read,
        identify: Callable[[Any], Attributes],
    ) -> None:
        self.records = records
        self.total = total
        self.read = read
        self.identify = identify


class EventDescription:
    """What an event is, and where it may carry a context.

    Attributes:
        source: Which service called, ``apigateway_v1`` for instance; ``direct`` if
            none of those that are known.
        trigger: ``faas.trigger``: ``http``, ``pubsub``, ``datasource``, ``timer`` or
            ``other``.
        name: The invocation span's name; None means the function's name.
        attributes: The invocation span's attributes, ``faas.trigger`` among them.
        consumer: For messages and streams: the span that processes them.
        carriers: Of a request: the first that holds a context wins.
        messages: Of a message or stream event: one message is a parent, several are
            links.
    """

    __slots__ = (
        "attributes",
        "carriers",
        "consumer",
        "messages",
        "name",
        "source",
        "trigger",
    )

    def __init__(
        self,
        source: str,
        trigger: str,
        name: str | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        *,
        consumer: Consumer | None = None,
        carriers: tuple[Carrier, ...] = (),
        messages: Messages | None = None,
    ) -> None:
        self.source = source
        self.trigger = trigger
        self.name = name
        self.attributes: Attributes = {"faas.trigger": trigger}
        if attributes:
            self.attributes.update(attributes)
        self.consumer = consumer
        self.carriers = carriers
        self.messages = messages
