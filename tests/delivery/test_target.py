"""The OTEL_EXPORTER_OTLP_* variables mean what they mean to the stock exporters."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcMetricExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpMetricExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)

from powertools_otel._delivery._headers import parse_headers
from powertools_otel._delivery._target import protocol, target

if TYPE_CHECKING:
    from collections.abc import Mapping

P = "OTEL_EXPORTER_OTLP_"

HTTP_ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {P + "ENDPOINT": "http://collector:4318"},
    {P + "ENDPOINT": "http://collector:4318/"},
    {P + "ENDPOINT": "https://collector/otlp/"},
    {P + "ENDPOINT": "https://[2001:db8::1]:4318/a"},
    {P + "ENDPOINT": "http://c:1", P + "TRACES_ENDPOINT": "https://t:2/custom"},
    {P + "ENDPOINT": "http://c:1", P + "METRICS_ENDPOINT": "https://m:3/x/"},
    {P + "HEADERS": "api-key=abc,X-Tenant=a%20b"},
    {P + "HEADERS": "a=general", P + "TRACES_HEADERS": "b=own"},
    {P + "HEADERS": "authorization=Basic abc==, other = x "},
    {P + "HEADERS": "user-agent=mine/1"},
    {P + "TIMEOUT": "2.5"},
    {P + "TIMEOUT": "2", P + "METRICS_TIMEOUT": "7"},
    {P + "TIMEOUT": "soon"},
    {P + "COMPRESSION": "gzip"},
    {P + "COMPRESSION": "gzip", P + "TRACES_COMPRESSION": "none"},
    {P + "COMPRESSION": "deflate"},
    {P + "COMPRESSION": "zstd"},
]


def set_all(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("environ", HTTP_ENVIRONMENTS, ids=str)
@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_http_settings_are_read_as_the_stock_exporter_does(
    environ: dict[str, str], signal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """URL, headers, timeout and compression, for both signals."""
    set_all(environ, monkeypatch)
    stock: Any = {"traces": HttpSpanExporter, "metrics": HttpMetricExporter}[signal]()
    ours = target(signal, environ)

    host = f"[{ours.host}]" if ":" in ours.host else ours.host
    port = (
        "" if ours.port == {"http": 80, "https": 443}[ours.scheme] else f":{ours.port}"
    )
    assert f"{ours.scheme}://{host}{port}{ours.path}" == stock._endpoint
    ignored = {"content-type", "content-encoding"}
    theirs = {
        name.lower(): value
        for name, value in stock._client._headers.items()
        if name.lower() not in ignored
    }
    if theirs["user-agent"].startswith("OTel-OTLP"):
        del theirs["user-agent"]
    assert dict(ours.headers) == theirs
    assert ours.timeout_s == stock._client._timeout
    assert ours.compression == stock._compression.value
    stock.shutdown()


GRPC_ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {P + "ENDPOINT": "http://collector:4317"},
    {P + "ENDPOINT": "https://collector:4317"},
    {P + "ENDPOINT": "collector:4317"},
    {P + "ENDPOINT": "collector:4317", P + "INSECURE": "true"},
    {P + "ENDPOINT": "http://collector:4317", P + "INSECURE": "false"},
    {P + "ENDPOINT": "https://collector:4317", P + "INSECURE": "true"},
    {P + "ENDPOINT": "collector:4317", P + "TRACES_INSECURE": "True"},
    {P + "ENDPOINT": "http://c:1", P + "TRACES_ENDPOINT": "http://t:2"},
    {P + "ENDPOINT": "http://c:1/path"},
    {P + "HEADERS": "api-key=abc"},
    {P + "HEADERS": "a=b", P + "METRICS_HEADERS": "c=d%20e"},
    {P + "TIMEOUT": "3", P + "TRACES_TIMEOUT": "4"},
]


@pytest.mark.parametrize("environ", GRPC_ENVIRONMENTS, ids=str)
@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_grpc_settings_are_read_as_the_stock_exporter_does(
    environ: dict[str, str], signal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address, TLS or not, metadata and timeout, for both signals."""
    set_all(environ, monkeypatch)
    stock: Any = {"traces": GrpcSpanExporter, "metrics": GrpcMetricExporter}[signal]()
    ours = target(signal, {**environ, P + "PROTOCOL": "grpc"})

    assert ours.address == stock._endpoint
    assert (ours.scheme == "http") is stock._insecure
    assert ours.headers == stock._headers
    assert ours.timeout_s == stock._timeout
    stock.shutdown()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http/protobuf"),
        ({P + "PROTOCOL": "grpc"}, "grpc"),
        ({P + "PROTOCOL": "grpc", P + "TRACES_PROTOCOL": "http/json"}, "http/json"),
        ({P + "PROTOCOL": "carrier-pigeon"}, "http/protobuf"),
    ],
    ids=str,
)
def test_a_signals_own_protocol_wins(environ: dict[str, str], expected: str) -> None:
    assert protocol("traces", environ) == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENDPOINT", "localhost:4318"),
        ("ENDPOINT", "ftp://host/"),
        ("ENDPOINT", "http://"),
        ("ENDPOINT", "http://host:99999"),
        ("ENDPOINT", "http://host:0"),
        ("ENDPOINT", "http://ho st:1"),
        ("ENDPOINT", f"http://{'ü' * 80}.test"),
        ("ENDPOINT", "http://[::1"),
        ("TIMEOUT", "-1"),
        ("TIMEOUT", "nan"),
        ("TIMEOUT", "soon"),
        ("COMPRESSION", "zstd"),
        ("PROTOCOL", "http"),
        ("TRACES_ENDPOINT", "nowhere"),
    ],
)
def test_a_wrong_setting_is_said_once_and_replaced(
    variable: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One message names the setting, its value, what is allowed and the default."""
    environ = {P + variable: value}
    with caplog.at_level(logging.WARNING):
        ours = target("traces", environ)
        target("traces", environ)

    assert len(caplog.records) == 1
    assert f"{P}{variable} is {value[:100]!r}: it must be" in caplog.text
    assert "Going on with" in caplog.text
    assert ours.location == "http://localhost:4318"
    assert ours.path == "/v1/traces"
    assert ours.timeout_s == 10


def test_a_query_stays_behind_the_path() -> None:
    """Some vendors want a key in the query of the endpoint."""
    assert target("traces", {P + "ENDPOINT": "http://h/a?k=v"}).path == (
        "/a/v1/traces?k=v"
    )
    own = target("traces", {P + "TRACES_ENDPOINT": "http://h?k=v w"})
    assert own.path == "/?k=v%20w"


def test_a_name_beyond_ascii_is_looked_up_as_dns_writes_it() -> None:
    assert target("traces", {P + "ENDPOINT": "http://bücher.test"}).host == (
        "xn--bcher-kva.test"
    )


def test_a_password_in_the_endpoint_becomes_basic_authorization() -> None:
    """As requests does for the stock exporter; a header of the user wins."""
    environ = {P + "ENDPOINT": "http://me:p%40ss@host"}
    assert dict(target("traces", environ).headers)["authorization"] == (
        "Basic bWU6cEBzcw=="
    )
    environ[P + "HEADERS"] = "authorization=Bearer x"
    assert dict(target("traces", environ).headers)["authorization"] == "Bearer x"


SECRET = "s3cr3t-t0ken"  # noqa: S105 - that is what is looked for


@pytest.mark.parametrize(
    "environ",
    [
        {P + "HEADERS": f"api-key={SECRET}"},
        {P + "HEADERS": f"no separator {SECRET}, good=1"},
        {P + "HEADERS": f'api-key="{SECRET}"'},
        {P + "HEADERS": f"api key={SECRET}"},
        {P + "HEADERS": f"key=a%0d%0ax:{SECRET}"},
        {P + "HEADERS": f"content-length={SECRET}"},
        {P + "HEADERS": f"{SECRET}"},
        {P + "ENDPOINT": f"http://me:{SECRET}@host:99999/"},
        {P + "ENDPOINT": f"http://host:99999/?key={SECRET}"},
        {P + "ENDPOINT": f"http://host/{SECRET}?key={SECRET}"},
        {P + "ENDPOINT": f"http://{SECRET}@host"},
    ],
    ids=lambda environ: str(environ).replace(SECRET, "..."),
)
def test_secrets_are_never_said(
    environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in messages about settings, nor in a repr."""
    with caplog.at_level(logging.DEBUG):
        ours = target("traces", environ)
    assert SECRET not in caplog.text
    assert SECRET not in repr(ours)
    assert SECRET not in str(ours)
    assert SECRET not in f"{ours.location}"


@given(st.text(max_size=60))
def test_headers_of_any_text_cannot_break_out_of_their_line(text: str) -> None:
    """No control character reaches a header: no injection, whatever the variable."""
    for name, value in parse_headers("X", text):
        assert name
        assert not any(ord(char) < 0x21 or ord(char) == 0x7F for char in name)
        assert not any(ord(char) < 0x20 or ord(char) == 0x7F for char in value)


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=9),
        st.text(st.characters(min_codepoint=0x21, exclude_categories=["C", "Z"])),
        max_size=4,
    )
)
def test_percent_encoded_headers_come_back_as_they_were(
    headers: dict[str, str],
) -> None:
    from urllib.parse import quote

    ours = {"te", "expect", "connection", "trailer", "upgrade"}
    headers = {name: value for name, value in headers.items() if name not in ours}
    text = ",".join(f"{name}={quote(value)}" for name, value in headers.items())
    assert dict(parse_headers("X", text)) == headers


def test_what_a_server_repeats_of_a_header_is_masked() -> None:
    ours = target("traces", {P + "HEADERS": f"authorization=Bearer {SECRET}"})
    assert ours.mask(f"unknown token {SECRET}!") == "unknown token ***!"
