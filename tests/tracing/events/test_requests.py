"""What is said of HTTP requests, GraphQL fields and their callers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tracing.events.samples import sample

from powertools_otel._settings import Settings
from powertools_otel.tracing._events import describe

SETTINGS = Settings()
SHOWN = Settings(url_query=True)


def test_rest_api_has_the_template_as_route_and_in_the_name():
    """A REST request is named by its resource, and described in full."""
    found = describe(sample("apigateway_v1"), SETTINGS)

    assert (found.source, found.trigger) == ("apigateway_v1", "http")
    assert found.name == "GET /orders/{order_id}"
    assert found.attributes == {
        "faas.trigger": "http",
        "http.request.method": "GET",
        "http.route": "/orders/{order_id}",
        "url.path": "/orders/7341",
        "url.query": "expand=REDACTED&expand=REDACTED&token=REDACTED",
        "url.scheme": "https",
        "server.address": "k3xq9m2h7b.execute-api.eu-central-1.amazonaws.com",
        "server.port": 443,
        "client.address": "203.0.113.24",
        "user_agent.original": "shop-web/4.2 (Linux)",
        "network.protocol.version": "1.1",
    }
    assert found.consumer is None


def test_rest_api_tested_from_the_console_has_no_headers():
    """Null headers and parameters are no more than missing ones."""
    found = describe(sample("apigateway_v1_console_test"), SETTINGS)

    assert found.name == "GET /orders/{order_id}"
    assert "url.query" not in found.attributes
    assert found.carriers == ()


def test_http_api_takes_the_route_out_of_its_key():
    """``POST /orders/{order_id}/items``: the method is no part of the route."""
    found = describe(sample("apigateway_v2"), SETTINGS)

    assert found.source == "apigateway_v2"
    assert found.name == "POST /orders/{order_id}/items"
    assert found.attributes["http.route"] == "/orders/{order_id}/items"
    assert found.attributes["url.path"] == "/orders/7341/items"
    assert found.attributes["url.query"] == "dry_run=REDACTED&coupon=REDACTED"


def test_any_method_in_a_route_key_is_the_method_of_the_request():
    """``ANY /orders`` says which methods may come, not which one came."""
    event = sample("apigateway_v2")
    event["routeKey"] = "ANY /orders/{proxy+}"

    assert describe(event, SETTINGS).name == "POST /orders/{proxy+}"


@pytest.mark.parametrize(
    ("name", "source", "span"),
    [
        ("apigateway_v2_default_route", "apigateway_v2", "POST"),
        ("function_url", "function_url", "POST"),
        ("alb", "alb", "GET"),
        ("alb_multi_value", "alb", "GET"),
        ("vpc_lattice_v1", "vpc_lattice_v1", "GET"),
        ("vpc_lattice_v2", "vpc_lattice_v2", "GET"),
    ],
)
def test_without_a_template_the_method_is_the_name(name: str, source: str, span: str):
    """A path is no route: its cardinality has no bound."""
    found = describe(sample(name), SETTINGS)

    assert (found.source, found.name, found.trigger) == (source, span, "http")
    assert "http.route" not in found.attributes
    assert str(found.attributes["url.path"]).startswith("/orders/7341")


def test_load_balancer_names_scheme_port_and_client_from_forwarded_headers():
    """An ALB forwards what it saw in ``x-forwarded-*``."""
    attributes = describe(sample("alb"), SETTINGS).attributes

    assert attributes["url.scheme"] == "http"
    assert attributes["server.port"] == 80
    assert attributes["client.address"] == "198.51.100.7"
    assert attributes["url.query"] == "q=REDACTED&page=REDACTED"


def test_lattice_path_has_no_query():
    """Structure 1 has the query string in its path: it is not left there in clear."""
    attributes = describe(sample("vpc_lattice_v1"), SETTINGS).attributes

    assert attributes["url.path"] == "/orders/7341"
    assert attributes["url.query"] == "expand=REDACTED"
    assert attributes["client.address"] == "10.213.229.10"


@pytest.mark.parametrize(
    ("event", "span", "method"),
    [("connect", "$connect", "GET"), ("message", "sendOrder", None)],
)
def test_websocket_is_named_by_its_route_key(event: str, span: str, method: str | None):
    """Only the handshake is an HTTP request with a method."""
    found = describe(sample(f"apigateway_websocket_{event}"), SETTINGS)

    assert (found.source, found.name) == ("apigateway_websocket", span)
    assert found.attributes["network.protocol.name"] == "websocket"
    assert found.attributes.get("http.request.method") == method
    assert found.attributes["url.scheme"] == "wss"


@pytest.mark.parametrize("kind", ["request", "token"])
def test_authorizer_is_not_the_request_that_it_authorizes(kind: str):
    """Else every request would be there twice under one name."""
    found = describe(sample(f"apigateway_authorizer_{kind}"), SETTINGS)

    assert (found.source, found.trigger) == ("apigateway_authorizer", "other")
    assert found.name is None
    assert bool(found.carriers) == (kind == "request")


@pytest.mark.parametrize(
    ("event", "source", "span", "operation"),
    [
        ("appsync", "appsync", "Query.getOrder", "query"),
        ("appsync_template", "appsync", "Mutation.createOrder", "mutation"),
        ("appsync_batch", "appsync_batch", "Order.customer", None),
        ("appsync_events", "appsync_events", "PUBLISH orders", None),
    ],
)
def test_appsync_is_named_by_the_field(
    event: str, source: str, span: str, operation: str | None
):
    """A resolver resolves one field, whatever the operation's name is."""
    found = describe(sample(event), SETTINGS)

    assert (found.source, found.name, found.trigger) == (source, span, "http")
    assert found.attributes.get("graphql.operation.type") == operation
    assert found.attributes["client.address"] == "203.0.113.24"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("apigateway_v1", "expand=customer&expand=lines&token=s3cr3t"),
        ("apigateway_v2", "dry_run=1&coupon=WINTER"),
        ("alb", "q=red%20shoes&page=2"),
        ("alb_multi_value", "q=red%20shoes&size=41&size=42"),
        ("vpc_lattice_v2", "expand=lines&expand=customer"),
    ],
)
def test_query_strings_are_recorded_where_the_setting_says_so(name: str, shown: str):
    """``url_query``: values as they were sent."""
    assert describe(sample(name), SHOWN).attributes["url.query"] == shown


