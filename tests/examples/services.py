"""The AWS services that the examples call, on loopback, as far as they call them."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any

from tests.support.aws_stub import AwsStub, Json, ServiceError

ACCOUNT = "123456789012"
REGION = "eu-west-1"


class Services(AwsStub):
    """DynamoDB, SQS and Secrets Manager; what they got stays readable.

    Attributes:
        tables: Items by table, in DynamoDB's own notation.
        queues: Messages as they were sent, by the queue's URL.
        secrets: What there is to fetch, by name.
    """

    def __init__(self) -> None:
        self.tables: dict[str, list[Json]] = {}
        self.queues: dict[str, list[Json]] = {}
        self.secrets: dict[str, str] = {}
        super().__init__()

    def operation(self, path: str, target: str) -> str:
        return target.partition(".")[2]

    def perform(self, operation: str, body: Json) -> Json:
        match operation:
            case "PutItem":
                self.tables.setdefault(body["TableName"], []).append(body["Item"])
                return {}
            case "GetItem":
                found = [item for item in self._items(body) if _has(item, body["Key"])]
                return {"Item": found[-1]} if found else {}
            case "Scan":
                count = len(self._items(body))
                return {"Count": count, "ScannedCount": count}
            case "SendMessage":
                return self._send(body["QueueUrl"], body)
            case "SendMessageBatch":
                url = body["QueueUrl"]
                sent = [{"Id": e["Id"], **self._send(url, e)} for e in body["Entries"]]
                return {"Successful": sent, "Failed": []}
            case "GetSecretValue":
                name = body["SecretId"]
                if name not in self.secrets:
                    raise ServiceError("ResourceNotFoundException")
                return {"Name": name, "SecretString": self.secrets[name]}
        raise ServiceError("UnknownOperationException")

    def _items(self, body: Json) -> list[Json]:
        return self.tables.get(body["TableName"], [])

    def _send(self, url: str, message: Json) -> Json:
        digest = hashlib.md5(message["MessageBody"].encode(), usedforsecurity=False)
        self.queues.setdefault(url, []).append(message)
        return {
            "MessageId": str(uuid.uuid4()),
            "MD5OfMessageBody": digest.hexdigest(),
        }


def _has(item: Json, key: Json) -> bool:
    return key.items() <= item.items()


def message(body: Any, **attributes: str) -> Json:
    """A message as SQS takes it; attributes such as `traceparent` are the sender's."""
    return {
        "MessageBody": json.dumps(body),
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in attributes.items()
        },
    }


def sqs_event(messages: list[Json], queue: str, *, waited_s: float = 0.25) -> Json:
    """The event that Lambda's poller makes of messages sent to a queue."""
    sent_ms = str(int((time.time() - waited_s) * 1000))
    return {
        "Records": [
            {
                "messageId": f"message-{at}",
                "receiptHandle": f"handle-{at}",
                "body": sent["MessageBody"],
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "ApproximateFirstReceiveTimestamp": sent_ms,
                    "SenderId": "AROAEXAMPLE:sender",
                    "SentTimestamp": sent_ms,
                    **{
                        name: attribute["StringValue"]
                        for name, attribute in sent.get(
                            "MessageSystemAttributes", {}
                        ).items()
                    },
                },
                "messageAttributes": {
                    name: {
                        "stringValue": attribute["StringValue"],
                        "stringListValues": [],
                        "binaryListValues": [],
                        "dataType": attribute["DataType"],
                    }
                    for name, attribute in sent.get("MessageAttributes", {}).items()
                },
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
                "awsRegion": REGION,
            }
            for at, sent in enumerate(messages)
        ]
    }


def http_event(
    route: str,
    path: str,
    *,
    body: Any = None,
    headers: Json | None = None,
    **names: str,
) -> Json:
    """An HTTP API's event, payload version 2.0; `names` are the path's parameters."""
    method = route.partition(" ")[0]
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "api.example.com", **(headers or {})},
        "pathParameters": names,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "api",
            "domainName": "api.example.com",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "test",
            },
            "requestId": "request-1",
            "routeKey": route,
            "stage": "$default",
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
