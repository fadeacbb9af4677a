"""The trace context in AWS calls, where AWS itself carries it on.

OpenTelemetry's botocore instrumentation puts ``X-Amzn-Trace-Id`` on every request, and
W3C attributes into SNS messages. It also writes into the payload of ``Invoke``, which
is the application's; here the payload stays as it is, and the context travels as
``ClientContext``, which Lambda hands to the function beside the event. The fields of
SQS, EventBridge and Step Functions for X-Ray headers are filled for each message: they
count in no limit, and a consumer is given them back.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from typing_extensions import override

from powertools_otel._guard import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., Any]

_CLIENT_CONTEXT_LIMIT = 3_583
"""Bytes of base64 that the ``Invoke`` API takes (API reference, ``X-Amz-Client-Context``)."""
_INVOKES = frozenset({"Invoke", "InvokeWithResponseStream"})


def add_context(make_api_call: Call) -> Call:
    """Wrap ``BaseClient._make_api_call``, to run within the call's span."""

    @functools.wraps(make_api_call)
    def with_context(self: Any, operation_name: str, api_params: Any) -> Any:
        with harmless("pass the trace context to AWS"):
            service = self.meta.service_model.service_name
            add = _ADD.get((service, operation_name))
            span = trace.get_current_span().get_span_context()
            if add is not None and span.is_valid:
                api_params = add(dict(api_params), _xray_header(span))
        return make_api_call(self, operation_name, api_params)

    return with_context


def keep_payload(make_api_call: Any) -> Call:
    """Wrap ``BaseClient._make_api_call`` as instrumented, to run around it."""

    @functools.wraps(make_api_call)
    def with_payload(self: Any, operation_name: str, api_params: dict[str, Any]) -> Any:
        if operation_name in _INVOKES:
            api_params = _Parameters(api_params)
        # Bound first: it is a descriptor that wants to know its instance.
        bound: Call = make_api_call.__get__(self, type(self))
        return bound(operation_name, api_params)

    return with_payload


class _Parameters(dict[str, Any]):
    """Parameters of a call whose payload nobody changes."""

    @override
    def __setitem__(self, name: str, value: Any) -> None:
        if name != "Payload":
            super().__setitem__(name, value)


def _xray_header(span: trace.SpanContext) -> str:
    """As the X-Ray developer guide has it ("Tracing header")."""
    trace_id = f"{span.trace_id:032x}"
    return (
        f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={span.span_id:016x};"
        f"Sampled={int(span.trace_flags.sampled)}"
    )


def _invoke(params: dict[str, Any], _: str) -> dict[str, Any]:
    """Add to the ``custom`` member of the client context, as AWS's mobile SDKs do."""
    if params.get("InvocationType", "RequestResponse") != "RequestResponse":
        # Lambda passes no client context on then; it does read the header.
        return params
    import base64
    import json

    from opentelemetry import propagate

    fields: dict[str, str] = {}
    propagate.inject(fields)
    given = params.get("ClientContext")
    context: dict[str, Any] = json.loads(base64.b64decode(given)) if given else {}
    context["custom"] = {**fields, **context.get("custom", {})}
    encoded = base64.b64encode(json.dumps(context).encode()).decode()
    if len(encoded) <= _CLIENT_CONTEXT_LIMIT:
        params["ClientContext"] = encoded
    return params


def _message(entry: dict[str, Any], header: str) -> dict[str, Any]:
    attributes = {
        "AWSTraceHeader": {"DataType": "String", "StringValue": header},
        **entry.get("MessageSystemAttributes", {}),
    }
    return {**entry, "MessageSystemAttributes": attributes}


def _messages(params: dict[str, Any], header: str) -> dict[str, Any]:
    params["Entries"] = [_message(entry, header) for entry in params["Entries"]]
    return params


def _events(params: dict[str, Any], header: str) -> dict[str, Any]:
    params["Entries"] = [
        {"TraceHeader": header, **entry} for entry in params["Entries"]
    ]
    return params


def _execution(params: dict[str, Any], header: str) -> dict[str, Any]:
    return {"traceHeader": header, **params}


_ADD: dict[tuple[str, str], Callable[[dict[str, Any], str], dict[str, Any]]] = {
    ("events", "PutEvents"): _events,
    ("lambda", "Invoke"): _invoke,
    ("lambda", "InvokeWithResponseStream"): _invoke,
    ("sqs", "SendMessage"): _message,
    ("sqs", "SendMessageBatch"): _messages,
    ("stepfunctions", "StartExecution"): _execution,
    ("stepfunctions", "StartSyncExecution"): _execution,
}
