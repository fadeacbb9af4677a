"""Where a signal goes: the ``OTEL_EXPORTER_OTLP_*`` variables, as the SDK reads them.

Mirrors ``opentelemetry-exporter-otlp-proto-http`` and ``-grpc`` 1.45: a signal's own
variable replaces the general one, the timeout is in seconds (the specification says
milliseconds), and a gRPC endpoint without a scheme means TLS.
"""

# No postponed annotations here: a NamedTuple compiles each of them when it is defined,
# which every cold start would pay for.
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

from typing_extensions import override

from powertools_otel._guard import warn_once
from powertools_otel._settings import choice

Headers = tuple[tuple[str, str], ...]
"""Pairs of lower-case name and value."""
Protocol = Literal["http/protobuf", "http/json", "grpc"]

_PREFIX = "OTEL_EXPORTER_OTLP_"
_PROTOCOLS = ("http/protobuf", "http/json", "grpc")
_COMPRESSIONS = ("none", "gzip", "deflate")
_PORTS = {"http": 80, "https": 443}
_DEFAULT_TIMEOUT_S = 10.0


class Target(NamedTuple):
    """Where and how one signal is sent. Its ``repr`` tells no secret."""

    signal: str
    protocol: Protocol
    scheme: str
    """``http`` or ``https``: whether in the clear or by TLS."""
    host: str
    """Without brackets, in ASCII."""
    port: int
    path: str
    """For HTTP, with the query; for gRPC ``address`` instead."""
    address: str = ""
    """What gRPC calls a target."""
    headers: Headers = ()
    timeout_s: float = _DEFAULT_TIMEOUT_S
    compression: str = "none"
    certificate: str = ""
    """File (or directory) of the certificates to trust; the system's, if empty."""
    client_certificate: str = ""
    client_key: str = ""
    explicit: bool = False
    """Whether the environment names the endpoint."""

    @property
    def location(self) -> str:
        """The endpoint for messages: paths and queries may hold keys."""
        if self.address:
            return self.address
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def mask(self, text: str) -> str:
        """``text`` without the values of headers, should a server repeat them."""
        for _, value in self.headers:
            for part in (value, *value.split()):
                if len(part) >= _SHORTEST_SECRET:
                    text = text.replace(part, "***")
        return text

    @override
    def __repr__(self) -> str:
        headers = ", ".join(f"{name}=***" for name, _ in self.headers)
        return f"Target({self.signal}, {self.protocol}, {self.location}, {headers})"


_SHORTEST_SECRET = 6


def protocol(signal: str, environ: Mapping[str, str]) -> Protocol:
    """The signal's protocol: ``OTEL_EXPORTER_OTLP[_TRACES|_METRICS]_PROTOCOL``."""
    name, _ = _find(environ, signal, "PROTOCOL")
    word = choice(environ, name, _PROTOCOLS, "http/protobuf")
    return cast("Protocol", word)


def target(signal: str, environ: Mapping[str, str]) -> Target:
    """Read where a signal goes; wrong values are said once and replaced by defaults.

    Args:
        signal: ``traces`` or ``metrics``.
        environ: The environment.
    """
    spoken = protocol(signal, environ)
    name, text = _find(environ, signal, "ENDPOINT")
    own = name != _PREFIX + "ENDPOINT"
    if spoken == "grpc":
        place = _grpc_endpoint(signal, environ, name, text)
    else:
        place = _http_endpoint(signal, name, text, own=own)
    headers = _headers(environ, signal)
    url = place.url
    if url.username and not any(known == "authorization" for known, _ in headers):
        headers = (*headers, ("authorization", basic(url)))
    _, certificate = _find(environ, signal, "CERTIFICATE")
    _, client_certificate = _find(environ, signal, "CLIENT_CERTIFICATE")
    _, client_key = _find(environ, signal, "CLIENT_KEY")
    compression, _ = _find(environ, signal, "COMPRESSION")
    return Target(
        signal=signal,
        protocol=spoken,
        scheme=place.scheme,
        host=place.host,
        port=place.port,
        path=place.path,
        address=place.address,
        headers=headers,
        timeout_s=_timeout(environ, signal),
        compression=choice(environ, compression, _COMPRESSIONS, "none"),
        certificate=certificate,
        client_certificate=client_certificate,
        client_key=client_key,
        explicit=bool(text),
    )


