"""Every setting of ours: its name, its default, and what is allowed.

Read once, from the environment, explicit arguments winning over it. What belongs to
the OpenTelemetry SDK (sampler, span limits) is left to the SDK.
"""

# No postponed annotations here: a NamedTuple compiles each of them when it is defined,
# and of the settings that is half a millisecond of every cold start.
import os
from collections.abc import Mapping
from typing import NamedTuple

from powertools_otel._guard import warn_once

_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f"})


def flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a boolean variable; a word that is neither true nor false is said once."""
    word = environ.get(name, "").strip().lower()
    if not word:
        return default
    if word in _TRUE:
        return True
    if word not in _FALSE:
        _reject(name, environ[name], "true or false", default)
        return default
    return False


def choice(
    environ: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str
) -> str:
    """Read one of ``allowed`` words (case does not matter)."""
    word = environ.get(name, "").strip().lower()
    if not word:
        return default
    if word not in allowed:
        _reject(name, environ[name], " | ".join(allowed), default)
        return default
    return word


def number(
    environ: Mapping[str, str], name: str, default: int, *, low: int, high: int
) -> int:
    """Read an integer in ``low..high``."""
    word = environ.get(name, "").strip()
    if not word:
        return default
    try:
        value = int(word)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        _reject(name, environ[name], f"an integer from {low} to {high}", default)
        return default
    return value


def pairs(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """Read ``key=value,key=value``; what is not a pair is said once and left out."""
    found: dict[str, str] = {}
    for item in environ.get(name, "").split(","):
        if not item.strip():
            continue
        key, separator, value = item.rpartition("=")
        if not separator or not key.strip():
            _reject(name, environ[name], "name=value,name=value", "without it")
            continue
        found[key.strip()] = value.strip()
    return found


def _reject(name: str, value: str, allowed: str, default: object) -> None:
    warn_once(
        f"setting:{name}",
        "%s is %r: it must be %s. Going on with %r.",
        name,
        value[:100],
        allowed,
        default,
    )


class Settings(NamedTuple):
    """What can be set, one field a setting, the variable named beside it."""

    flush_timeout_ms: int = 500
    """``POWERTOOLS_OTEL_FLUSH_TIMEOUT``: the longest a flush may take, in ms."""
    flush_mode: str = "before_response"
    """``POWERTOOLS_OTEL_FLUSH_MODE``: ``before_response`` or ``after_response``."""
    xray_context: str = "auto"
    """``POWERTOOLS_OTEL_XRAY_CONTEXT``: what ``_X_AMZN_TRACE_ID`` is good for."""
    http_context: str = "parent"
    """``POWERTOOLS_OTEL_HTTP_CONTEXT``: callers' headers as ``parent`` or ``link``."""
    keep_name_prefix: bool = False
    """``POWERTOOLS_OTEL_KEEP_NAME_PREFIX``: keep Powertools' ``## `` in names."""
    payload_limit: int = 2048
    """``POWERTOOLS_OTEL_PAYLOAD_LIMIT``: bytes of one metadata attribute."""
    url_query: bool = False
    """``POWERTOOLS_OTEL_URL_QUERY``: record query strings as they are."""
    set_global: bool = True
    """``POWERTOOLS_OTEL_SET_GLOBAL``: register our TracerProvider if none is."""
    warm_up: bool = True
    """``POWERTOOLS_OTEL_WARM_UP``: import and connect while the function inits."""
    retention_items: int = 10_000
    """``POWERTOOLS_OTEL_RETENTION_ITEMS``: spans or points kept while unsent."""
    retention_bytes: int = 8 * 1024 * 1024
    """``POWERTOOLS_OTEL_RETENTION_BYTES``: bytes of encoded telemetry kept."""
    resend_unknown: bool = False
    """``POWERTOOLS_OTEL_RESEND_UNKNOWN``: resend unanswered delta points too."""
    count_as: str = "sum"
    """``POWERTOOLS_OTEL_COUNT_AS``: what unit Count becomes."""
    metric_kinds: Mapping[str, str] = {}
    """``POWERTOOLS_OTEL_METRIC_KINDS``: ``name=sum|histogram|gauge,...``."""
    dimension_sets: str = "merged"
    """``POWERTOOLS_OTEL_DIMENSION_SETS``: further sets ``merged`` or ``separate``."""
    namespace_as: str = "scope"
    """``POWERTOOLS_OTEL_NAMESPACE_AS``: the namespace as ``scope`` or ``prefix``."""
    metric_names: str = "keep"
    """``POWERTOOLS_OTEL_METRIC_NAMES``: names as they are, or made ``safe``."""
    unit_style: str = "ucum"
    """``POWERTOOLS_OTEL_UNIT_STYLE``: units as ``ucum`` or ``cloudwatch``."""
    strict_emf: bool = False
    """``POWERTOOLS_OTEL_STRICT_EMF``: impose CloudWatch's own limits."""
    timeout_margin_ms: int = 200
    """``POWERTOOLS_OTEL_TIMEOUT_MARGIN``: ms kept free before the deadline."""
    watchdog: bool = True
    """``POWERTOOLS_OTEL_WATCHDOG``: mark and send open spans before a timeout."""
    init_span: bool = False
    """``POWERTOOLS_OTEL_INIT_SPAN``: a span for INIT in the first trace."""
    handle_sigterm: bool = True
    """``POWERTOOLS_OTEL_HANDLE_SIGTERM``: flush when the environment ends."""
    register_extension: bool = False
    """``POWERTOOLS_OTEL_REGISTER_EXTENSION``: register without events, so that
    Lambda sends SIGTERM at the end of the environment."""
    headers_secret: str = ""
    """``POWERTOOLS_OTEL_HEADERS_SECRET``: where OTLP headers are kept, a Secrets
    Manager secret or ``ssm:`` and a Parameter Store parameter."""
    sigv4: str = "auto"
    """``POWERTOOLS_OTEL_SIGV4``: sign requests, ``auto`` those to AWS's endpoints."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings; wrong values are said once and replaced by defaults."""
        env = os.environ if environ is None else environ
        ours = {
            name: value
            for name, value in env.items()
            if name.startswith("POWERTOOLS_OTEL_")
        }
        return _read(ours) if ours else cls()


