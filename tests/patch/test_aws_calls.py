"""What goes out with AWS calls, as boto3 writes it on the wire."""

import base64
import json

MAKE = """
spans = capture()
tracer = Tracer(service="s")

def call(service, operation, **parameters):
    client = aws(service)
    with tracer.provider.in_subsegment("caller"):
        getattr(client, operation)(**parameters)
    client_span = spans.all[-2]
    context = client_span.get_span_context()
    return [format(context.trace_id, "032x"), format(context.span_id, "016x")]
"""


def header(trace, span):
    return f"Root=1-{trace[:8]}-{trace[8:]};Parent={span};Sampled=1"


def test_each_message_of_a_batch_has_the_header_and_entries_stay_the_callers(run):
    (trace, span), entries, (body, _) = run(
        MAKE
        + """
entries = [
    {"Id": "1", "MessageBody": "a"},
    {"Id": "2", "MessageBody": "b", "MessageSystemAttributes": {
        "AWSTraceHeader": {"DataType": "String", "StringValue": "the caller's"}}},
]
ids = call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)
tell([ids, entries, bodies[-1]])
"""
    )
    sent = [
        entry["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"]
        for entry in json.loads(body)["Entries"]
    ]
    assert sent == [header(trace, span), "the caller's"]
    assert entries[0] == {"Id": "1", "MessageBody": "a"}


def test_events_and_executions_have_the_header(run):
    answers = run(
        MAKE
        + """
entry = {"Source": "s", "DetailType": "d", "Detail": "{}"}
events = call("events", "put_events", Entries=[entry]), bodies[-1]
arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:m"
machine = call("stepfunctions", "start_execution", stateMachineArn=arn), bodies[-1]
tell([events, machine, entry])
"""
    )
    (ids, (body, _)), (other_ids, (other_body, _)), entry = answers
    assert json.loads(body)["Entries"][0]["TraceHeader"] == header(*ids)
    assert json.loads(other_body)["traceHeader"] == header(*other_ids)
    assert "TraceHeader" not in entry


def test_an_invocation_has_a_client_context_and_its_payload_untouched(run):
    answers = run(
        MAKE
        + """
import base64, io
given = base64.b64encode(json.dumps(
    {"client": {"app_title": "t"}, "custom": {"a": 1}}).encode()).decode()
huge = base64.b64encode(json.dumps({"custom": {"a": "x" * 2500}}).encode()).decode()
answers = []
for options in (
    {"Payload": b'{"headers": {"a": "b"}}'},
    {"Payload": b'[1, 2]'},
    {"Payload": io.BytesIO(b'{"k":  1}')},
    {},
    {"Payload": b'{}', "ClientContext": given},
    {"Payload": b'{}', "ClientContext": huge},
    {"Payload": b'{}', "ClientContext": "not base64 of JSON"},
    {"Payload": b'{}', "InvocationType": "Event"},
):
    ids = call("lambda", "invoke", FunctionName="other", **options)
    answers.append([ids, *bodies[-1]])
tell([answers, given, huge])
"""
    )
    calls, given, huge = answers
    payloads = [payload for _, payload, _ in calls]
    assert payloads == [
        '{"headers": {"a": "b"}}',
        "[1, 2]",
        '{"k":  1}',
        "",
        *["{}"] * 4,
    ]
    contexts = [context for _, _, context in calls]
    for (trace, span), _, context in calls[:4]:
        custom = decoded(context)["custom"]
        assert custom == {"traceparent": f"00-{trace}-{span}-03"}
    merged = decoded(contexts[4])
    assert merged["client"] == decoded(given)["client"]
    assert merged["custom"]["a"] == 1
    assert merged["custom"]["traceparent"]
    assert contexts[5] == huge or len(contexts[5]) <= 3583
    assert contexts[6] == "not base64 of JSON"
    assert contexts[7] is None


def decoded(context):
    return json.loads(base64.b64decode(context))


def test_the_header_of_a_span_that_is_not_sampled_says_so(run):
    body, _ = run(
        """
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
        from powertools_otel.tracing import _sdk
        spans = capture()
        _sdk.override.provider.sampler = ALWAYS_OFF
        Tracer(service="s")
        aws("sqs").send_message(QueueUrl=url, MessageBody="a")
        tell(bodies[-1])
        """
    )
    assert "Sampled=0" in body


def test_without_tracing_calls_are_as_the_caller_made_them(run):
    calls = run(
        """
        tracer = Tracer(service="s")
        import boto3
        tracer.provider._pipeline.disabled = True
        aws("sqs").send_message(QueueUrl=url, MessageBody="a")
        aws("lambda").invoke(FunctionName="f", Payload=b"{}")
        tell([bodies, imported("opentelemetry.instrumentation.botocore") != []])
        """
    )
    ((message, _), (payload, context)), instrumented = calls
    assert instrumented
    assert "AWSTraceHeader" not in message
    assert payload == "{}"
    assert context is None


def test_calls_of_aiobotocore_carry_the_context_too(run):
    ids, (payload, context), scopes = run(
        """
        import asyncio
        from aiobotocore.session import get_session
        spans = capture()
        tracer = Tracer(service="s")

        @tracer.capture_method
        async def caller():
            async with get_session().create_client(
                "lambda",
                endpoint_url=url,
                region_name="eu-west-1",
                aws_access_key_id="none",
                aws_secret_access_key="none",
            ) as client:
                await client.invoke(FunctionName="other", Payload=b"{}")

        asyncio.run(caller())
        invoke, caller_span = spans.all
        ids = invoke.get_span_context()
        assert invoke.parent.span_id == caller_span.get_span_context().span_id
        tell([
            [format(ids.trace_id, "032x"), format(ids.span_id, "016x")],
            bodies[-1],
            [span.instrumentation_scope.name for span in spans],
        ])
        """
    )
    trace, span = ids
    assert payload == "{}"
    assert decoded(context)["custom"] == {"traceparent": f"00-{trace}-{span}-03"}
    assert scopes[0].startswith("opentelemetry.instrumentation.botocore")
