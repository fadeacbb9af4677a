"""A function that only meters."""

from aws_lambda_powertools import Metrics

metrics = Metrics(namespace="Shop", service="payment")


@metrics.log_metrics
def handler(event, context):
    metrics.add_metric("Charges", "Count", 1)
    return "metered"
