"""Proxies by ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``.

As ``urllib.request`` reads them, without importing it (10 ms): the lower-case name
wins, an empty one switches the proxy off, and under CGI (``REQUEST_METHOD`` is set)
``HTTP_PROXY`` is not trusted, since a request header can set it. ``no_proxy`` also
takes address ranges (``10.0.0.0/8``), as ``requests`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from powertools_otel._delivery._target import basic, split
from powertools_otel._guard import warn_once

if TYPE_CHECKING:
    from collections.abc import Mapping


class Proxy(NamedTuple):
    """An HTTP proxy."""

    host: str
    port: int
    authorization: str = ""
    """Value of ``Proxy-Authorization``, or empty."""


def proxy_for(
    scheme: str, host: str, port: int, environ: Mapping[str, str]
) -> Proxy | None:
    """The proxy for an endpoint; None if it is to be reached directly."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        text = _read(environ, name)
        if text:
            no_proxy = _read(environ, "no_proxy")
            if no_proxy and _is_exempt(host.lower(), port, no_proxy):
                return None
            return _parse(name, text)
        if text is not None:
            return None
    return None


def _read(environ: Mapping[str, str], name: str) -> str | None:
    text = environ.get(name)
    if text is None and not (name == "http_proxy" and "REQUEST_METHOD" in environ):
        text = environ.get(name.upper())
    return text.strip() if text is not None else None


def _parse(name: str, text: str) -> Proxy | None:
    try:
        url, host = split(text if "://" in text else f"http://{text}", "http")
    except ValueError:
        warn_once(
            f"setting:{name}",
            "%s is %r: it must be http://host:port. Going on without a proxy.",
            name,
            text.rpartition("@")[2][:100],
        )
        return None
    return Proxy(host, url.port or 80, basic(url) if url.username else "")


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    if no_proxy == "*":
        return True
    with_port = f"{host}:{port}"
    for item in no_proxy.lower().split(","):
        name = item.strip()
        if "/" in name and _is_in_network(host, name):
            return True
        name = name.lstrip(".")
        if name and any(
            known == name or known.endswith(f".{name}") for known in (host, with_port)
        ):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
