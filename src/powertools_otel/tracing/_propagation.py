"""Where the trace continues from: the event, the context, or Lambda itself.

The order is fixed: a hook of the user; then the event, W3C before other formats and
X-Ray last, since AWS stamps its header on everything; then the ``ClientContext`` of
the invoker; then ``_X_AMZN_TRACE_ID``. A request or a single message has a parent, a
batch has links. ``OTEL_PROPAGATORS`` says which formats are read; unset it means
``tracecontext,baggage,xray``.

What X-Ray says is used by the policy ``xray_context``, whether it came in a header, in
``AWSTraceHeader`` or in the environment:

============ ======================================================================
``auto``     Its trace id is taken over. A parent in an event is followed if it was
             sampled; one that was not, or that left the decision open, becomes a
             link and our sampler decides. Lambda's own parent becomes a link, and
             counts only where the event had no context.
``parent``   It is followed entirely, its sampling decision too; an open decision
             counts as sampled. Lambda's own goes before an X-Ray header in the
             event, since it is the nearer one. ``xray-lambda`` in
             ``OTEL_PROPAGATORS`` makes ``auto`` mean this.
``link``     A new trace, with a link.
``ignore``   It is not read.
============ ======================================================================
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.trace import SpanContext, TraceFlags

from powertools_otel._guard import harmless, logger, warn_once
from powertools_otel.tracing import _events, _w3c_headers, _xray_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from powertools_otel._settings import Settings

    Hook = Callable[[Any, Any], Mapping[str, str] | SpanContext | None]
    """Takes the event and the Lambda context. A mapping replaces the event's own
    carriers and is read by the same propagators (an empty one: no context); a
    ``SpanContext`` is the parent (an invalid one: none); None leaves all as it is.
    The links of a batch stay in any case."""

Link = tuple[SpanContext, "Mapping[str, str | int | bool]"]

LINK_LIMIT = 128
"""Links of one span: the SDK's default ``OTEL_SPAN_LINK_COUNT_LIMIT``."""
_SEARCHED = 131_072
"""Characters of JSON text that are searched in one invocation."""
_FLAGS = tuple(map(TraceFlags, range(4)))
"""All combinations of sampled and random."""
_REMOTE = True
_SAMPLED, _UNSAMPLED = _FLAGS[TraceFlags.SAMPLED], _FLAGS[TraceFlags.DEFAULT]
_FROM_ENVIRONMENT = "x-ray-env"
"""``source`` of a link to what ``_X_AMZN_TRACE_ID`` names, as the AWS Lambda
conventions of version 1.22 had it."""

_DEFAULT = ("tracecontext", "baggage", "xray")
_XRAY = "x-amzn-trace-id"
_B3_NAMES = {"b3", "b3multi"}
_READ_HERE = {"tracecontext", "baggage", "xray", "xray-lambda", *_B3_NAMES}
_EVERYTHING = _events.Wanted(None)
_MARKS = frozenset({"traceparent", _XRAY})
"""Fields without which there is no context."""
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "traceparent": ("traceparent", "Traceparent"),
    "tracestate": ("tracestate", "Tracestate"),
    "baggage": ("baggage", "Baggage"),
    _XRAY: ("X-Amzn-Trace-Id", "x-amzn-trace-id"),
}


class RemoteContext(NamedTuple):
    """Where the trace continues from."""

    parent: SpanContext | None = None
    trace_id: int | None = None
    """Without a parent: the trace to join, its sampling left to our sampler."""
    links: tuple[Link, ...] = ()
    baggage: Mapping[str, str] = {}
    dropped_links: int = 0
    """Messages of a batch behind the 128th link, or behind those looked at."""


NOTHING = RemoteContext()


