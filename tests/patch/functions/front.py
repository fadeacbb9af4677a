"""The first of three: takes an HTTP request and invokes the second."""

import json

import boto3
from aws_lambda_powertools import Tracer

tracer = Tracer(service="front")
functions = boto3.client("lambda")


@tracer.capture_lambda_handler
def handler(event, context):
    payload = {"order": event["pathParameters"]["id"]}
    answer = functions.invoke(FunctionName="middle", Payload=json.dumps(payload))
    return {"statusCode": 200, "body": answer["Payload"].read().decode()}