def test_signatures_are_redacted_even_where_query_strings_are_shown():
    """The conventions' list of credentials holds in any case, and is case-sensitive."""
    event = sample("apigateway_v2")
    event["rawQueryString"] = "a=1&X-Amz-Signature=c0ffee&sig=1&SIG=2&sig"

    query = describe(event, SHOWN).attributes["url.query"]

    assert query == "a=1&X-Amz-Signature=REDACTED&sig=REDACTED&SIG=2&sig"


@given(st.text(max_size=3000))
def test_no_query_value_is_recorded_by_default(raw: str):
    """Whatever the query string looks like, what follows a ``=`` is not in it."""
    event = sample("apigateway_v2")
    event["rawQueryString"] = raw
    query = str(describe(event, SETTINGS).attributes.get("url.query", ""))

    assert len(query) <= 1024
    assert all(part.partition("=")[2] in {"", "REDACTED"} for part in query.split("&"))


@pytest.mark.parametrize(
    ("method", "recorded", "original", "span"),
    [
        ("PATCH", "PATCH", None, "PATCH /orders/{order_id}"),
        ("PURGE", "_OTHER", "PURGE", "HTTP /orders/{order_id}"),
        ("get", "_OTHER", "get", "HTTP /orders/{order_id}"),
    ],
)
def test_unknown_methods_are_other(
    method: str, recorded: str, original: str | None, span: str
):
    """A caller cannot make up span names with made-up methods."""
    event = {**sample("apigateway_v1"), "httpMethod": method}
    found = describe(event, SETTINGS)

    assert found.attributes["http.request.method"] == recorded
    assert found.attributes.get("http.request.method_original") == original
    assert found.name == span


def test_known_methods_can_be_replaced():
    """As the conventions demand of whoever has such a list."""
    event = {**sample("apigateway_v1"), "httpMethod": "PURGE"}

    found = describe(event, SETTINGS, frozenset({"PURGE"}))

    assert found.name == "PURGE /orders/{order_id}"


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("shop.example:8443", "shop.example", 8443),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("shop.example", "shop.example", None),
        ("shop.example:0", "shop.example", None),
        ("shop.example:99999", "shop.example", None),
        ("shop.example:١٢", "shop.example", None),
    ],
)
def test_host_is_split_into_address_and_port(host: str, address: str, port: int | None):
    """IPv6 literals included; a port that is none is left out."""
    event = sample("alb")
    event["headers"] = {"Host": host}
    attributes = describe(event, SETTINGS).attributes

    assert attributes["server.address"] == address
    assert attributes.get("server.port") == port


@pytest.mark.parametrize(
    ("protocol", "version"),
    [("HTTP/1.1", "1.1"), ("HTTP/1.0", "1.0"), ("HTTP/2.0", "2"), ("HTTP/3", "3")],
)
def test_protocol_versions_are_written_as_the_conventions_do(
    protocol: str, version: str
):
    """``2``, not ``2.0``."""
    event = sample("apigateway_v2")
    event["requestContext"]["http"]["protocol"] = protocol

    attributes = describe(event, SETTINGS).attributes

    assert attributes["network.protocol.version"] == version


@pytest.mark.parametrize(
    "wrap", ["APIGatewayProxyEventV2", "LambdaFunctionUrlEvent", "ALBEvent"]
)
def test_data_classes_of_powertools_are_looked_into(wrap: str):
    """``@event_source`` may stand outside of the tracer's decorator."""
    from aws_lambda_powertools.utilities import data_classes

    wrapped: Any = getattr(data_classes, wrap)(sample("apigateway_v2"))

    assert describe(wrapped, SETTINGS).name == "POST /orders/{order_id}/items"
