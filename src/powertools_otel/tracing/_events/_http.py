"""Requests: API Gateway (REST, HTTP, WebSocket), ALB, Function URL, VPC Lattice.

Payload formats: the API Gateway developer guide ("Lambda proxy integrations",
"payload format version" 1.0 and 2.0, "WebSocket API mapping"), the Application Load
Balancer guide ("Lambda functions as targets"), the Lambda guide ("Function URLs") and
the VPC Lattice guide ("Lambda functions as targets", event structures 1 and 2).
Attributes: semantic conventions 1.44.0 for HTTP servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events import _query
from powertools_otel.tracing._events._description import (
    Attributes,
    Carrier,
    EventDescription,
)
from powertools_otel.tracing._events._fields import (
    TEXT_LIMIT,
    headers,
    mapping,
    put,
    read_headers,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from powertools_otel._settings import Settings

_METHOD_LIMIT = 64
_HOST_LIMIT = 256
_PORT_LIMIT = 65_535
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_FUNCTION_URL = ".lambda-url."
_WEBSOCKET_EVENTS = frozenset({"CONNECT", "MESSAGE", "DISCONNECT"})


def rest_api(
    event: Mapping[str, Any], settings: Settings, known: Container[str]
) -> EventDescription:
    """API Gateway REST, and HTTP with payload format 1.0: a template in ``resource``.

    The path is the one without the stage, as in the AWS Lambda conventions' example.
    """
    request = mapping(event.get("requestContext"))
    identity = mapping(request.get("identity"))
    sent = headers(event.get("headers"), event.get("multiValueHeaders"))
    attributes: Attributes = {}
    method = _set_method(attributes, event.get("httpMethod"), known)
    route = _set_route(attributes, event.get("resource"))
    _set_url(
        attributes,
        event.get("path"),
        _query.from_parameters(
            event.get("queryStringParameters"),
            event.get("multiValueQueryStringParameters"),
            show=settings.url_query,
        ),
        sent.get("x-forwarded-proto", "https"),
    )
    _set_peers(
        attributes,
        sent,
        request.get("domainName"),
        identity.get("sourceIp"),
        identity.get("userAgent"),
    )
    _set_protocol(attributes, request.get("protocol"))
    return _request("apigateway_v1", _name(method, route), attributes, sent)


def http_api(
    event: Mapping[str, Any], settings: Settings, known: Container[str]
) -> EventDescription:
    """API Gateway HTTP (payload format 2.0) and Function URL, which looks alike.

    The template is in ``routeKey``, ``GET /orders/{order_id}``. A Function URL, and
    the route ``$default``, have none: the span is called by the method alone, since
    a path must not stand for a route.
    """
    request = mapping(event.get("requestContext"))
    http = mapping(request.get("http"))
    domain = request.get("domainName")
    sent = headers(event.get("headers"))
    attributes: Attributes = {}
    method = _set_method(attributes, http.get("method"), known)
    route_key = text(event.get("routeKey")) or text(request.get("routeKey")) or ""
    route = _set_route(attributes, route_key.rpartition(" ")[2])
    _set_url(
        attributes,
        text(event.get("rawPath")) or http.get("path"),
        _query.from_string(event.get("rawQueryString"), show=settings.url_query),
        sent.get("x-forwarded-proto", "https"),
    )
    _set_peers(attributes, sent, domain, http.get("sourceIp"), http.get("userAgent"))
    _set_protocol(attributes, http.get("protocol"))
    is_url = isinstance(domain, str) and _FUNCTION_URL in domain[:_HOST_LIMIT]
    source = "function_url" if is_url else "apigateway_v2"
    return _request(source, _name(method, route), attributes, sent)


def websocket(event: Mapping[str, Any]) -> EventDescription:
    """API Gateway WebSocket: named by the route key, ``$connect`` or the user's own.

    Only ``$connect`` is an HTTP request (a GET, RFC 6455 section 4.1) and has headers.
    """
    request = mapping(event.get("requestContext"))
    identity = mapping(request.get("identity"))
    sent = headers(event.get("headers"), event.get("multiValueHeaders"))
    attributes: Attributes = {"network.protocol.name": "websocket"}
    if request.get("eventType") == "CONNECT":
        attributes["http.request.method"] = "GET"
    attributes["url.scheme"] = "wss"
    _set_peers(
        attributes,
        sent,
        request.get("domainName"),
        identity.get("sourceIp"),
        identity.get("userAgent"),
    )
    name = text(request.get("routeKey"))
    return _request("apigateway_websocket", name, attributes, sent)


def is_websocket(request: Mapping[str, Any]) -> bool:
    """Whether a ``requestContext`` is a WebSocket API's."""
    kind = request.get("eventType")
    return (
        isinstance(kind, str)
        and kind in _WEBSOCKET_EVENTS
        and "connectionId" in request
    )


def authorizer(event: Mapping[str, Any]) -> EventDescription:
    """A Lambda authorizer of API Gateway: it answers the gateway, not the request.

    So it has the caller's context, but neither the trigger nor the route's name.
    """
    sent = headers(event.get("headers"), event.get("multiValueHeaders"))
    carriers = (Carrier(sent, read_headers, outside=True),) if sent else ()
    return EventDescription("apigateway_authorizer", "other", carriers=carriers)


