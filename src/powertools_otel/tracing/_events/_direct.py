"""Everything that is invoked without a request or a message.

Direct invocations, Step Functions tasks, Cognito triggers, CloudWatch Logs and durable
executions; and the Lambda context, where the invoker of the ``Invoke`` API may put a
context of its own.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events._description import (
    Carrier,
    EventDescription,
)
from powertools_otel.tracing._events._envelopes import text_fields
from powertools_otel.tracing._events._fields import (
    TEXT_LIMIT,
    mapping,
    pick_nested,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from powertools_otel.tracing._events._fields import Budget, Wanted

_CONTEXT_OBJECT = ("Execution", "StateMachine", "State")
_TASK_INPUTS = ("Input", "input", "Payload")


def is_state_machine_task(event: Mapping[str, Any]) -> bool:
    """Whether an event holds the context object of Step Functions.

    A state machine passes it, or parts of it, with ``$$`` or ``$states.context``
    (Step Functions developer guide, "Context object"), at the top or in a member.
    """
    return _is_context_object(event) or any(
        _is_context_object(mapping(event.get(name))) for name in ("Context", "context")
    )


def _is_context_object(candidate: Mapping[str, Any]) -> bool:
    if candidate.keys().isdisjoint(_CONTEXT_OBJECT):
        return False  # which is what nearly every event gets
    members = [mapping(candidate.get(name)) for name in _CONTEXT_OBJECT]
    return any(
        isinstance(name := member.get("Id"), str) and ":states:" in name[:TEXT_LIMIT]
        for member in members
    ) or (bool(members[2]) and bool(members[0] or members[1]))


def state_machine_task(event: Mapping[str, Any]) -> EventDescription:
    """A task of Step Functions: the context is in its input, or the execution's."""
    return EventDescription(
        "step_functions", "other", carriers=(Carrier(event, _read_task),)
    )


def cognito(event: Mapping[str, Any]) -> EventDescription:
    """A Cognito user pool trigger: an application may send ``clientMetadata``."""
    metadata = mapping(event.get("request")).get("clientMetadata")
    return EventDescription(
        "cognito", "other", carriers=(Carrier(metadata, pick_nested, outside=True),)
    )


def log_subscription() -> EventDescription:
    """A CloudWatch Logs subscription: compressed log lines, without a context.

    Neither queue nor table: none of the triggers' attributes could be filled.
    """
    return EventDescription("cloudwatch_logs", "other")


def durable(event: Mapping[str, Any]) -> EventDescription:
    """An invocation of a durable execution that no SDK has unwrapped yet."""
    return EventDescription(
        "durable", "other", carriers=(Carrier(event, _read_durable),)
    )


def direct(event: Any) -> EventDescription:
    """An ``Invoke`` call: the context may be in the payload or in its ``headers``."""
    if isinstance(event, dict):
        return EventDescription(
            "direct", "other", carriers=(Carrier(event, pick_nested),)
        )
    return EventDescription("direct", "other")


def unwrap_context(context: Any) -> Any:
    """The Lambda context inside a durable execution's context, or what was given.

    Told apart as Powertools does (``shared.functions.is_durable_context``, 3.37).
    """
    if hasattr(context, "state") and hasattr(context, "lambda_context"):
        return context.lambda_context
    return context


def invoker_carrier(context: Any) -> Carrier | None:
    """Where the ``ClientContext`` of an ``Invoke`` call may hold a context."""
    invoker = getattr(unwrap_context(context), "client_context", None)
    custom = getattr(invoker, "custom", None)
    return Carrier(custom, pick_nested) if isinstance(custom, dict) else None


def _read_task(event: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    task = mapping(event)
    found = pick_nested(task, wanted, budget)
    for name in _TASK_INPUTS:
        found = {**pick_nested(task.get(name), wanted, budget), **found}
    if found:
        return found
    for holder in (task, mapping(task.get("Context")), mapping(task.get("context"))):
        started_with = mapping(holder.get("Execution")).get("Input")
        found = {**pick_nested(started_with, wanted, budget), **found}
    return found


def _read_durable(event: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    state = mapping(mapping(event).get("InitialExecutionState"))
    for operation in islice(sequence(state.get("Operations")), 1):
        details = mapping(mapping(operation).get("ExecutionDetails"))
        return text_fields(details.get("InputPayload"), wanted, budget)
    return {}
