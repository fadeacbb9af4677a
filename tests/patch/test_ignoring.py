"""Tracer.ignore_endpoint: no spans and no context for what it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel._patch import _tracers

RULES = [
    ({"hostname": "*.internal"}, "http://a.internal/x", True),
    ({"hostname": "*.internal"}, "http://a.external/x", False),
    ({"hostname": "a.internal"}, "https://a.internal:8443/x?y=1", True),
    ({"urls": ["/health"]}, "http://a/health", True),
    ({"urls": ["/health"]}, "http://a/health?deep=1", True),
    ({"urls": ["/health?deep=1"]}, "http://a/health?deep=1", True),
    ({"urls": ["/health?deep=1"]}, "http://a/health?deep=2", False),
    ({"urls": ["/health"]}, "http://a/healthy", False),
    ({"urls": ["http://a/health"]}, "http://a/health", True),
    ({"hostname": "a", "urls": ["/x"]}, "http://a/x", True),
    ({"hostname": "a", "urls": ["/x"]}, "http://b/x", False),
    ({"hostname": "a", "urls": ["/x"]}, "http://a/y", False),
    ({"hostname": None, "urls": None}, "http://a/x", False),
    ({"urls": []}, "http://a/x", False),
]


@pytest.mark.parametrize(("rule", "url", "ignored"), RULES)
@pytest.mark.parametrize("name", ["url.full", "http.url"])
def test_a_rule_matches_as_the_xray_sdks(rule, url, ignored, name):
    _tracers.ignore(rule.get("hostname"), rule.get("urls"))
    assert _tracers.is_ignored({name: url}) is ignored
    assert not _tracers.is_ignored({"db.system": url})
    assert not _tracers.is_ignored(None)


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers()))
def test_no_url_disturbs(url, attributes):
    _tracers.ignore("*.internal", ["/x"])
    assert not _tracers.is_ignored({**attributes, "url.full": f"//[{url}"})
    _tracers.is_ignored({**attributes, "http.url": url})


@pytest.mark.parametrize("source", ["powertools_otel", "aws_lambda_powertools"])
def test_an_ignored_endpoint_makes_no_span_and_gets_no_header(run, source):
    names, seen = run(
        f"""
        import asyncio, requests, httpx, urllib3, aiohttp
        import powertools_otel
        if "{source}" != "powertools_otel":
            powertools_otel.install()
        from {source} import Tracer
        spans = capture()
        tracer = Tracer(service="s")
        tracer.patch(["aiohttp"])

        async def get(path):
            async with aiohttp.ClientSession() as session:
                async with session.get(url + path):
                    pass

        @tracer.capture_method
        def caller(path):
            requests.get(url + path); httpx.get(url + path)
            urllib3.request("GET", url + path); asyncio.run(get(path))

        caller("/before")
        tracer.ignore_endpoint(hostname="127.0.0.*", urls=["/ignored"])
        caller("/ignored")
        caller("/after")
        tell([[span.name for span in spans if span.name == "GET"], urls])
        """
    )
    assert len(names) == 8
    headers = {path: [] for path, _ in seen}
    for path, header in seen:
        headers[path].append(header is not None)
    assert headers == {
        "/before": [True] * 4,
        "/ignored": [False] * 4,
        "/after": [True] * 4,
    }
