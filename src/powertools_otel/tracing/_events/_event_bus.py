"""EventBridge: events of a bus, rules that run on a schedule, and the Scheduler.

Event format: the EventBridge user guide ("Event structure", "Scheduled rules") and the
Scheduler guide ("Universal targets" and its default input).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events._description import (
    Attributes,
    Carrier,
    EventDescription,
    Messages,
)
from powertools_otel.tracing._events._envelopes import text_fields
from powertools_otel.tracing._events._fields import (
    mapping,
    pick_nested,
    put,
    text,
)
from powertools_otel.tracing._events._messages import consumer, received

if TYPE_CHECKING:
    from collections.abc import Mapping

    from powertools_otel.tracing._events._fields import Budget, Wanted

_SCHEDULED = "Scheduled Event"
_SCHEDULERS = {"aws.events": "eventbridge_schedule", "aws.scheduler": "scheduler"}


def event_bus(event: Mapping[str, Any]) -> EventDescription:
    """An event, or a tick of a schedule.

    The event names its source, not its bus: the source is the destination here.
    ``faas.time`` is the schedule's time; no event says the cron expression.
    """
    source = event.get("source")
    if event.get("detail-type") == _SCHEDULED and isinstance(source, str):
        schedule = _SCHEDULERS.get(source)
        if schedule is not None:
            return _tick(event, schedule)
    span = consumer("aws.eventbridge", text(source))
    messages = Messages((event,), 1, _read, _identify)
    return received("eventbridge", span, messages, batch=False)


def _tick(event: Mapping[str, Any], source: str) -> EventDescription:
    attributes: Attributes = {}
    put(attributes, "faas.time", event.get("time"))
    carriers = (Carrier(event, _read),)
    return EventDescription(source, "timer", attributes=attributes, carriers=carriers)


def _read(event: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    """The fields in ``detail``: an object, or the Scheduler's JSON text."""
    detail = mapping(event).get("detail")
    if isinstance(detail, str):
        return text_fields(detail, wanted, budget)
    return pick_nested(detail, wanted, budget)


def _identify(event: Any) -> Attributes:
    found: Attributes = {}
    put(found, "messaging.message.id", mapping(event).get("id"))
    return found
