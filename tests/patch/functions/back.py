"""The third of three."""

from aws_lambda_powertools import Tracer

tracer = Tracer(service="back")


@tracer.capture_method
def store():
    return "stored"


@tracer.capture_lambda_handler
def handler(event, context):
    return {"statusCode": 200, "body": store()}