def basic(url: SplitResult) -> str:
    """The ``Basic`` authorization for the user and password of a URL."""
    from binascii import b2a_base64

    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return "Basic " + b2a_base64(pair.encode(), newline=False).decode()


def split(text: str, *schemes: str) -> tuple[SplitResult, str]:
    """Split a URL; also return its host in ASCII, as DNS knows it.

    Raises:
        ValueError: If it is not of one of the schemes, or host or port are wrong.
    """
    url = urlsplit(text)
    host = url.hostname or ""
    if url.scheme not in schemes or url.port == 0 or not _is_host(host):
        msg = "not a URL of these schemes"
        raise ValueError(msg)
    return url, host if host.isascii() else host.encode("idna").decode()


class _Place(NamedTuple):
    url: SplitResult
    scheme: str
    host: str
    port: int
    path: str = ""
    address: str = ""


def _http_endpoint(signal: str, name: str, text: str, *, own: bool) -> _Place:
    default = "http://localhost:4318"
    try:
        url, host = split(text or default, *_PORTS)
    except ValueError:
        _reject_endpoint(name, text, "http://host:port or https://host:port", default)
        return _http_endpoint(signal, name, "", own=False)
    # Characters that would end the request line are quoted, what is quoted stays.
    path = quote(url.path, safe="/:@!$&'()*+,;=-._~%")
    if not own:
        path = f"{path.removesuffix('/')}/v1/{signal}"
    path = path or "/"
    if url.query:
        path += "?" + quote(url.query, safe="/:@!$&'()*+,;=-._~%?")
    port = url.port or _PORTS[url.scheme]
    return _Place(url, url.scheme, host, port, path)


def _grpc_endpoint(
    signal: str, environ: Mapping[str, str], name: str, text: str
) -> _Place:
    default = "http://localhost:4317"
    scheme = "https"
    try:
        url = urlsplit(text or default)
        if url.netloc:
            url, _ = split(text or default, *_PORTS)
        address = url.netloc.rpartition("@")[2] or text
    except ValueError:
        _reject_endpoint(name, text, "http://host:port or https://host:port", default)
        return _grpc_endpoint(signal, environ, name, "")
    if url.scheme != "https":
        # As the Python SDK: the variable, if set, else what the scheme says.
        variable, insecure = _find(environ, signal, "INSECURE")
        if insecure:
            word = choice(environ, variable, ("true", "false"), "false")
            scheme = "http" if word == "true" else "https"
        elif url.scheme == "http":
            scheme = "http"
    return _Place(url, scheme, url.hostname or "", 0, address=address)


def _reject_endpoint(name: str, text: str, allowed: str, default: str) -> None:
    shown = text.rpartition("@")[2].partition("?")[0]
    warn_once(
        f"setting:{name}",
        "%s is %r: it must be %s. Going on with %r.",
        name,
        shown[:100],
        allowed,
        default,
    )


def _is_host(host: str) -> bool:
    return bool(host) and all(
        char > " " and char not in '"<>\\^`{|}\x7f' for char in host
    )


def _headers(environ: Mapping[str, str], signal: str) -> Headers:
    name, text = _find(environ, signal, "HEADERS")
    if not text:
        return ()
    from powertools_otel._delivery._headers import parse_headers

    return parse_headers(name, text)


def _timeout(environ: Mapping[str, str], signal: str) -> float:
    name, text = _find(environ, signal, "TIMEOUT")
    if not text:
        return _DEFAULT_TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if seconds > 0:
        return seconds
    warn_once(
        f"setting:{name}",
        "%s is %r: it must be a number of seconds above 0. Going on with %r.",
        name,
        text[:100],
        _DEFAULT_TIMEOUT_S,
    )
    return _DEFAULT_TIMEOUT_S


def _find(environ: Mapping[str, str], signal: str, setting: str) -> tuple[str, str]:
    name = f"{_PREFIX}{signal.upper()}_{setting}"
    own = environ.get(name, "").strip()
    if own:
        return name, own
    return _PREFIX + setting, environ.get(_PREFIX + setting, "").strip()