def _read(env: Mapping[str, str]) -> Settings:
    d = Settings()
    p = "POWERTOOLS_OTEL_"
    mega = 1024 * 1024
    unknown = {
        name for name in env if name.removeprefix(p) not in {*VARIABLES, "HANDLER"}
    }
    for name in sorted(unknown):
        warn_once(f"setting:{name}", "%s is not a setting of powertools-otel.", name)
    return Settings(
        flush_timeout_ms=number(
            env, p + "FLUSH_TIMEOUT", d.flush_timeout_ms, low=1, high=60_000
        ),
        flush_mode=choice(
            env,
            p + "FLUSH_MODE",
            ("before_response", "after_response"),
            d.flush_mode,
        ),
        xray_context=choice(
            env,
            p + "XRAY_CONTEXT",
            ("auto", "parent", "link", "ignore"),
            d.xray_context,
        ),
        http_context=choice(
            env, p + "HTTP_CONTEXT", ("parent", "link", "ignore"), d.http_context
        ),
        keep_name_prefix=flag(env, p + "KEEP_NAME_PREFIX", default=d.keep_name_prefix),
        payload_limit=number(
            env, p + "PAYLOAD_LIMIT", d.payload_limit, low=0, high=mega
        ),
        url_query=flag(env, p + "URL_QUERY", default=d.url_query),
        set_global=flag(env, p + "SET_GLOBAL", default=d.set_global),
        warm_up=flag(env, p + "WARM_UP", default=d.warm_up),
        retention_items=number(
            env, p + "RETENTION_ITEMS", d.retention_items, low=1, high=10_000_000
        ),
        retention_bytes=number(
            env, p + "RETENTION_BYTES", d.retention_bytes, low=1024, high=1024 * mega
        ),
        resend_unknown=flag(env, p + "RESEND_UNKNOWN", default=d.resend_unknown),
        count_as=choice(env, p + "COUNT_AS", ("sum", "histogram"), d.count_as),
        metric_kinds=_kinds(env, p + "METRIC_KINDS"),
        dimension_sets=choice(
            env, p + "DIMENSION_SETS", ("merged", "separate"), d.dimension_sets
        ),
        namespace_as=choice(
            env, p + "NAMESPACE_AS", ("scope", "prefix"), d.namespace_as
        ),
        metric_names=choice(env, p + "METRIC_NAMES", ("keep", "safe"), d.metric_names),
        unit_style=choice(env, p + "UNIT_STYLE", ("ucum", "cloudwatch"), d.unit_style),
        strict_emf=flag(env, p + "STRICT_EMF", default=d.strict_emf),
        timeout_margin_ms=number(
            env, p + "TIMEOUT_MARGIN", d.timeout_margin_ms, low=10, high=60_000
        ),
        watchdog=flag(env, p + "WATCHDOG", default=d.watchdog),
        init_span=flag(env, p + "INIT_SPAN", default=d.init_span),
        handle_sigterm=flag(env, p + "HANDLE_SIGTERM", default=d.handle_sigterm),
        register_extension=flag(
            env, p + "REGISTER_EXTENSION", default=d.register_extension
        ),
        headers_secret=env.get(p + "HEADERS_SECRET", "").strip(),
        sigv4=choice(env, p + "SIGV4", ("auto", "on", "off"), d.sigv4),
    )


def _kinds(env: Mapping[str, str], name: str) -> dict[str, str]:
    allowed = ("sum", "histogram", "gauge")
    kinds: dict[str, str] = {}
    for metric, kind in pairs(env, name).items():
        if kind.lower() in allowed:
            kinds[metric] = kind.lower()
        else:
            _reject(name, f"{metric}={kind}", " | ".join(allowed), "its default")
    return kinds


VARIABLES: Mapping[str, str] = {
    {"flush_timeout_ms": "FLUSH_TIMEOUT", "timeout_margin_ms": "TIMEOUT_MARGIN"}.get(
        field, field.upper()
    ): field
    for field in Settings._fields
}
"""Variable, without its ``POWERTOOLS_OTEL_`` prefix, to the field it sets."""
