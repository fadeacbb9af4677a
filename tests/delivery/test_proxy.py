"""Proxy variables mean what they mean to urllib.request."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from powertools_otel._delivery._proxy import Proxy, proxy_for

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTS = ["collector.example.com", "example.com", "notexample.com", "10.1.2.3", "h"]
NO_PROXY = ["", "*", "example.com", ".example.com", "h, example.com", "h:4318", "x"]


def of_urllib(scheme: str, host: str, environ: Mapping[str, str]) -> str | None:
    """What urllib.request would use: the proxy's URL."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        proxies = urllib.request.getproxies_environment()
        if urllib.request.proxy_bypass_environment(f"{host}:4318", proxies):
            return None
        return proxies.get(scheme)


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(HOSTS),
    st.dictionaries(
        st.sampled_from(["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"]),
        st.sampled_from(["http://one:1", "http://two:2", ""]),
    ),
    st.dictionaries(
        st.sampled_from(["no_proxy", "NO_PROXY"]), st.sampled_from(NO_PROXY)
    ),
    st.dictionaries(st.just("REQUEST_METHOD"), st.just("GET")),
)
@example("http", "h", {"http_proxy": "", "HTTP_PROXY": "http://one:1"}, {}, {})
def test_the_proxy_is_the_one_of_urllib(
    scheme: str,
    host: str,
    proxies: dict[str, str],
    no_proxy: dict[str, str],
    cgi: dict[str, str],
) -> None:
    environ = proxies | no_proxy | cgi
    expected = of_urllib(scheme, host, environ)
    found = proxy_for(scheme, host, 4318, environ)
    assert (None if found is None else f"http://{found.host}:{found.port}") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128)),
        ("proxy:3128", Proxy("proxy", 3128)),
        ("http://proxy", Proxy("proxy", 80)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://me:p%40ss@proxy:1", Proxy("proxy", 1, "Basic bWU6cEBzcw==")),
    ],
)
def test_a_proxy_is_written_as_a_url(text: str, expected: Proxy) -> None:
    assert proxy_for("http", "h", 1, {"http_proxy": text}) == expected
    assert proxy_for("https", "h", 1, {"ALL_PROXY": text}) == expected


@pytest.mark.parametrize("text", ["socks5://proxy:1", "http://proxy:99999", "http://"])
def test_what_is_no_http_proxy_is_said_without_its_password(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = text.replace("//", "//me:s3cr3t@")
    assert proxy_for("http", "h", 1, {"http_proxy": text}) is None
    assert "http_proxy" in caplog.text
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize(
    ("host", "exempt"), [("10.1.2.3", True), ("11.1.2.3", False), ("h", False)]
)
def test_no_proxy_takes_address_ranges(host: str, *, exempt: bool) -> None:
    """As requests does, and so the stock exporter."""
    environ = {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8, nonsense/99"}
    assert (proxy_for("http", host, 1, environ) is None) is exempt