class _Propagators:
    """What ``OTEL_PROPAGATORS`` asks for; ``none``, alone or not, asks for nothing.

    Attributes:
        tracecontext: Whether to read W3C Trace Context; likewise the next three.
        follow_lambda: ``xray-lambda``.
        others: Names that somebody else's package must know, in their order.
        wanted: The fields of all of them.
        linked: The same for links, which have no baggage.
    """

    __slots__ = (
        "b3",
        "baggage",
        "follow_lambda",
        "linked",
        "others",
        "tracecontext",
        "wanted",
        "xray",
    )

    def __init__(self, value: str | None) -> None:
        words = [word.strip().lower() for word in (value or "").split(",")]
        names = list(dict.fromkeys(filter(None, words))) or list(_DEFAULT)
        if "none" in names:
            names = []
        self.tracecontext = "tracecontext" in names
        self.baggage = "baggage" in names
        self.b3 = not _B3_NAMES.isdisjoint(names)
        self.follow_lambda = "xray-lambda" in names
        self.xray = self.follow_lambda or "xray" in names
        self.others = tuple(name for name in names if name not in _READ_HERE)
        self.linked = self._wanted(baggage=False)
        self.wanted = self._wanted(baggage=True) if self.baggage else self.linked

    def _wanted(self, *, baggage: bool) -> _events.Wanted:
        fields: list[str] = []
        spellings, mark_names = _SPELLINGS, _MARKS
        if self.tracecontext:
            fields += ("traceparent", "tracestate")
        if self.b3:
            from powertools_otel.tracing import _b3_headers

            spellings = {**spellings, **_b3_headers.SPELLINGS}
            mark_names |= _b3_headers.MARKS
            fields += _b3_headers.SPELLINGS
        if self.xray:
            fields.append(_XRAY)
        if baggage:
            fields.append("baggage")
        foreign = _foreign_fields(self.others)
        marks: list[str] = []
        extras: list[str] = []
        for field in fields:
            into = marks if field in mark_names else extras
            # W3C names are lower case; where text is searched, each spelling costs.
            into += spellings[field] if field.startswith("x-") else (field,)
        return _events.Wanted(
            None if self.others else frozenset(fields),
            (*(word for field in fields for word in spellings[field]), *foreign),
            (*marks, *foreign),
            tuple(extras),
        )