def load_balancer(
    event: Mapping[str, Any], settings: Settings, known: Container[str]
) -> EventDescription:
    """ALB, with single or multi-value headers. There is no route template."""
    sent = headers(event.get("headers"), event.get("multiValueHeaders"))
    attributes: Attributes = {}
    method = _set_method(attributes, event.get("httpMethod"), known)
    _set_url(
        attributes,
        event.get("path"),
        _query.from_parameters(
            event.get("queryStringParameters"),
            event.get("multiValueQueryStringParameters"),
            show=settings.url_query,
            encoded=True,
        ),
        sent.get("x-forwarded-proto"),
    )
    _set_peers(attributes, sent, None, None, None)
    return _request("alb", _name(method, None), attributes, sent)


def lattice(
    event: Mapping[str, Any],
    settings: Settings,
    known: Container[str],
    source: str,
) -> EventDescription:
    """VPC Lattice. There is no route template.

    Structure 1 has the query string in ``raw_path``; structure 2 has lists of values.
    """
    sent = headers(event.get("headers"))
    attributes: Attributes = {}
    method = _set_method(attributes, event.get("method"), known)
    path = text(event.get("path")) or text(event.get("raw_path")) or ""
    path, _, query = path.partition("?")
    parameters = event.get("queryStringParameters") or event.get(
        "query_string_parameters"
    )
    show = settings.url_query
    _set_url(
        attributes,
        path,
        _query.from_parameters(parameters, show=show)
        or _query.from_string(query, show=show),
        sent.get("x-forwarded-proto"),
    )
    _set_peers(attributes, sent, None, None, sent.get("user_agent"))
    return _request(source, _name(method, None), attributes, sent)


def set_caller(attributes: Attributes, sent: Mapping[str, str]) -> None:
    """What headers alone say of client and server."""
    _set_peers(attributes, sent, None, None, None)


def _request(
    source: str, name: str | None, attributes: Attributes, sent: dict[str, str]
) -> EventDescription:
    carriers = (Carrier(sent, read_headers, outside=True),) if sent else ()
    return EventDescription(source, "http", name, attributes, carriers=carriers)


def _name(method: str | None, route: str | None) -> str | None:
    if method is None:
        return route
    shown = "HTTP" if method == "_OTHER" else method
    return f"{shown} {route}" if route else shown


def _set_method(
    attributes: Attributes, value: Any, known: Container[str]
) -> str | None:
    original = text(value, _METHOD_LIMIT)
    if original is None:
        return None
    method = original if original in known else "_OTHER"
    attributes["http.request.method"] = method
    if method != original:
        attributes["http.request.method_original"] = original
    return method


def _set_route(attributes: Attributes, value: Any) -> str | None:
    route = text(value)
    if route is None or not route.startswith("/"):
        return None
    attributes["http.route"] = route
    return route


def _set_url(attributes: Attributes, path: Any, query: str | None, scheme: Any) -> None:
    put(attributes, "url.path", path)
    put(attributes, "url.query", query)
    if isinstance(scheme, str):
        scheme = scheme[:TEXT_LIMIT].partition(",")[0].strip().lower()
        if scheme in _SCHEMES:
            attributes["url.scheme"] = scheme


def _set_peers(
    attributes: Attributes,
    sent: Mapping[str, str],
    domain: Any,
    client: Any,
    agent: Any,
) -> None:
    """Server, client and user agent.

    What the service itself observed goes before what the caller's headers claim.
    """
    address, port = _split_host(text(domain) or sent.get("host"))
    if address is not None:
        attributes["server.address"] = address
        number = _port(sent.get("x-forwarded-port")) or _port(port)
        if number is not None:
            attributes["server.port"] = number
    client = text(client, _HOST_LIMIT)
    if client is None:
        forwarded = text(sent.get("x-forwarded-for")) or ""
        client = forwarded.partition(",")[0].strip()[:_HOST_LIMIT]
    put(attributes, "client.address", client)
    put(attributes, "user_agent.original", text(agent) or sent.get("user-agent"))


def _split_host(value: Any) -> tuple[str | None, str]:
    host = text(value, _HOST_LIMIT)
    if host is None:
        return None, ""
    if host.startswith("["):
        address, _, rest = host[1:].partition("]")
        return address or None, rest.removeprefix(":")
    address, _, port = host.partition(":")
    return address or None, port


def _port(value: str | None) -> int | None:
    digits = 5
    if not value or len(value) > digits or not (value.isascii() and value.isdigit()):
        return None
    number = int(value)
    return number if 0 < number <= _PORT_LIMIT else None


def _set_protocol(attributes: Attributes, value: Any) -> None:
    """``HTTP/1.1`` is version ``1.1``; ``HTTP/2.0`` is version ``2``."""
    name, _, version = (text(value, _METHOD_LIMIT) or "").partition("/")
    if name.upper() == "HTTP" and version:
        short = version if version == "1.0" else version.removesuffix(".0")
        attributes["network.protocol.version"] = short