def _foreign_fields(names: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name in names:
        from powertools_otel.tracing import _other_propagators

        found += _other_propagators.fields(name)
    return found


_propagators = lru_cache(maxsize=8)(_Propagators)


def forget() -> None:
    """Look for propagators of other packages again, for tests."""
    _propagators.cache_clear()


class _Remote:
    """What one carrier, or several, have given.

    Attributes:
        parent: The span to follow.
        trace_id: The trace to join where there is no parent.
        named: A span to link to rather than to follow.
        by_xray: Whether an X-Ray header said so.
        links: All the links that are known so far.
        facts: What a link to ``parent`` would say of it.
    """

    __slots__ = ("by_xray", "facts", "links", "named", "parent", "trace_id")

    def __init__(
        self,
        parent: SpanContext | None = None,
        *,
        trace_id: int | None = None,
        named: SpanContext | None = None,
        by_xray: bool = False,
        links: tuple[Link, ...] = (),
    ) -> None:
        self.parent = parent
        self.trace_id = trace_id
        self.named = named
        self.by_xray = by_xray
        self.links = links
        self.facts: Mapping[str, str | int | bool] = {}

    @property
    def is_context(self) -> bool:
        """Whether it names a span, not only a trace."""
        return self.parent is not None or self.named is not None

    @property
    def is_trace(self) -> bool:
        """Whether it names a span of the trace to be continued."""
        return self.parent is not None or (
            self.named is not None and self.trace_id is not None
        )


def extract(
    description: _events.EventDescription,
    event: Any,
    context: Any,
    trace_header: str | None,
    settings: Settings,
    propagators: str | None = None,
    hook: Hook | None = None,
) -> RemoteContext:
    """Find where the trace continues from. Never raises.

    Args:
        description: Of ``event``.
        event: For the hook.
        context: The Lambda context, or a durable execution's.
        trace_header: ``_X_AMZN_TRACE_ID``, which changes with every invocation.
        settings: ``xray_context`` and ``http_context``.
        propagators: ``OTEL_PROPAGATORS``.
        hook: The user's own way to find a context.
    """
    with harmless("find the caller's trace"):
        names = _propagators(propagators)
        policy = settings.xray_context
        if names.follow_lambda and policy == "auto":
            policy = "parent"
        reader = _Reader(names, policy, settings.http_context)
        remote = _Remote()
        links: tuple[Link, ...] = ()
        dropped = 0
        found = _ask(hook, event, context, reader)
        messages = description.messages
        with harmless("read the event's context"):
            if messages is not None and messages.total > 1:
                links, dropped = reader.links(messages)
            elif found is None and messages is not None and messages.records:
                remote = reader.message(messages)
            elif found is None:
                remote = reader.first(description.carriers)
        if found is not None:
            remote = found
        elif not remote.is_context and not links:
            with harmless("read the client context"):
                invoker = _events.invoker_carrier(context)
                if invoker is not None:
                    remote = _better(reader.first((invoker,)), remote)
        remote = _with_lambda(remote, _xray_header.parse(trace_header), policy)
        return RemoteContext(
            remote.parent,
            None if remote.parent is not None else remote.trace_id,
            (*links, *remote.links)[:LINK_LIMIT],
            reader.baggage,
            dropped,
        )
    return NOTHING


def _better(remote: _Remote, other: _Remote) -> _Remote:
    return remote if remote.is_context or remote.trace_id else other


class _Reader:
    """Reads carriers, and keeps the first baggage that it meets."""

    __slots__ = ("_budget", "_http_context", "_names", "_policy", "baggage")

    def __init__(self, names: _Propagators, policy: str, http_context: str) -> None:
        self._names = names
        self._policy = policy
        self._http_context = http_context
        self._budget = _events.Budget(_SEARCHED)
        self.baggage: Mapping[str, str] = {}

    def first(self, carriers: tuple[_events.Carrier, ...]) -> _Remote:
        """What the first carrier with a context says."""
        found = _Remote()
        for carrier in carriers:
            how = self._http_context if carrier.outside else "parent"
            if how == "ignore":
                continue
            fields = carrier.read(carrier.source, self._names.wanted, self._budget)
            if not fields:
                continue
            found = _better(self.fields(fields, {}, trusted=how == "parent"), found)
            if found.is_context:
                break
        return found

    def message(self, messages: _events.Messages) -> _Remote:
        """What the only message says."""
        record = messages.records[0]
        fields = messages.read(record, self._names.wanted, self._budget)
        if not fields:
            return _Remote()
        return self.fields(fields, messages.identify(record), trusted=True)

    def links(self, messages: _events.Messages) -> tuple[tuple[Link, ...], int]:
        """A link to each message's context: the first 128, and what was left out."""
        found: list[Link] = []
        examined = 0
        wanted, budget = self._names.linked, self._budget
        for record in islice(messages.records, _events.EXAMINED):
            examined += 1
            fields = messages.read(record, wanted, budget)
            if not fields:
                continue
            target = self._target(fields)
            if target is not None:
                found.append((target, messages.identify(record)))
                if len(found) == LINK_LIMIT:
                    break
        return tuple(found), messages.total - examined if found else 0

    def fields(
        self, fields: Mapping[str, str], facts: Mapping[str, Any], *, trusted: bool
    ) -> _Remote:
        """What one carrier's fields say; untrusted ones give no more than a link."""
        remote = self._context(fields, trusted=trusted)
        if not trusted:
            target = remote.parent or remote.named
            return _Remote(named=target, links=_link(target, facts))
        if not self.baggage and self._names.baggage and "baggage" in fields:
            self.baggage = _w3c_headers.baggage(fields["baggage"])
        if remote.named is not None:
            remote.links = _link(remote.named, facts)
        remote.facts = facts
        return remote

    def _target(self, fields: Mapping[str, str]) -> SpanContext | None:
        """The span that the fields name, for a link."""
        target = self._parent(fields, trusted=False)
        if target is None and self._names.xray and self._policy != "ignore":
            header = _xray_header.parse(fields.get(_XRAY))
            if header is not None and header.parent_id is not None:
                return _span_context(header)
        return target

    def _context(self, fields: Mapping[str, str], *, trusted: bool) -> _Remote:
        """The context in lower-case fields."""
        parent = self._parent(fields, trusted=trusted)
        if parent is not None:
            return _Remote(parent)
        header = _xray_header.parse(fields.get(_XRAY)) if self._names.xray else None
        return _Remote() if header is None else _by_policy(header, self._policy)

    def _parent(
        self, fields: Mapping[str, str], *, trusted: bool
    ) -> SpanContext | None:
        """The context in any format but X-Ray's: W3C, then the others as named."""
        names = self._names
        if names.tracecontext:
            parent = _from_w3c(fields)
            if parent is not None:
                return parent
        if names.b3:
            parent = _from_b3(fields)
            if parent is not None:
                return parent
        for name in names.others:
            parent = self._from_other(name, fields, trusted=trusted)
            if parent is not None:
                return parent
        return None

    def _from_other(
        self, name: str, fields: Mapping[str, str], *, trusted: bool
    ) -> SpanContext | None:
        with harmless(f"extract a context with the propagator {name}"):
            from powertools_otel.tracing import _other_propagators

            parent, baggage = _other_propagators.extract(name, fields)
            if trusted and not self.baggage:
                self.baggage = baggage
            return parent
        return None


def _by_policy(header: _xray_header.XRayHeader, policy: str) -> _Remote:
    """What an event's X-Ray header is good for."""
    if policy == "ignore":
        return _Remote()
    if header.parent_id is None:
        adopted = None if policy == "link" else header.trace_id
        return _Remote(trace_id=adopted, by_xray=True)
    target = _span_context(header)
    if policy == "link":
        return _Remote(named=target, by_xray=True)
    if policy == "parent" or header.sampled:
        return _Remote(target, by_xray=True)
    return _Remote(trace_id=header.trace_id, named=target, by_xray=True)


def _with_lambda(
    remote: _Remote, header: _xray_header.XRayHeader | None, policy: str
) -> _Remote:
    """Add what ``_X_AMZN_TRACE_ID`` says, by the policy."""
    if header is None or policy == "ignore":
        return remote
    target = None if header.parent_id is None else _span_context(header)
    facts = {"source": _FROM_ENVIRONMENT}
    if policy == "link":
        remote.links += _link(target, facts)
        return remote
    if policy == "parent" and target is not None:
        if remote.parent is not None and not remote.by_xray:
            return remote
        return _Remote(target, links=_leftover(remote, header.trace_id))
    if remote.is_trace:
        return remote
    return _Remote(
        trace_id=header.trace_id, links=(*remote.links, *_link(target, facts))
    )


def _leftover(remote: _Remote, trace_id: int) -> tuple[Link, ...]:
    """Links to what Lambda's own parent displaces, unless it is the same trace."""
    displaced = remote.parent
    if displaced is None or displaced.trace_id == trace_id:
        return remote.links
    return (*remote.links, (displaced, remote.facts))


def _ask(
    hook: Hook | None, event: Any, context: Any, reader: _Reader
) -> _Remote | None:
    """What the user's hook says; None if there is none or it leaves the matter."""
    if hook is None:
        return None
    try:
        answer = hook(event, context)
        if answer is None:
            return None
        if isinstance(answer, SpanContext):
            return _Remote(answer if answer.is_valid else None)
        fields = _events.pick_nested(dict(answer), _EVERYTHING, _events.Budget(0))
        return reader.fields(fields, {}, trusted=True)
    except Exception as error:  # noqa: BLE001 - it is the user's code
        warn_once(
            "hook:extract",
            "The hook that finds the caller's context failed (%s). Going on without"
            " it; this is not said again.",
            type(error).__name__,
        )
        logger.debug("The hook that finds the caller's context failed", exc_info=True)
        return None


def _link(target: SpanContext | None, facts: Mapping[str, Any]) -> tuple[Link, ...]:
    return () if target is None else ((target, facts),)


def _from_w3c(fields: Mapping[str, str]) -> SpanContext | None:
    parent = _w3c_headers.traceparent(fields.get("traceparent"))
    if parent is None:
        return None
    trace_id, span_id, flags = parent
    state = _w3c_headers.tracestate(fields.get("tracestate"))
    return SpanContext(trace_id, span_id, _REMOTE, _FLAGS[flags], state)


def _from_b3(fields: Mapping[str, str]) -> SpanContext | None:
    from powertools_otel.tracing import _b3_headers

    found = _b3_headers.parse(fields)
    if found is None:
        return None
    flags = _UNSAMPLED if found.sampled is False else _SAMPLED
    return SpanContext(found.trace_id, found.span_id, _REMOTE, flags)


def _span_context(header: _xray_header.XRayHeader) -> SpanContext:
    """The span that an X-Ray header names; an open decision counts as sampled."""
    flags = _UNSAMPLED if header.sampled is False else _SAMPLED
    return SpanContext(header.trace_id, header.parent_id or 0, _REMOTE, flags)
